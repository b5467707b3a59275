"""The bundled photo network: what it takes away, and what it leaves."""

from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest

from portraits.damage import Portrait, compressed
from portraits.likeness import psnr
from runtime import RestoreSettings
from runtime.network.backends import Backend
from runtime.pixels import eight_bit
from runtime.rest.enhance import enhanced
from runtime.rest.network import PhotoNetwork
from runtime.rest.opening import open_photo_network

CPU = cast(Backend, SimpleNamespace(name="onnxruntime", device="cpu"))


@pytest.fixture(scope="module")
def network() -> PhotoNetwork:
    return open_photo_network(None, CPU, 1)


@pytest.fixture(scope="module")
def photo() -> Portrait:
    """A flag, a space shuttle's model and folds of cloth; no face."""
    from skimage.data import astronaut

    picture = astronaut()[200:440, 250:490]  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(picture)


def noisy(photo: Portrait, sigma: float) -> Portrait:
    return np.rint(np.clip(photo + np.random.default_rng(0).normal(0, sigma, photo.shape), 0, 255)).astype(
        np.uint8
    )


def restored(photo: Portrait, network: PhotoNetwork) -> Portrait:
    return eight_bit(enhanced(photo, network, RestoreSettings(scope="photo")))


@pytest.mark.parametrize(
    ("sigma", "quality", "least"), [(10, None, 3.0), (25, None, 5.0), (0, 30, 0.4), (10, 50, 0.6)]
)
def test_noise_and_jpeg_damage_go(
    network: PhotoNetwork, photo: Portrait, sigma: float, quality: int | None, least: float
) -> None:
    damaged = noisy(photo, sigma)
    damaged = compressed(damaged, quality) if quality else damaged
    better = restored(damaged, network)
    assert psnr(better, photo) - psnr(damaged, photo) > least
    np.testing.assert_allclose(better.mean(axis=(0, 1)), damaged.mean(axis=(0, 1)), atol=0.3)


def test_a_clean_photo_stays(network: PhotoNetwork, photo: Portrait) -> None:
    assert psnr(restored(photo, network), photo) > 45


def test_fine_texture_is_neither_taken_for_noise_nor_lost_under_it(network: PhotoNetwork) -> None:
    rng = np.random.default_rng(5)
    grains = cv2.GaussianBlur(rng.normal(0, 1, (240, 240)).astype(np.float32), (0, 0), 0.7)
    depth = cv2.resize(rng.uniform(0.4, 1, (8, 8)).astype(np.float32), (240, 240))
    shade = 90 + 10 * depth * grains / grains.std()
    leaves = np.rint(np.stack([0.7 * shade, shade, 0.5 * shade], axis=2)).astype(np.uint8)
    assert psnr(restored(leaves, network), leaves) > 36
    damaged = noisy(leaves, 5)
    assert psnr(restored(damaged, network), leaves) > psnr(damaged, leaves)


def test_out_of_focus_areas_get_no_texture(network: PhotoNetwork) -> None:
    rows, columns = np.mgrid[:160, :160] / 160
    planes = [90 + 60 * rows, 120 + 40 * columns, 100 + 30 * np.sin(3 * rows)]
    blurred = np.rint(np.stack(planes, axis=2)).astype(np.uint8)
    left = restored(noisy(blurred, 9), network)[24:-24, 24:-24] - blurred[24:-24, 24:-24].astype(float)
    assert left.std() < 9 / 3
    assert abs(left.mean()) < 0.3
