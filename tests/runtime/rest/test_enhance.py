"""The rest of the photo: strips, colours, and how much is restored."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from base.errors import BackendError
from runtime import RestoreSettings
from runtime.rest.enhance import LEAST_SHARE, enhanced
from runtime.rest.explained import SHADES, STRONG, Explained
from runtime.rest.network import Factor, PhotoNetwork, Tile

SEES = 8


def network(rows: int, columns: int, factor: Factor = 1, *, adds: bool = True) -> PhotoNetwork:
    """A network that smooths, and sharpens what is left: not linear, and sees SEES pixels far."""

    def run(tile: Tile) -> Tile:
        picture = tile[0].transpose(1, 2, 0)
        smooth = cv2.blur(picture, (9, 9))
        result = cv2.blur(np.sqrt(smooth), (9, 9)) ** 2
        if adds:
            result = (result - picture)[SEES:-SEES, SEES:-SEES]
        result = np.repeat(np.repeat(result, factor, 0), factor, 1)
        return np.ascontiguousarray(result.transpose(2, 0, 1)[None], np.float32)

    return PhotoNetwork("smooth", "numpy", run, rows, columns, SEES, factor, adds)


def noisy(height: int, width: int, sigma: float = 12, dtype: type = np.uint8) -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:height, :width]
    plain = np.stack([rows * 1.5 + 40, columns + 60, 128 + 60 * np.sin(rows / 9)], axis=2) % 200 + 20
    top = np.iinfo(dtype).max
    return np.rint(np.clip((plain + rng.normal(0, sigma, plain.shape)) / 255, 0, 1) * top).astype(dtype)


SETTINGS = {
    "standard": RestoreSettings(),
    "half": RestoreSettings(latent_step_decay=0.03, strength=0.8),
    "grain": RestoreSettings(latent_step_decay=0.05, grain=True),
}


@settings(max_examples=10)
@given(
    rows=st.integers(8, 70).map(lambda half: 2 * half),
    columns=st.integers(8, 70).map(lambda half: 2 * half),
    shape=st.tuples(st.integers(60, 150), st.integers(60, 150)),
    which=st.sampled_from(sorted(SETTINGS)),
    upscale=st.sampled_from([1, 2]),
)
def test_tiles_of_any_size_give_the_same_picture(
    rows: int, columns: int, shape: tuple[int, int], which: str, upscale: int
) -> None:
    photo, wanted = noisy(*shape), replace(SETTINGS[which], upscale=upscale)
    adds = upscale == 1
    factor: Factor = 1 if adds else 4
    whole = enhanced(photo, network(152, 152, factor, adds=adds), wanted)
    tiled = enhanced(photo, network(rows, columns, factor, adds=adds), wanted)
    assert whole.shape == (shape[0] * upscale, shape[1] * upscale, 3)
    assert np.abs(whole.astype(int) - tiled).max() <= 1


@pytest.mark.parametrize("which", SETTINGS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_mean_colour_stays(which: str, dtype: type) -> None:
    photo = noisy(150, 120, dtype=dtype)
    result = enhanced(photo, network(64, 64), SETTINGS[which])
    assert result.dtype == photo.dtype
    means = (each.mean(axis=(0, 1)) / np.iinfo(dtype).max for each in (photo, result))
    assert np.abs(np.subtract(*means)).max() < 0.02 / 255
    assert not np.array_equal(photo, result)


def test_grey_stays_grey() -> None:
    photo = np.repeat(noisy(80, 70)[..., :1], 3, axis=2)
    coloured = network(64, 64)
    tinted = replace(coloured, run=lambda tile: coloured.run(tile) * np.float32([[[[1]], [[0.5]], [[2]]]]))
    result = enhanced(photo, tinted, RestoreSettings())
    assert (result == result[..., :1]).all()
    assert not np.array_equal(photo, result)


def test_less_is_done_with_smaller_steps_and_less_strength() -> None:
    photo = noisy(96, 96, sigma=0)  # without noise, so that what is handed back is not cored
    full, some, half = (
        np.abs(enhanced(photo, network(64, 64, adds=False), wanted).astype(int) - photo).mean()
        for wanted in (
            RestoreSettings(),
            RestoreSettings(latent_step_decay=0.02, iterations=10),
            RestoreSettings(strength=0.5),
        )
    )
    assert some < 0.5 * full
    assert abs(half / full - 0.5) < 0.1
    assert LEAST_SHARE > (1 - 0.1) ** 30


def test_grain_is_kept_where_it_is_wanted() -> None:
    photo = noisy(128, 128, sigma=8)
    without, kept = (
        enhanced(photo, network(64, 64, adds=False), RestoreSettings(latent_step_decay=0.05, grain=grain))
        for grain in (False, True)
    )

    def fine(picture: NDArray[np.uint8]) -> float:
        return float(np.std(picture - cv2.blur(picture.astype(np.float32), (3, 3))))

    assert fine(without) < 0.4 * fine(photo)
    assert 0.75 * fine(photo) < fine(kept) < 1.05 * fine(photo)


def test_a_picture_instead_of_a_change_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    noise, factor = (np.full(SHADES, value, np.float32) for value in (0.9 * STRONG, 1))
    every_change = Explained(noise, 0, factor)
    monkeypatch.setattr("runtime.rest.enhance.explained", lambda photo: every_change)
    photo = noisy(90, 100, sigma=4)
    change, picture = (
        enhanced(photo, network(64, 64, adds=adds), RestoreSettings()) for adds in (True, False)
    )
    assert np.abs(change.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("fault", ["nan", "raises"])
def test_a_network_that_fails_is_named_in_one_line(fault: str) -> None:
    def run(tile: Tile) -> Tile:
        if fault == "raises":
            raise RuntimeError("out of\nmemory")
        return np.full((1, 3, 64, 64), np.nan, np.float32)

    with pytest.raises(BackendError, match=r"^the photo network smooth .*$") as error:
        enhanced(noisy(70, 70), replace(network(64, 64), run=run), RestoreSettings())
    assert "\n" not in str(error.value)
