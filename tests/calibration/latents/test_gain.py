"""Whether the loop moves the latent is measured, kept in the package, and done."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from base.files import json_bytes
from calibration.latents.gain import TOLERATED, gain_of_moving
from engines.package import MANIFEST, Latents, open_package
from runtime import Restorer, RestoreSettings
from runtime.network.backends import open_backend

Pixels = NDArray[np.uint8]


def test_the_bundled_model_loses_by_moving_its_latent_and_holds_it(portrait: Pixels) -> None:
    package = open_package()
    face = cv2.resize(portrait[:400, 60:460], (256, 256), interpolation=cv2.INTER_AREA)
    views = np.stack([face, face[:, ::-1]]).astype(np.float32) / 255
    backend = open_backend("auto", package)
    assert gain_of_moving(backend, views) < -TOLERATED
    backend.close()
    latents = package.manifest.latents
    assert latents is not None
    assert latents.gain_of_moving < -TOLERATED
    assert package.manifest.holds_latent


@pytest.mark.parametrize("held", [False, True])
def test_the_loop_moves_the_latent_unless_the_package_holds_it(
    held: bool, tiny_package: Path, tmp_path: Path, portrait: Pixels
) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    opened = open_package(tiny_package)
    for file in tiny_package.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    latents = Latents(portraits=8, gain_of_moving=-1, held=held)
    (folder / MANIFEST).write_bytes(json_bytes(replace(opened.manifest, latents=latents)))
    with Restorer.open(folder) as restorer:
        (face,) = restorer.restore(portrait, RestoreSettings(budget=600)).faces
    assert face.loop is not None
    assert (face.loop.passes == 1) == held
    assert face.progress == pytest.approx(1 - 0.9**30)
