"""Prepare a photo once, restore it with many settings."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from base.errors import GpenEdgeError, PixelsError, SettingsError
from runtime import Restorer, RestoreSettings, preset
from runtime.faces.parsed import ParsedFace
from runtime.network.backends import Batch, Move
from runtime.settings.config_file import Config
from runtime.settings.presets import PRESETS
from runtime.settings.resolved import ResolvedSettings
from runtime.sheets.presets import candidates, write_presets_sheet

Pixels = NDArray[np.uint8]


class Counted:
    """A backend or a parser that counts how many faces it is asked for."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.faces = 0
        self.open_states = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def encode(self, crops: Batch, moves: Sequence[Move] = ()) -> Any:
        self.faces += len(crops)
        self.open_states += 1
        return self._inner.encode(crops, moves)

    def release(self, state: Any) -> None:
        self.open_states -= 1
        self._inner.release(state)

    def parse(self, aligned: Any) -> ParsedFace | None:
        self.faces += 1
        return None


@pytest.fixture
def restorer(tiny_package: Path, any_colours: None) -> Iterator[Restorer]:
    with Restorer.open(tiny_package, threads=1) as opened:
        opened.backend = Counted(opened.backend)
        yield opened


@pytest.fixture
def held(restorer: Restorer) -> Restorer:
    """A restorer whose network looks once, as with the bundled package."""
    restorer.most_passes = 1
    return restorer


def asked(restorer: Restorer) -> int:
    """Return how many faces the network was asked for since the last call."""
    backend = restorer.backend
    assert isinstance(backend, Counted)
    count, backend.faces = backend.faces, 0
    return count


@pytest.mark.parametrize(("looks_once", "dtype"), [(True, np.uint8), (False, np.uint16)])
def test_a_prepared_photo_gives_what_restoring_at_once_gives(
    restorer: Restorer, group: Pixels, looks_once: bool, dtype: type[np.uint8 | np.uint16]
) -> None:
    if looks_once:
        restorer.most_passes = 1
    photo = group.astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    settings = {name: preset(name, budget=600) for name in (PRESETS if looks_once else ["standard"])}
    settings["large"] = preset("low-light", upscale=2, budget=600)
    settings["blurred"] = preset("film-scan", degradation_scale=0.8, fill_missing=True, budget=600)
    settings["ffhq"] = preset("standard", template="ffhq", budget=600)
    settings["one"] = RestoreSettings(face=(1,), budget=600)
    with restorer.prepare(photo) as prepared:
        for name, own in settings.items():
            again, at_once = prepared.restore(own), restorer.restore(photo, own, found=prepared.faces)
            assert np.array_equal(again.photo, at_once.photo), name
            for one, other in zip(again.faces, at_once.faces, strict=True):
                assert (one.progress, one.warnings) == (other.progress, other.warnings), name


def test_the_network_looks_again_only_when_what_it_sees_has_changed(held: Restorer, group: Pixels) -> None:
    prepared = held.prepare(group)
    assert asked(held) == 2
    for changes in (
        {},
        {"latent_step_decay": 0.02, "iterations": 7},
        {"latent_step_decay": 1.0, "iterations": 1},
        {"grain": True, "multiscale_blend": True},
        {"desaturate_fringes": True, "clamp_ringing": True},
        {"face_mask_weights": {"eye": 1.5, "hair": 0.0}},
        {"upscale": 2, "budget": 99.0},
        {"soften_scratches": True, "fill_missing": True},  # there are none
        {"face": (1,)},
    ):
        prepared.restore(RestoreSettings(**changes))  # type: ignore[arg-type]
        assert asked(held) == 0, changes
    for count, changes in ((2, {"degradation_scale": 0.5}), (2, {"template": "ffhq"}), (0, {})):
        prepared.restore(RestoreSettings(**changes))  # type: ignore[arg-type]
        assert asked(held) == count, changes


def test_a_softened_scratch_and_a_filled_hole_are_looked_at(held: Restorer, portrait: Pixels) -> None:
    photo = portrait.copy()
    cv2.line(photo, (180, 20), (275, 260), (240, 230, 120), 2, cv2.LINE_AA)
    cv2.ellipse(photo, (250, 130), (20, 14), 20, 0, 360, (20, 25, 90), -1)
    prepared = held.prepare(photo)
    assert asked(held) == 1
    plain = prepared.restore()
    for changes in ({"soften_scratches": True}, {"fill_missing": True}):
        result = prepared.restore(RestoreSettings(**changes))  # type: ignore[arg-type]
        assert asked(held) == 1, changes
        assert not np.array_equal(result.photo, plain.photo)
    assert np.array_equal(prepared.restore().photo, plain.photo)
    assert asked(held) == 0


def test_passes_that_depend_on_the_settings_are_made_again(restorer: Restorer, group: Pixels) -> None:
    prepared = restorer.prepare(group, RestoreSettings(budget=600))
    assert asked(restorer) == 2
    prepared.restore(RestoreSettings(budget=600, grain=True))
    assert asked(restorer) == 0
    slow = prepared.restore(RestoreSettings(budget=600, latent_step_decay=0.05))
    assert asked(restorer) == 2
    assert slow.faces[0].loop is not None
    assert slow.faces[0].loop.passes > 1


def test_a_result_that_ran_out_of_time_is_not_kept(restorer: Restorer, group: Pixels) -> None:
    prepared = restorer.prepare(group, RestoreSettings(budget=1e-9))
    short = prepared.restore(RestoreSettings(budget=1e-9))
    assert short.faces[0].warnings[-1].code == "budget-exceeded"
    whole = prepared.restore(RestoreSettings(budget=600)).faces[0].warnings
    assert "budget-exceeded" not in [warning.code for warning in whole]


def test_single_faces_change_without_the_others(held: Restorer, group: Pixels) -> None:
    prepared = held.prepare(group, by_face={0: None})
    assert asked(held) == 1
    both = prepared.restore()
    assert asked(held) == 1
    left_out = prepared.restore(by_face={0: None, 1: preset("classic")})
    assert asked(held) == 0
    assert np.array_equal(left_out.photo[:, :500], group[:, :500])
    assert not np.array_equal(both.photo[:, :500], group[:, :500])


def test_nothing_of_a_batch_stays_with_the_backend(restorer: Restorer, group: Pixels) -> None:
    assert isinstance(restorer.backend, Counted)
    with restorer.prepare(group) as one, restorer.prepare(group[:, ::-1]) as other:
        assert restorer.backend.open_states == 0
        mirrored, plain = other.restore(), one.restore()
        assert restorer.backend.open_states == 0
    assert np.array_equal(plain.photo, restorer.restore(group).photo)
    assert np.array_equal(mirrored.photo, restorer.restore(group[:, ::-1]).photo)


def test_the_sheet_of_presets_asks_for_each_face_once(held: Restorer, group: Pixels, tmp_path: Path) -> None:
    held.parser = parser = Counted(None)
    found = held.detect(group)
    compared = candidates(Config(), ResolvedSettings(), (0, 1))
    assert len(compared) == len(PRESETS)
    write_presets_sheet(tmp_path / "sheet.png", held, group, found, compared.items())
    assert (asked(held), parser.faces) == (2, 2)


def test_several_threads_share_a_prepared_photo(held: Restorer, group: Pixels) -> None:
    settings = [preset(name) for name in PRESETS]
    with held.prepare(group) as prepared, ThreadPoolExecutor(4) as threads:
        photos = [result.photo for result in threads.map(prepared.restore, settings)]
        assert asked(held) == 2
        for own, photo in zip(settings, photos, strict=True):
            assert np.array_equal(photo, prepared.restore(own).photo)


def test_a_closed_photo_says_what_to_do(restorer: Restorer, group: Pixels) -> None:
    with restorer.prepare(group) as prepared:
        pass
    with pytest.raises(GpenEdgeError, match="closed: prepare it again"):
        prepared.restore()


def test_preparing_refuses_what_restoring_refuses(restorer: Restorer, group: Pixels) -> None:
    with pytest.raises(PixelsError, match="must be"):
        restorer.prepare(group / 255)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no face 7"):
        restorer.prepare(group, RestoreSettings(face=(7,)))


def test_progress_counts_the_faces_of_each_stage(restorer: Restorer, group: Pixels) -> None:
    seen: list[tuple[str, int, int]] = []
    result = restorer.restore(group, progress=lambda *step: seen.append(step))
    assert list(dict.fromkeys(stage for stage, *_ in seen)) == list(result.timings)
    for stage in result.timings:
        counts = [done for name, done, _ in seen if name == stage]
        total = 1 if stage == "detect" else 2
        assert counts == sorted(counts)
        assert (counts[0], counts[-1]) == (0, total)


def test_progress_may_cancel(restorer: Restorer, group: Pixels) -> None:
    class CancelledError(Exception):
        pass

    def cancel(stage: str, done: int, total: int) -> None:
        if stage == "network":
            raise CancelledError

    before = group.copy()
    with pytest.raises(CancelledError):
        restorer.restore(group, progress=cancel)
    assert np.array_equal(group, before)
    assert len(restorer.restore(group).faces) == 2
