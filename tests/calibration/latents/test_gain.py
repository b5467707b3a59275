"""Whether the loop moves the latent is measured, kept in the package, and done."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from base.files import json_bytes
from engines.package import MANIFEST, Latents, open_package
from runtime import Restorer, RestoreSettings

Pixels = NDArray[np.uint8]


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
