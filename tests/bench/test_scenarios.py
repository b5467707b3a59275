"""The scenario photos are damaged as they say, the same each time, and their sheets can be looked at."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from base.errors import PhotoError
from bench.scenario_photos import SCENARIOS, Scenario
from bench.scenarios import SIDE, ScenarioSettings, steps, write_scenarios
from runtime.faces.face import Face
from runtime.settings.presets import PRESETS

LANDMARKS = np.array([(208, 108), (247, 106), (228, 130), (212, 149), (246, 147)], np.float32)
FACE = Face((180, 60, 270, 180), LANDMARKS, 1.0)
"""Of the astronaut."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_is_the_same_photo_each_time_and_not_a_good_one(
    scenario: Scenario, portrait: NDArray[np.uint8]
) -> None:
    one, again = (scenario.damage(portrait, FACE, np.random.default_rng(0)) for _ in range(2))
    assert (one.shape, one.dtype) == (portrait.shape, np.uint8)
    assert np.array_equal(one, again)
    face = np.s_[60:180, 180:270]
    assert np.abs(one[face].astype(int) - portrait[face]).mean() > 3
    assert scenario.preset in PRESETS


def test_each_scenario_has_a_sheet_with_a_row_for_each_portrait(tiny_package: Path, tmp_path: Path) -> None:
    settings = ScenarioSettings(output=tmp_path / "sheets", package=tiny_package)
    ticks: list[None] = []
    sheets = write_scenarios(settings, lambda: ticks.append(None))
    assert len(ticks) == steps(settings) == len(SCENARIOS)
    assert [sheet.stem for sheet in sheets] == [scenario.name for scenario in SCENARIOS]
    for sheet in sheets:
        with Image.open(sheet) as picture:
            assert picture.format == "JPEG"
            assert picture.width > 3 * SIDE
            assert picture.height < 2 * SIDE


def test_a_portrait_that_does_not_serve_is_refused(tiny_package: Path, tmp_path: Path) -> None:
    for pixels, told in (
        (np.zeros((64, 80, 3), np.uint8), "80×64"),
        (np.full((64, 64, 3), 99, np.uint8), "no face"),
    ):
        Image.fromarray(pixels).save(tmp_path / "photo.png")
        with pytest.raises(PhotoError, match=told):
            write_scenarios(ScenarioSettings((tmp_path / "photo.png",), tmp_path, tiny_package), lambda: None)
