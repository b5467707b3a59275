"""The bundled packages: the default, and the same network in half precision."""

import numpy as np
from numpy.typing import NDArray

from bench.measures import psnr
from engines.package import bundled_packages, open_package
from runtime import Restorer

Pixels = NDArray[np.uint8]


def test_the_bundled_packages_are_one_network_in_two_precisions() -> None:
    assert bundled_packages() == ("default", "default-fp16")
    full, half = (open_package(name).manifest for name in bundled_packages())
    assert (full.precision, half.precision) == ("fp32", "fp16")
    assert full.source == half.source
    assert full.holds_latent
    assert half.holds_latent


def test_they_restore_a_noisy_photo_alike(portrait: Pixels) -> None:
    noise = np.random.default_rng(0).normal(0, 10, portrait.shape)
    photo = np.clip(np.rint(portrait + noise), 0, 255).astype(np.uint8)
    restored = []
    for name in bundled_packages():
        with Restorer.open(name) as restorer:
            restored.append(np.asarray(restorer.restore(photo).photo, np.uint8))
    assert not np.array_equal(restored[0], photo)
    assert psnr(*restored) > 50
