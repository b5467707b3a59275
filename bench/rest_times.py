"""The time that the rest of a photo takes: the photo network in each runtime, and non-local means."""

import importlib.util
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from bench.benchmark import Tick
from bench.timing import in_turns
from portraits.damage import Portrait
from runtime import RestoreSettings
from runtime.pixels import Pixels
from runtime.rest.enhance import enhanced
from runtime.rest.network import PhotoNetwork
from runtime.rest.opening import open_photo_network

WEAK = 3
"""Strength of the non-local means that are timed; their time does not depend on it."""
WINDOWS = (7, 21)
"""Edges of the patches of non-local means and of the squares that it searches, as OpenCV proposes."""
NLM_REACH = sum(WINDOWS) // 2
"""How far it reads, in pixels."""
NLM_PART = 4
"""It is timed on this part of the photo, since its time grows with the number of pixels alone."""


def rest_times(photo: Pixels, network: str | None, runs: int, tick: Tick) -> dict[str, list[float]]:
    """Return the seconds that each way takes for the rest of a photo, H×W×3 uint8.

    network  the user's own; None is the bundled one
    """
    networks = [open_rest(network, runtime) for runtime in _runtimes()]
    works: Mapping[str, Callable[[], object]] = {
        each.where: partial(enhanced, photo, each, RestoreSettings(scope="photo")) for each in networks
    }
    seconds = in_turns(works, runs, tick)
    start = time.perf_counter()
    non_local_means(np.asarray(photo[: len(photo) // NLM_PART], np.uint8), WEAK)
    tick()
    return {**seconds, "OpenCV, non-local means": [NLM_PART * (time.perf_counter() - start)]}


def steps_of_rest_times(runs: int) -> int:
    """Return how many steps `rest_times` reports."""
    return (runs + 1) * len(_runtimes()) + 1


def open_rest(network: str | None, runtime: str) -> PhotoNetwork:
    """Open a photo network in a runtime, on the CPU. Raises PackageError and BackendError."""
    backend: Any = SimpleNamespace(name=runtime, device="cpu")
    return open_photo_network(network, backend)


def non_local_means(photo: Portrait, strength: float) -> Portrait:
    """Return a photo without noise by OpenCV."""
    return np.asarray(cv2.fastNlMeansDenoisingColored(photo, None, strength, strength, *WINDOWS), np.uint8)


def _runtimes() -> tuple[str, ...]:
    return ("onnxruntime", *(("openvino",) if importlib.util.find_spec("openvino") else ()))
