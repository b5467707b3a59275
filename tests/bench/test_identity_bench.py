"""The benchmark of identity measures what was written, against the truth."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.identity import IdentitySettings, measure, steps, tone_of


def test_portraits_are_measured_freely_and_within_the_bound(
    tiny_package: Path, portrait: NDArray[np.uint8], tmp_path: Path
) -> None:
    Image.fromarray(portrait).save(tmp_path / "0.png")
    Image.fromarray(portrait[:, ::-1]).save(tmp_path / "1.png")
    settings = IdentitySettings(tmp_path, str(tiny_package), categories=("mixed-medium",))
    ticks: list[None] = []
    report = measure(settings, lambda: ticks.append(None))
    assert len(ticks) == steps(settings) == 2
    for case in report.figures["cases"]:
        assert case["moved_held"] <= case["limit"] + 1e-3
        assert case["moved"] > 0.5
        assert case["share"] < 1
    by_damage, by_tone, pairs = report.tables
    assert [row[0] for row in by_damage.rows] == ["mixed-medium"]
    assert len(by_tone.rows) == 2
    assert pairs.rows[0] == ("pairs", "1")


def test_darker_skin_has_a_smaller_angle(portrait: NDArray[np.uint8]) -> None:
    face = portrait[30:286, 100:356]
    darker = np.asarray(face * 0.5, np.uint8)
    assert tone_of(darker) < tone_of(face)


def test_portraits_without_a_face_are_refused(tiny_package: Path, tmp_path: Path) -> None:
    from base.errors import PhotoError

    Image.new("RGB", (96, 96), "grey").save(tmp_path / "0.png")
    with pytest.raises(PhotoError, match="no face"):
        measure(IdentitySettings(tmp_path, str(tiny_package), categories=("mixed-medium",)), lambda: None)
