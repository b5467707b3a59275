"""Damage in batches does what cameras, printers and libjpeg do, to each crop by itself."""

import io

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from engines.errors import SettingsError
from training.augmentation import Augmentation, View, augment, draw_view
from training.blurring import Blur, blur
from training.damage import PUBLISHED, Damage, damage, draw
from training.degradation import SHARES, Ranges, degrade
from training.jpeg import through_jpeg
from training.noises import Noise, add_noise
from training.resampling import KERNELS, enlarge, shrink
from training.scratching import Mark
from training.stream import make_batch, stacked
from training.tones import Tone

CPU = torch.device("cpu")
NOTHING_ELSE = dict.fromkeys(SHARES, 0.0)


@pytest.fixture(scope="module")
def face(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The face of the portrait, 128×128."""
    return np.asarray(cv2.resize(portrait[:256, 100:356], (128, 128), interpolation=cv2.INTER_AREA), np.uint8)


def tensor(*crops: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()


def pixels(crop: Tensor) -> NDArray[np.float32]:
    return crop.permute(1, 2, 0).numpy()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def psnr(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


def test_jpeg_in_torch_resembles_libjpeg_at_every_quality_of_a_batch(face: NDArray[np.uint8]) -> None:
    qualities = [5, 30, 49, 50, 60, 75, 90, 100]
    found = through_jpeg(tensor(*[face] * len(qualities)), qualities)
    for crop, quality in zip(found, qualities, strict=True):
        file = io.BytesIO()
        Image.fromarray(face).save(file, "JPEG", quality=quality)
        expected = np.asarray(Image.open(file))
        assert np.abs(pixels(crop) - expected).mean() < 0.9
        assert psnr(pixels(crop), expected) > psnr(face, expected) + 4


def test_a_round_blur_is_opencvs(face: NDArray[np.uint8]) -> None:
    sigmas = [0.8, 1.5, 3.0]
    found = blur(tensor(*[face] * 3), [Blur(sigma, sigma, 0.7) for sigma in sigmas])
    for crop, sigma in zip(found, sigmas, strict=True):
        expected = cv2.GaussianBlur(face.astype(np.float32), (0, 0), sigma)
        assert np.abs(pixels(crop) - expected).mean() < 0.3


def test_no_blur_changes_nothing_and_any_blur_keeps_the_mean(face: NDArray[np.uint8]) -> None:
    crops = tensor(face, face)
    plain, moved = blur(crops, [Blur(0, 0, 0), Blur(0.5, 2, 0.3, 6)])
    assert (plain - crops[0]).abs().max() < 1e-2
    grey = torch.full((1, 3, 64, 64), 90.0)
    assert (blur(grey, [Blur(1, 2, 1, 5)]) - 90).abs().max() < 1e-3
    assert (moved - crops[1]).abs().mean() > 1


def test_a_movement_blurs_along_its_angle_only() -> None:
    point = torch.zeros(1, 1, 64, 64)
    point[..., 32, 32] = 255
    (spread,) = blur(point, [Blur(0.6, 0.6, 0.0, length=9)])[0]
    row, column = spread.sum(0), spread.sum(1)
    assert int((row > 0.05 * row.max()).sum()) in range(9, 13)
    assert int((column > 0.05 * column.max()).sum()) <= 5


@pytest.mark.parametrize("size", [128, 100, 47, 16])
def test_shrinking_by_areas_and_enlarging_are_opencvs(face: NDArray[np.uint8], size: int) -> None:
    expected = cv2.resize(face.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    small = shrink(tensor(face), [size], ["area"])
    assert np.abs(pixels(small[0])[:size, :size] - expected).max() < 0.01
    assert torch.equal(
        small[0, :, :size, size:], small[0, :, :size, size - 1 :][..., :1].expand(-1, -1, 128 - size)
    )
    back = cv2.resize(expected, (128, 128), interpolation=cv2.INTER_CUBIC)
    inner = slice(12, -12)  # at the edges OpenCV repeats the last pixel, here the weights are shared out
    found = pixels(enlarge(small, [size], ["cubic"])[0])
    assert np.abs(found - back)[inner, inner].max() < 0.05


@settings(max_examples=25)
@given(size=st.integers(8, 64), kernel=st.sampled_from(KERNELS), level=st.integers(0, 255))
def test_every_kernel_keeps_an_even_picture_even(size: int, kernel, level: int) -> None:  # type: ignore[no-untyped-def]
    even = torch.full((1, 3, 64, 64), float(level))
    small = shrink(even, [size], [kernel])
    assert (small - level).abs().max() < 1e-2
    assert (enlarge(small, [size], [kernel]) - level).abs().max() < 1e-2


def test_noise_has_the_strength_and_the_kind_that_was_asked_for() -> None:
    levels = torch.cat([torch.full((1, 3, 64, 64), level) for level in (40.0, 160.0)]).repeat(4, 1, 1, 1)
    kinds = [
        *[Noise("white", 8)] * 2,
        *[Noise("shot", 8)] * 2,
        *[Noise("grain", 8, coloured=False, grain_size=1.2)] * 2,
        *[Noise("dark", 8, gain=4)] * 2,
    ]
    difference = add_noise(levels, kinds, generator()) - levels
    spread = difference.std((1, 2, 3)).tolist()
    assert spread[0] == pytest.approx(8, rel=0.05)
    assert spread[1] == pytest.approx(8, rel=0.05)
    assert spread[3] / spread[2] == pytest.approx(2, rel=0.1)  # four times the light, twice the noise
    assert torch.equal(difference[4, 0], difference[4, 1])
    neighbours = [float((d[0, :, 1:] * d[0, :, :-1]).mean() / d[0].square().mean()) for d in difference]
    assert abs(neighbours[0]) < 0.1 < 0.5 < neighbours[4]
    assert spread[6] > 3
    assert set((difference[6] + 40).unique().tolist()) <= set(range(0, 256, 4))  # the dark has few levels


def test_grey_and_sepia_and_darkness_are_in_the_target_too(face: NDArray[np.uint8]) -> None:
    tones = [Tone("grey"), Tone("sepia", 1.0), Tone(light=0.1)]
    crops = tensor(face, face, face)
    degraded, target = damage(crops, [Damage(("blur",), tone, Blur(1, 1, 0)) for tone in tones], generator())
    assert torch.equal(target[0, 0], target[0, 2])
    assert torch.equal(degraded[0, 0], degraded[0, 2])
    assert target[1, 0].mean() > target[1, 1].mean() > target[1, 2].mean()
    assert target[2].mean() == pytest.approx(float(crops[2].mean()) * 0.1 ** (1 / 2.2), rel=0.02)
    assert (degraded.mean((1, 2, 3)) - target.mean((1, 2, 3))).abs().max() < 0.5


def test_scratches_are_in_the_degraded_crop_only(face: NDArray[np.uint8]) -> None:
    mark = Mark(0.5, 0.5, 0.0, 2.0, 0.03, 0.0, 1.0, light=1.0, opacity=1.0)
    degraded, target = damage(tensor(face), [Damage(("scratch",), size=128, marks=(mark,))], generator())
    assert torch.equal(target, tensor(face))
    columns = (degraded - target)[0].abs().sum((0, 1)).nonzero().flatten().tolist()
    assert {63, 64} <= set(columns) <= set(range(60, 68))
    assert (degraded[0, :, :, 63] == 255).all()


def test_each_crop_of_a_batch_is_damaged_as_it_would_be_alone(face: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(3)
    quiet = Ranges(noise=(0, 0), low_light=0, untouched=0.2)
    damages = [draw(rng, quiet, 128) for _ in range(8)]
    together, _ = damage(tensor(*[face] * 8), damages, generator())
    for crop, its_damage in zip(together, damages, strict=True):
        alone, _ = damage(tensor(face), [its_damage], generator())
        # The order of a sum may decide where a level is rounded to; JPEG then makes more of it.
        assert (alone[0] - crop).abs().mean() < 0.1


def test_the_core_of_the_batch_is_the_published_chain(face: NDArray[np.uint8]) -> None:
    def level(ranges: Ranges) -> tuple[float, float]:
        batch = [draw(np.random.default_rng(i), ranges, 128) for i in range(24)]
        assert all(d.steps == PUBLISHED and d.tone == Tone() for d in batch)
        found, _ = damage(tensor(*[face] * 24), batch, generator())
        chain = [degrade(face, np.random.default_rng((1, i)), ranges) for i in range(48)]
        return (
            float(np.mean([psnr(pixels(crop), face) for crop in found])),
            float(np.mean([psnr(crop, face) for crop in chain])),
        )

    for ranges in (
        Ranges(**NOTHING_ELSE),
        Ranges(blur=(2, 2), downscale=(3, 3), noise=(6, 6), jpeg=(75, 75), **NOTHING_ELSE),
    ):
        batched, published = level(ranges)
        assert batched == pytest.approx(published, abs=0.2 if ranges.blur[0] == 2 else 1.2)


def test_shares_of_one_bring_what_they_name() -> None:
    def drawn(**shares: float) -> list[Damage]:
        ranges = Ranges(**{**NOTHING_ELSE, **shares})
        return [draw(np.random.default_rng(i), ranges, 256) for i in range(40)]

    assert all(d.untouched for d in drawn(untouched=1))
    assert all(d.blur.length > 0 for d in drawn(motion=1))
    assert all(d.blur.across < d.blur.along for d in drawn(uneven_blur=1))
    assert all(d.noise.kind == "grain" for d in drawn(grain=1))
    assert all(d.noise.kind == "shot" for d in drawn(shot_noise=1))
    assert all(d.noise.kind == "dark" and d.tone.light < 1 for d in drawn(low_light=1))
    assert all(d.tone.colours == "sepia" and not d.noise.coloured for d in drawn(sepia=1))
    assert all(d.marks and "scratch" in d.steps for d in drawn(scratches=1))
    assert len({d.steps for d in drawn(shuffled=1)}) > 10
    assert {len(d.steps) for d in drawn(partial=1)} == {1, 2, 3, 4}
    assert {d.steps for d in drawn(single=1)} == {("blur",), ("shrink",), ("noise",), ("jpeg",)}
    assert {d.shrink_kernel for d in drawn(other_kernels=1)} == set(KERNELS)
    light = drawn(light=1)
    assert max(d.blur.along for d in light) <= (0.1 + 9.9 / 4) / 2
    assert max(d.noise.sigma for d in light) <= 5
    assert min(d.quality for d in light) >= 90
    assert min(d.size for d in light) >= 256 / 2.75 - 1


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ({"grain": 1.5}, "grain is 1.5"),
        ({"blur": (3.0, 1.0)}, "blur is 3 to 1"),
        ({"jpeg": (0, 50)}, "jpeg is 0 to 50"),
        ({"motion_length": (0.0, 99.0)}, "motion_length is 0 to 99"),
    ],
)
def test_ranges_that_cannot_be_are_refused(ranges: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Ranges(**ranges)  # type: ignore[arg-type]


def test_the_published_chain_gives_the_crops_of_the_first_benchmark(face: NDArray[np.uint8]) -> None:
    # Computed before there were other damages; the shares of those must not change what is drawn.
    found = [
        degrade(face, np.random.default_rng((seed, 7)), Ranges(untouched=0.0)).astype(np.float64).mean((0, 1))
        for seed in (0, 1)
    ]
    expected = [(159.18, 143.21, 131.77), (158.29, 143.58, 131.49)]
    np.testing.assert_allclose(found, expected, atol=0.2)  # OpenCV's versions may round in other places


def test_untouched_crops_stay_as_they_are(face: NDArray[np.uint8]) -> None:
    assert np.array_equal(degrade(face, np.random.default_rng(0), Ranges(untouched=1)), face)
    crops = tensor(face, face)
    degraded, target = damage(crops, [Damage(), Damage(("blur",), blur=Blur(2, 2, 0))], generator())
    assert torch.equal(degraded[0], crops[0])
    assert torch.equal(target, crops)
    assert not torch.equal(degraded[1], crops[1])


def test_a_batch_depends_on_the_seed_and_its_number_alone(portrait: NDArray[np.uint8]) -> None:
    portraits = stacked([portrait, portrait[::-1]], 64, CPU)
    one, same, next_one, other = (
        make_batch(portraits, 64, 4, Ranges(), Augmentation(), seed, step)
        for seed, step in ((1, 5), (1, 5), (1, 6), (2, 5))
    )
    assert torch.equal(one.degraded, same.degraded)
    assert torch.equal(one.target, same.target)
    assert not torch.equal(one.target, next_one.target)
    assert not torch.equal(one.target, other.target)
    assert one.degraded.shape == (4, 3, 64, 64)
    assert one.degraded.abs().max() <= 1
    untouched = [torch.equal(a, b) for a, b in zip(one.degraded, one.target, strict=True)]
    assert untouched == one.untouched.tolist()


def test_a_view_that_is_not_moved_is_the_portrait_or_its_mirror_image(portrait: NDArray[np.uint8]) -> None:
    still = Augmentation(still=1, light=0, contrast=0, gamma=0, tint=0, saturation=0)
    views = [draw_view(np.random.default_rng(seed), still) for seed in range(6)]
    crop = tensor(portrait[:64, 200:264]).byte()
    found = augment(crop.expand(6, -1, -1, -1), views, 64)
    for view, result in zip(views, found, strict=True):
        mirrored = view.matrix[0, 0] < 0
        assert (result - (crop.flip(3) if mirrored else crop)[0].float()).abs().max() <= 1
    assert len({view.matrix[0, 0] for view in views}) == 2


def test_a_view_is_the_warp_that_its_matrix_says(portrait: NDArray[np.uint8]) -> None:
    angle, size = 0.1, 128
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine, -sine, 0.05], [sine, cosine, -0.02], [0, 0, 1]])
    colours = np.column_stack([np.eye(3), np.zeros(3)])
    crop = portrait[:size, 180 : 180 + size]
    (found,) = augment(tensor(crop).byte(), [View(matrix, np.zeros((2, 5, 5)), colours, 1.0)], size)
    half = size / 2
    to_unit = np.array([[1 / half, 0, 0.5 / half - 1], [0, 1 / half, 0.5 / half - 1], [0, 0, 1]])
    in_pixels = (np.linalg.inv(to_unit) @ matrix @ to_unit)[:2]
    expected = cv2.warpAffine(crop, in_pixels, (size, size), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    inner = slice(16, -16)
    assert np.abs(pixels(found)[inner, inner] - expected[inner, inner]).mean() < 1


def test_views_of_a_portrait_differ_but_stay_pictures(portrait: NDArray[np.uint8]) -> None:
    views = [draw_view(np.random.default_rng(seed), Augmentation()) for seed in range(12)]
    found = augment(tensor(portrait).byte().expand(12, -1, -1, -1), views, 64)
    assert found.shape == (12, 3, 64, 64)
    assert (found == found.round()).all()
    assert float(found.std((1, 2, 3)).min()) > 10
    assert min(float((a - b).abs().mean()) for i, a in enumerate(found) for b in found[:i]) > 1
