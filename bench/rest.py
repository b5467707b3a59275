"""The rest of a photo: what the photo network gains beside non-local means, its time and its memory."""

import importlib.util
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from PIL import Image

from base.setting import Range, option
from bench.benchmark import Benchmark, Tick
from bench.endtoend.benchmark import QUALITY
from bench.endtoend.process import run_command
from bench.photos import photo_with_faces
from bench.report import Measure, Report, of_times, table
from bench.timing import in_turns, median
from portraits.damage import Portrait, compressed
from portraits.likeness import psnr
from portraits.reading import pictures_in
from runtime import RestoreSettings
from runtime.photo.reader import read_photo
from runtime.pixels import eight_bit
from runtime.rest.enhance import enhanced
from runtime.rest.network import PhotoNetwork
from runtime.rest.opening import open_photo_network

STRENGTHS = (3, 10)
"""Strengths of non-local means. Each photo gets the better one, as if it had been chosen by comparison with
the truth."""
WINDOWS = (7, 21)
"""Edges of the patches of non-local means and of the squares that it searches, as OpenCV proposes."""
MIXED = ((5, 80), (10, 50), (25, 30))
"""σ of the noise and the JPEG quality after it."""


@dataclass(frozen=True)
class RestSettings:
    """What is damaged and timed."""

    photos: Path | None = option(
        None,
        "Folder of photos to damage and restore. Without it only time and memory are measured.",
        "PHOTOS",
    )
    photo_network: str | None = option(None, "Use this network in place of the bundled one.", metavar="FILE")
    megapixels: tuple[float, ...] = option((12, 100), "Sizes of the photos.", range=Range(0.1, 400))
    runs: int = option(3, "Runs of the first size; the larger ones run once.", range=Range(1))


@dataclass(frozen=True)
class Damage:
    """Noise, JPEG or both."""

    sigma: float = 0.0
    jpeg: int | None = None

    @property
    def name(self) -> str:
        """Return what it is, in words."""
        parts = [f"noise {self.sigma:g}"] if self.sigma else []
        parts += [f"JPEG {self.jpeg}"] if self.jpeg else []
        return ", ".join(parts) or "none"

    def __call__(self, photo: Portrait, number: int) -> Portrait:
        """Return a damaged copy of a photo, H×W×3 uint8; the same photo gets the same noise."""
        noise = np.random.default_rng(number).normal(0, self.sigma, photo.shape) if self.sigma else 0.0
        noisy = np.rint(np.clip(photo + noise, 0, 255)).astype(np.uint8)
        return compressed(noisy, self.jpeg) if self.jpeg else noisy


DAMAGES = (
    Damage(),
    *(Damage(sigma) for sigma in (5, 10, 15, 25)),
    *(Damage(jpeg=quality) for quality in (30, 50, 80)),
    *(Damage(*both) for both in MIXED),
)


@dataclass(frozen=True)
class Gain:
    """One photo with one kind of damage, by PSNR in dB."""

    damage: str
    photo: str
    before: float
    restored: float
    non_local_means: float

    @property
    def gain(self) -> float:
        """Return how much nearer to the truth the photo is than before."""
        return self.restored - self.before


def each(settings: RestSettings) -> Iterable[RestSettings]:
    """Yield the settings of the report on quality, if there are photos, and of the one on time."""
    if settings.photos:
        yield settings
    yield replace(settings, photos=None)


def steps(settings: RestSettings) -> int:
    """Return how many steps `measure` reports. Raises PhotoError."""
    if settings.photos:
        return len(pictures_in(settings.photos, "photos")) * len(DAMAGES)
    return (settings.runs + 1) * len(_runtimes()) + 1 + len(settings.megapixels)


def measure(settings: RestSettings, tick: Tick) -> Report:
    """Measure what is gained on photos if there are some, otherwise time and memory. Raises GpenEdgeError."""
    if settings.photos:
        return _quality(settings, settings.photos, tick)
    return _speed(settings, tick)


def _open(settings: RestSettings, runtime: str) -> PhotoNetwork:
    backend: Any = SimpleNamespace(name=runtime, device="cpu")
    return open_photo_network(settings.photo_network, backend)


def _quality(settings: RestSettings, folder: Path, tick: Tick) -> Report:
    network = _open(settings, "onnxruntime")
    gains = []
    for number, path in enumerate(pictures_in(folder, "photos")):
        truth = eight_bit(read_photo(path).pixels)
        for damage in DAMAGES:
            photo = damage(truth, number)
            restored = eight_bit(enhanced(photo, network, RestoreSettings(scope="photo")))
            before, after = (psnr(each, truth) for each in (photo, restored))
            means = max(psnr(_non_local_means(photo, strength), truth) for strength in STRENGTHS)
            gains.append(Gain(damage.name, path.name, before, after, means))
            tick()
    by_damage = {damage.name: [g for g in gains if g.damage == damage.name] for damage in DAMAGES}
    clean, *damaged = by_damage.values()

    def mean(value: Callable[[Gain], float], sign: str = "") -> Callable[[str], str]:
        return lambda name: f"{np.mean([value(gain) for gain in by_damage[name]]):{sign}.2f}"

    behind = sum(gain.non_local_means > gain.restored for group in damaged for gain in group)
    return Report(
        name="rest-quality",
        tables=(
            table(
                f"The rest of {len(clean)} photos, restored by {network.name}: PSNR in dB",
                [name for name in by_damage if name != Damage().name],
                {
                    "damage": str,
                    "damaged": mean(lambda gain: gain.before),
                    "restored": mean(lambda gain: gain.restored),
                    "gain": mean(lambda gain: gain.gain, "+"),
                    "least gain": lambda name: f"{min(gain.gain for gain in by_damage[name]):+.2f}",
                    "non-local means": mean(lambda gain: gain.non_local_means),
                },
            ),
        ),
        summary=f"Undamaged photos come back at {np.mean([gain.restored for gain in clean]):.1f} dB, the "
        f"worst at {min(gain.restored for gain in clean):.1f} dB. Non-local means, at the better of two "
        f"strengths for each photo, are nearer to the truth in {behind} of {sum(map(len, damaged))} cases.",
        figures={"network": network.name, "gains": [vars(gain) for gain in gains]},
        measures=tuple(
            Measure(name, float(np.mean([gain.restored for gain in group])), "dB", more_is_better=True)
            for name, group in by_damage.items()
        ),
        conditions={"photos": len(clean)},
    )


def _non_local_means(photo: Portrait, strength: float) -> Portrait:
    """Return a photo without noise by OpenCV."""
    return np.asarray(cv2.fastNlMeansDenoisingColored(photo, None, strength, strength, *WINDOWS), np.uint8)


def _runtimes() -> tuple[str, ...]:
    return ("onnxruntime", *(("openvino",) if importlib.util.find_spec("openvino") else ()))


def _speed(settings: RestSettings, tick: Tick) -> Report:
    size, *_ = settings.megapixels
    photo = photo_with_faces(size, 1)
    networks = [_open(settings, runtime) for runtime in _runtimes()]
    whole = RestoreSettings(scope="photo")
    works: Mapping[str, Callable[[], object]] = {
        network.where: partial(enhanced, photo, network, whole) for network in networks
    }
    seconds = in_turns(works, settings.runs, tick)
    start = time.perf_counter()
    _non_local_means(photo, STRENGTHS[0])
    seconds["OpenCV, non-local means"] = [time.perf_counter() - start]
    tick()
    peaks = {}
    for megapixels in settings.megapixels:
        peaks[megapixels] = _peak(settings, megapixels)
        tick()
    fastest = min(networks, key=lambda network: median(seconds[network.where]))
    return Report(
        name="rest",
        tables=(
            table(
                f"The rest of a photo of {size:g} megapixels, restored by {fastest.name}",
                seconds,
                {
                    "by": str,
                    "seconds": lambda name: f"{median(seconds[name]):.2f}",
                    "megapixels/s": lambda name: f"{size / median(seconds[name]):.1f}",
                },
            ),
            table(
                "Memory of `python -m runtime.restore --scope photo`, with a face",
                peaks,
                {"megapixels": "{:g}".format, "peak, MiB": lambda size: f"{peaks[size]:.0f}"},
            ),
        ),
        summary=f"{fastest.where} takes {median(seconds[fastest.where]):.2f} s for {size:g} megapixels.",
        figures={"seconds": seconds, "peak_mib": {f"{size:g}": peak for size, peak in peaks.items()}},
        measures=(
            *(of_times(name, times) for name, times in seconds.items()),
            *(Measure(f"{size:g} megapixels", peak, "MiB") for size, peak in peaks.items()),
        ),
        conditions={"megapixels": size},
        timed=True,
    )


def _peak(settings: RestSettings, megapixels: float) -> float:
    """Return the peak memory of restoring a whole photo in a process of its own, in MiB."""
    with tempfile.TemporaryDirectory(prefix="gpen-edge-bench-") as folder:
        photo = Path(folder, "photo.jpg")
        Image.fromarray(photo_with_faces(megapixels, 1)).save(photo, quality=QUALITY)
        options = ["--scope", "photo", "--max-megapixels", f"{math.ceil(megapixels) + 1}"]
        if settings.photo_network:
            options += ["--photo-network", settings.photo_network]
        return run_command(photo, "-o", Path(folder, "restored.jpg"), *options).peak_mib


BENCHMARK = Benchmark(RestSettings, steps, measure, each=each)
