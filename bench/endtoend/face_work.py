"""What a face of 512 pixels costs beside the network: aligned, masked, degraded, composed and pasted."""

import time
from collections.abc import Callable
from typing import TypeVar

import cv2
import numpy as np

from bench.photos import Photo
from runtime import preset
from runtime.faces.align import align
from runtime.faces.face import Face
from runtime.faces.no_information import find_missing, keep_missing
from runtime.faces.regions import region_weights
from runtime.finish.compose import HandBack, face_noise
from runtime.finish.paste import paste_all
from runtime.network.degrade import degrade
from runtime.network.schedule import kappa

SIZE = 512
"""S of the crop."""
PRESET = "early-digital"
"""Whose weights differ by region, so that every mask is painted, and which hands a share back."""

Done = TypeVar("Done")


def face_work(photo: Photo, face: Face) -> tuple[dict[str, float], dict[str, float]]:
    """Do everything but the network for one face; return the stages' seconds, and their CPU seconds."""
    settings = preset(PRESET)
    seconds: dict[str, float] = {}
    cpu_seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Done]) -> Done:
        start, cpu = time.perf_counter(), time.process_time()
        done = work()
        seconds[stage], cpu_seconds[stage] = time.perf_counter() - start, time.process_time() - cpu
        return done

    pasted = photo.copy()
    aligned = timed("align", lambda: align(photo, face, SIZE))
    rho, missing = timed(
        "masks", lambda: (region_weights(aligned, settings.face_mask_weights), find_missing(aligned))
    )
    degraded = timed("degrade", lambda: degrade(aligned.crop, settings.degradation_scale))
    restored = np.asarray(cv2.GaussianBlur(degraded, (0, 0), 1), np.float32)  # stands for the network's
    back = timed(
        "hand back",
        lambda: HandBack(
            keep_missing(kappa(settings.latent_step_decay, rho, settings.iterations), missing),
            face_noise(photo, aligned),
        ),
    )
    timed("compose and paste", lambda: paste_all(pasted, [(aligned, restored)], [back]))
    return seconds, cpu_seconds
