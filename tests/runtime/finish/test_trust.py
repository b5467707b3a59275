"""How far the network is trusted: a hardly damaged face keeps its own pixels, a damaged one is restored."""

from dataclasses import replace
from itertools import cycle

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from portraits.aligned import AlignedPortraits
from portraits.damage import compressed
from runtime import Restorer, preset
from runtime.faces.align import AlignedFace, align
from runtime.faces.noise import BAND_NOISE
from runtime.finish.trust import Evidence, blocks, damage, fineness, grain_like, reduced, sharpness
from runtime.settings.presets import PRESETS

Pixels = NDArray[np.uint8]
Picture = NDArray[np.float32]
SIZE = 256


def head(side: int = SIZE) -> Picture:
    """The astronaut's head, aligned, with sharp edges, of 255."""
    soft = cv2.resize(
        skimage.data.astronaut()[20:220, 120:320], (side, side), interpolation=cv2.INTER_CUBIC
    ).astype(np.float32)
    return np.clip(soft + 1.2 * (soft - cv2.GaussianBlur(soft, (0, 0), 0.8)), 0, 255)


def grain(size: float, sigma: float, channels: int = 1, side: int = SIZE) -> Picture:
    """Grain whose grains are so many pixels large."""
    white = np.random.default_rng(3).normal(0, 1, (side, side, channels)).astype(np.float32)
    coarse = (cv2.GaussianBlur(white, (0, 0), size) if size else white).reshape(side, side, channels)
    return np.asarray(sigma * coarse / coarse.std(), np.float32)


def rounded(picture: Picture) -> Pixels:
    return np.asarray(np.rint(np.clip(picture, 0, 255)), np.uint8)


def aligned(photo: Pixels) -> AlignedFace:
    (face,) = AlignedPortraits().detect(photo)
    return align(photo, face, SIZE)


def middle(picture: NDArray[np.generic]) -> Picture:
    """The features of the face."""
    side = len(picture)
    return picture[3 * side // 8 : 3 * side // 4, side // 4 : 3 * side // 4].astype(np.float32)


def error(picture: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    return float(np.mean((middle(picture) - middle(truth)) ** 2))


HARDLY: dict[str, Pixels] = {
    "as it is": rounded(head()),
    "a trace of blur": rounded(cv2.GaussianBlur(head(), (0, 0), 0.4)),
    "a trace of noise": rounded(head() + grain(0, 1.5, 3)),
    "a good JPEG": compressed(rounded(head()), 92),
    "pores": rounded(head() + grain(0.8, 5)),
    "large, as it is": rounded(head(400)),
}


@pytest.mark.parametrize(
    ("damaged", "name"),
    [*((damaged, "standard") for damaged in HARDLY), ("pores", "classic"), ("a trace of noise", "low-light")],
)
def test_a_hardly_damaged_face_stays_as_it_is(bundled: Restorer, damaged: str, name: str) -> None:
    photo = HARDLY[damaged]
    result = bundled.restore(photo, preset(name, budget=600)).photo
    assert error(result, photo) < 1.5**2


@pytest.mark.parametrize(("name", "side"), [*zip(PRESETS, cycle([240, 400]), strict=False)])
def test_pores_stay_whatever_the_size_of_the_face(bundled: Restorer, side: int, name: str) -> None:
    photo = rounded(head(side) + grain(0.8, 5, side=side))
    result = bundled.restore(photo, preset(name, budget=600)).photo
    before, after = (
        middle(picture) - cv2.GaussianBlur(middle(picture), (0, 0), 1) for picture in (photo, result)
    )
    assert (after**2).mean() > 0.8 * (before**2).mean()


@pytest.mark.parametrize("size", [1.0, 3.0])
def test_coarse_grain_does_not_cost_the_features(bundled: Restorer, size: float) -> None:
    truth = head()
    photo = rounded(truth + grain(size, 12))
    assert error(bundled.restore(photo, preset("standard", budget=600)).photo, truth) <= error(photo, truth)


@pytest.mark.parametrize("name", ["standard", "classic"])
def test_a_damaged_face_is_still_restored(bundled: Restorer, name: str) -> None:
    truth = head()
    for photo in (rounded(truth + grain(0, 12, 3)), rounded(cv2.GaussianBlur(truth, (0, 0), 2))):
        restored = bundled.restore(photo, preset(name, budget=600)).photo
        assert error(restored, truth) < 0.9 * error(photo, truth)


def noise_alone(evidence: Evidence, drawn: Picture) -> float:
    return evidence.noise_alone(evidence.sharp(drawn))


def trusted(photo: Pixels, drawn: Picture) -> Picture:
    evidence = Evidence(photo, aligned(photo))
    return evidence.trusted(drawn, noise_alone(evidence, drawn))


def test_what_the_network_sharpens_is_the_networks() -> None:
    restored = head() / 255
    photo = rounded(cv2.GaussianBlur(head(), (0, 0), 1.5))
    assert np.array_equal(trusted(photo, restored), restored)


def test_what_the_network_takes_away_returns_unless_it_is_noise() -> None:
    photo = rounded(head())
    smeared = cv2.GaussianBlur(head(), (0, 0), 0.6) / 255
    assert error(trusted(photo, smeared) * 255, photo) < 0.1 * error(smeared * 255, photo)
    noisy = rounded(head() + grain(0, 10, 3))
    kept = trusted(noisy, np.asarray(head() / 255))
    assert error(kept * 255, head()) < 0.05 * error(noisy, head())


def test_edges_are_as_sharp_as_the_network_draws_them_whatever_the_noise() -> None:
    drawn = head() / 255
    noise = grain(0, 15, 3) / 255
    assert sharpness(drawn, drawn, 1) == 1
    assert sharpness(drawn + noise, drawn, 1) == pytest.approx(1, abs=0.2)
    assert sharpness(cv2.GaussianBlur(drawn, (0, 0), 0.4), drawn, 1) > 0.8
    assert sharpness(cv2.GaussianBlur(drawn, (0, 0), 1), drawn, 1) == 0
    assert sharpness(cv2.GaussianBlur(drawn, (0, 0), 1) + noise, drawn, 1) == pytest.approx(0, abs=0.2)


def test_a_face_smaller_than_the_crop_is_as_sharp_as_its_pixels_allow() -> None:
    drawn = head() / 255
    small = cv2.resize(drawn, (128, 128), interpolation=cv2.INTER_AREA)
    crop = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    soft = cv2.resize(cv2.GaussianBlur(small, (0, 0), 0.8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    assert sharpness(reduced(crop, 0.5), reduced(drawn, 0.5), 0.5) > 0.8
    assert sharpness(crop, drawn, 1) == sharpness(reduced(soft, 0.5), reduced(drawn, 0.5), 0.5) == 0


def test_a_small_face_is_as_sharp_as_its_photo() -> None:
    photo = rounded(cv2.resize(head(), (96, 96), interpolation=cv2.INTER_AREA))
    drawn = np.asarray(head() / 255)
    assert noise_alone(Evidence(photo, aligned(photo)), drawn) > 0.9
    blurred = rounded(cv2.GaussianBlur(photo, (0, 0), 1.2))
    assert noise_alone(Evidence(blurred, aligned(blurred)), drawn) == 0


def test_a_cover_does_not_make_a_blurred_face_sharp() -> None:
    drawn = head() / 255
    blurred = cv2.GaussianBlur(drawn, (0, 0), 1)
    cover = np.zeros((SIZE, SIZE), np.float32)
    cover[SIZE // 2 :] = 1
    checks = np.float32(0.2) + np.float32(0.6) * (np.add(*np.indices((SIZE, SIZE)) // 4) % 2)[..., None]
    sharp, soft = (np.where(cover[..., None] > 0, checks, face) for face in (drawn, blurred))
    assert sharpness(soft, sharp, 1) == 1
    assert sharpness(soft, sharp, 1, cover) == 0
    assert sharpness(sharp, sharp, 1, cover) == 1


def half_lit(picture: Picture, dark: float = 0.1) -> Picture:
    """The head with one side in shadow."""
    columns = (np.arange(len(picture)) - 0.5 * len(picture)) / 4
    return picture * np.float32(dark + (1 - dark) / (1 + np.exp(-columns)))[None, :, None]


def behind_a_blind(picture: Picture) -> Picture:
    """The head in stripes of light."""
    stripes = np.where(np.arange(len(picture)) // 20 % 2, 1, np.float32(0.3))[:, None]
    return picture * cv2.GaussianBlur(stripes, (1, 0), 0, sigmaY=2)[..., None]


def test_a_crop_with_fine_edges_is_sharp_and_a_blurred_one_is_not_whatever_its_light_and_noise() -> None:
    def fine(picture: Picture, sigma: float = 0) -> float:
        noise = np.outer(BAND_NOISE, np.full(3, sigma)).astype(np.float32)
        return fineness((picture + grain(0, sigma, 3) if sigma else picture) / 255, noise / 255, 1)

    for lit in (np.asarray, half_lit, behind_a_blind):
        assert fine(lit(head())) == 1
        assert fine(lit(head()), 4) == 1
        assert fine(lit(cv2.GaussianBlur(head(), (0, 0), 1.2))) == 0
        assert fine(lit(cv2.GaussianBlur(head(), (0, 0), 1.2)), 4) == 0
    assert fine(np.full_like(head(), 90), 8) == 0


@pytest.mark.parametrize("gain", [1, 12, 20])
def test_the_steps_of_rounding_do_not_make_a_blurred_face_sharp(gain: float) -> None:
    faint = head() / gain
    sharp, blurred = rounded(faint), rounded(cv2.GaussianBlur(faint, (0, 0), 3))
    drawn = np.asarray((blurred + faint) / 2 / 255, np.float32)
    assert noise_alone(Evidence(sharp, aligned(sharp), gain), faint / 255) == 1
    assert noise_alone(Evidence(blurred, aligned(blurred), gain), drawn) == 0


def test_the_soft_edge_of_a_shadow_is_no_blur(bundled: Restorer) -> None:
    photo = rounded(behind_a_blind(head()))
    result = bundled.restore(photo, preset("standard", budget=600)).photo
    assert error(result, photo) < 1


@pytest.mark.parametrize("side", [256, 400])
def test_noise_and_coarse_grain_are_damage_and_pores_are_none(side: int) -> None:
    def found(picture: Picture) -> NDArray[np.floating]:
        photo = rounded(picture)
        return 255 * damage(photo / np.float32(255), aligned(photo), np.ones(3, np.float32)).mean(axis=1)

    assert found(head(side)).max() < 1.8
    assert found(head(side) + grain(0.8, 5, side=side)).max() < 1.8
    assert found(head(side) + grain(0, 10, 3, side))[0] > 0.5 * 8.9 * SIZE / side
    assert found(head(side) + grain(2, 15, side=side))[1:].min() > 2


def with_cloth(picture: Picture) -> Picture:
    """The head with rough cloth on both sides."""
    cloth = 120 + grain(1, 22) + grain(3, 10)
    beside = np.abs(np.arange(SIZE) - SIZE / 2)[None, :, None] > 0.32 * SIZE
    return np.asarray(np.where(beside, cloth, picture), np.float32)


def test_texture_around_a_face_is_no_grain_of_the_face() -> None:
    def found(picture: Picture) -> NDArray[np.floating]:
        crop = aligned(rounded(head()))
        face = replace(crop, crop=rounded(picture) / np.float32(255))
        return 255 * damage(face.crop, face, np.ones(3, np.float32)).mean(axis=1)

    assert found(with_cloth(head())).max() < 2.3
    assert found(with_cloth(head()) + grain(0, 10, 3))[0] > 0.5 * 8.9


def test_texture_around_a_face_does_not_soften_it(bundled: Restorer) -> None:
    photo = rounded(with_cloth(head()))
    found = bundled.detect(HARDLY["as it is"])
    assert error(bundled.restore(photo, preset("standard", budget=600), found=found).photo, photo) < 1.5**2


@pytest.mark.parametrize("side", [256, 400])
def test_texture_is_grain_if_it_is_everywhere_or_without_colour(side: int) -> None:
    def finest(picture: Picture) -> float:
        photo = rounded(picture)
        return 255 * float(damage(photo / np.float32(255), aligned(photo), np.ones(3, np.float32))[0].mean())

    colour = head(side)
    grey = np.repeat(colour.mean(axis=2, keepdims=True), 3, axis=2)
    pores, film = grain(0.8, 5, side=side), grain(1, 9, side=side)
    skin = cv2.ellipse(
        np.zeros((side, side, 1), np.float32), (side // 2,) * 2, (side // 3,) * 2, 0, 0, 360, 1, -1
    )
    for face in (colour, grey):
        assert finest(face + pores) < 1.8
        assert finest(face + film) > 3
    assert finest(colour + skin * film) < 1.8


def test_fine_hairs_are_not_grain() -> None:
    photo, random = np.ascontiguousarray(head(400) + grain(0.8, 5, side=400)), np.random.default_rng(5)
    assert grain_like(aligned(rounded(photo + grain(1, 8, side=400))).crop) > 0.9
    for x, y in random.integers(0, 400, (1500, 2)).tolist():
        end = (x + int(random.integers(-2, 3)), y + 10)
        cv2.line(photo, (x, y), end, (0.6 * photo[y, x]).tolist(), 1, cv2.LINE_AA)
    assert grain_like(aligned(rounded(photo)).crop) < 0.1


def test_grain_everywhere_in_a_colour_photo_is_removed(bundled: Restorer) -> None:
    truth = head()
    photo = rounded(truth + grain(1, 10))
    result = bundled.restore(photo, preset("standard", budget=600)).photo
    assert error(result, truth) < 0.9 * error(photo, truth)


def test_blocks_are_seen_where_jpeg_left_them() -> None:
    photo = rounded(head(512))
    for picture, seen in ((photo, 0), (compressed(photo, 95), 0), (compressed(photo, 15), 1)):
        assert blocks(picture[3:, 5:] / np.float32(255)) == pytest.approx(seen, abs=0.1)
    assert blocks(np.zeros((9, 9, 3), np.float32)) == 0


def test_a_weight_of_zero_keeps_pixels_bit_for_bit(bundled: Restorer) -> None:
    photo = HARDLY["a trace of noise"]
    settings = replace(preset("classic", budget=600), face_mask_weights={"face": 0})
    assert np.array_equal(bundled.restore(photo, settings).photo, photo)
