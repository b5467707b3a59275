"""Restore whole photos in ONNX Runtime on a GPU and on the CPU: how far they differ, and their stages."""

import math
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from base.decibels import decibels
from bench.photos import photo_with_faces
from bench.report import counted
from runtime.restorer import Restorer
from runtime.settings.presets import preset

PHOTOS: tuple[tuple[float, int], ...] = ((1, 1), (12, 8), (12, 29))
"""Megapixels and faces."""
STYLES = ("standard", "classic")
TURNS = 2
"""The last one counts: in the first, cuDNN tries its algorithms for every size of batch."""
BLUR = 6.0
"""σ in pixels of the blur that the photos are given, so that there is something to restore."""


def whole_photos(
    device: str = "cuda:0", where: str | None = None, photos: Sequence[tuple[float, int]] = PHOTOS
) -> dict[str, Any]:
    """Return the figures of each photo and preset. Raises GpenEdgeError."""
    found: dict[str, Any] = {}
    with (
        Restorer.open(where, backend="onnxruntime", device="cpu") as on_cpu,
        Restorer.open(where, backend="onnxruntime", device=device) as on_gpu,
    ):
        for megapixels, faces in photos:
            photo = np.asarray(cv2.GaussianBlur(photo_with_faces(megapixels, faces), (0, 0), BLUR), np.uint8)
            for style in STYLES:
                expected, cpu = _restored(on_cpu, photo, style)
                restored, gpu = _restored(on_gpu, photo, style)
                exact = expected.astype(np.float32)
                difference = np.abs(restored - exact)
                found[f"{megapixels:g} megapixels, {counted(faces, 'face')}, {style}"] = {
                    "levels changed by the restoration": int(np.abs(photo - exact).max()),
                    "largest difference in levels": int(difference.max()),
                    "dB from the CPU": round(
                        decibels(max(float(np.square(difference).mean()), 1e-10), 255), 1
                    ),
                    "ms on cpu": cpu,
                    f"ms on {device}": gpu,
                }
    return found


def _restored(
    restorer: Restorer, photo: NDArray[np.uint8], style: str
) -> tuple[NDArray[Any], dict[str, float]]:
    """Return the restored photo, and the milliseconds of all and of each stage."""
    for _ in range(TURNS):
        started = time.perf_counter()
        result = restorer.restore(photo, preset(style, budget=math.inf))
        seconds = time.perf_counter() - started
    stages = {stage: round(milliseconds, 1) for stage, milliseconds in result.timings.items()}
    return result.photo, {"all": round(1e3 * seconds, 1)} | stages
