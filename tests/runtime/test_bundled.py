"""The bundled package, and the checkpoint that it can be made of in every form."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import training
from engines.package import bundled_packages, open_package
from export.gpen import static
from export.gpen.checkpoint import load_checkpoint
from export.gpen.network import Gpen
from portraits.likeness import psnr
from runtime import Restorer
from runtime.network.backends import open_backend

Pixels = NDArray[np.uint8]
WEIGHTS = Path(training.__file__).parent / "weights" / "default.safetensors"


def test_the_bundled_package_looks_again_in_each_pass() -> None:
    assert bundled_packages() == ("default",)
    manifest = open_package().manifest
    assert manifest.precision == "fp32"
    assert manifest.loop_kind == "renewed"


def test_its_checkpoint_is_the_same_network(portrait: Pixels) -> None:
    face = cv2.resize(portrait[:400, 60:460], (256, 256), interpolation=cv2.INTER_AREA)
    crop = (face.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
    crop += np.random.default_rng(0).normal(0, 0.1, crop.shape).astype(np.float32)
    backend = open_backend("onnxruntime", open_package(), device="cpu", threads=1)
    state = backend.encode(crop)
    backend.generate(state)
    bundled = backend.restored(state)
    backend.close()
    loaded = load_checkpoint(WEIGHTS)
    with torch.no_grad():
        restored = static.restore(
            static.fold(Gpen.from_state(loaded.layout, loaded.state)), torch.from_numpy(crop)
        )
    change, difference = (np.square(bundled - other).mean() for other in (crop, restored.numpy()))
    assert difference < 3e-3 * change  # both were rounded to FP16, one after the other


def test_it_takes_noise_away(portrait: Pixels) -> None:
    noise = np.random.default_rng(0).normal(0, 10, portrait.shape)
    photo = np.clip(np.rint(portrait + noise), 0, 255).astype(np.uint8)
    with Restorer.open() as restorer:
        result = restorer.restore(photo)
    (face,) = result.faces
    x0, y0, x1, y1 = (round(edge) for edge in face.box)
    inside = np.s_[y0:y1, x0:x1]
    restored = np.asarray(result.photo, np.uint8)
    assert psnr(restored[inside], portrait[inside]) > psnr(photo[inside], portrait[inside]) + 2
