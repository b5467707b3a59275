"""The rest of a photo: what the photo network gains beside non-local means, its time and its memory."""

import math
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from base.setting import Range, option
from bench.benchmark import Benchmark, Tick
from bench.endtoend.process import run_command
from bench.photos import photo_with_faces, save_photo
from bench.report import Measure, Report, of_times, table
from bench.rest_damage import Damage
from bench.rest_faces import faces_report, matches_of
from bench.rest_times import NLM_REACH, non_local_means, open_rest, rest_times, steps_of_rest_times
from bench.timing import median
from engines.package import PHOTO
from portraits.damage import Portrait
from portraits.likeness import psnr
from portraits.reading import pictures_in
from runtime import Restorer, RestoreSettings
from runtime.photo.reader import read_photo
from runtime.pixels import eight_bit
from runtime.rest.enhance import enhanced
from runtime.settings.presets import PRESETS

STRENGTHS = (3, 10)
"""Of non-local means; a photo gets the better one, as if somebody had compared them with the truth."""
MIDDLE = 224
"""Side in pixels of the middle of a photo that is compared with non-local means, which take minutes for whole
photos."""
MIXED = ((5, 80), (10, 50), (25, 30))
"""σ of the noise and the JPEG quality after it."""


Part = tuple[slice, ...]
"""Rows and columns."""


@dataclass(frozen=True)
class RestSettings:
    """What is damaged and timed."""

    photos: Path | None = option(
        None,
        "Folder of photos to damage and restore. Without it only time and memory are measured.",
        "PHOTOS",
    )
    portraits: Path | None = option(
        None,
        "Folder of photos with a face, to compare it with what lies around it, in each preset.",
        metavar="FOLDER",
    )
    photo_network: str | None = option(None, "Use this network in place of the bundled one.", metavar="FILE")
    megapixels: tuple[float, ...] = option(
        (12, 100), "Sizes of the photos, in megapixels.", range=Range(0.1, 400)
    )
    runs: int = option(2, "Runs of the first size; the larger ones run once.", range=Range(1))


DAMAGES = (
    Damage(),
    *(Damage(sigma) for sigma in (5, 10, 15, 25)),
    *(Damage(jpeg=quality) for quality in (30, 50, 80)),
    *(Damage(*both) for both in MIXED),
)
FACE_DAMAGES = (Damage(10), Damage(jpeg=50), Damage(10, 50))
"""Of photos whose faces are compared with what lies around them."""


@dataclass(frozen=True)
class Gain:
    """One photo with one kind of damage, by PSNR in dB."""

    damage: str
    photo: str
    before: float
    restored: float
    middle: float
    """Of the restored photo's middle, which is compared with non-local means."""
    non_local_means: float | None
    """Of the same middle; None for an undamaged photo."""

    @property
    def gain(self) -> float:
        """Return how much nearer to the truth the photo is than before."""
        return self.restored - self.before

    @property
    def is_behind(self) -> bool:
        """Return whether non-local means are nearer to the truth."""
        return self.non_local_means is not None and self.non_local_means > self.middle


def each(settings: RestSettings) -> Iterable[RestSettings]:
    """Yield the settings of the reports on quality and on faces, if there are photos, and of the one on
    time."""
    if settings.photos:
        yield replace(settings, portraits=None)
    if settings.portraits:
        yield replace(settings, photos=None)
    yield replace(settings, photos=None, portraits=None)


def steps(settings: RestSettings) -> int:
    """Return how many steps `measure` reports. Raises PhotoError."""
    if settings.photos:
        return len(pictures_in(settings.photos, "photos")) * len(DAMAGES)
    if settings.portraits:
        return len(pictures_in(settings.portraits, "photos")) * len(FACE_DAMAGES) * len(PRESETS)
    return steps_of_rest_times(settings.runs) + len(settings.megapixels)


def measure(settings: RestSettings, tick: Tick) -> Report:
    """Measure what is gained on photos if there are some, otherwise time and memory. Raises GpenEdgeError."""
    if settings.photos:
        return _quality(settings, settings.photos, tick)
    if settings.portraits:
        return _faces(settings, settings.portraits, tick)
    return _speed(settings, tick)


def _quality(settings: RestSettings, folder: Path, tick: Tick) -> Report:
    network = open_rest(settings.photo_network, "onnxruntime")
    gains = []
    for number, path in enumerate(pictures_in(folder, "photos")):
        truth = eight_bit(read_photo(path).pixels)
        for damage in DAMAGES:
            photo = damage(truth, number)
            restored = eight_bit(enhanced(photo, network, RestoreSettings(scope="photo")))
            before, after = (psnr(each, truth) for each in (photo, restored))
            middle, means = beside_non_local_means(photo, restored, truth)
            gains.append(Gain(damage.name, path.name, before, after, middle, means))
            tick()
    by_damage = {damage.name: [g for g in gains if g.damage == damage.name] for damage in DAMAGES}
    clean, *damaged = by_damage.values()

    def mean(value: Callable[[Gain], float], sign: str = "") -> Callable[[str], str]:
        return lambda name: f"{np.mean([value(gain) for gain in by_damage[name]]):{sign}.2f}"

    behind = sum(gain.is_behind for group in damaged for gain in group)
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
                    "restored, middle": mean(lambda gain: gain.middle),
                    "non-local means, middle": mean(lambda gain: gain.non_local_means or math.nan),
                },
            ),
        ),
        summary=f"Undamaged photos come back at {np.mean([gain.restored for gain in clean]):.1f} dB, the "
        f"worst at {min(gain.restored for gain in clean):.1f} dB. Non-local means, at the better of two "
        f"strengths for each photo, are nearer to the truth of its middle {MIDDLE}×{MIDDLE} pixels in "
        f"{behind} of {sum(map(len, damaged))} cases.",
        figures={"network": network.name, "gains": [vars(gain) for gain in gains]},
        measures=tuple(
            Measure(name, float(np.mean([gain.restored for gain in group])), "dB", more_is_better=True)
            for name, group in by_damage.items()
        ),
        conditions={"photos": len(clean)},
    )


def beside_non_local_means(
    photo: Portrait, restored: Portrait, truth: Portrait
) -> tuple[float, float | None]:
    """Return the PSNR of the middle of a restored photo, and that of non-local means there; None if the photo
    is undamaged."""
    middle, around, inside = middle_of(truth.shape)
    ours = psnr(restored[middle], truth[middle])
    if np.array_equal(photo, truth):
        return ours, None
    means = (non_local_means(photo[around], strength)[inside] for strength in STRENGTHS)
    return ours, max(psnr(each, truth[middle]) for each in means)


def middle_of(shape: tuple[int, ...]) -> tuple[Part, Part, Part]:
    """Return the middle of a photo, as much more as non-local means read, and where it lies in that."""
    middle, around, inside = [], [], []
    for length in shape[:2]:
        first = max(0, (length - MIDDLE) // 2)
        before = min(first, NLM_REACH)
        middle.append(slice(first, first + MIDDLE))
        around.append(slice(first - before, first + MIDDLE + NLM_REACH))
        inside.append(slice(before, before + MIDDLE))
    return tuple(middle), tuple(around), tuple(inside)


def _faces(settings: RestSettings, folder: Path, tick: Tick) -> Report:
    matches = []
    with Restorer.open(photo_network=settings.photo_network) as restorer:
        for path in pictures_in(folder, "photos"):
            truth = eight_bit(read_photo(path).pixels)
            for damage in FACE_DAMAGES:
                for match in matches_of(restorer, truth, path.name, damage, PRESETS):
                    matches.append(match)
                    tick()
        return faces_report(restorer, matches)


def _speed(settings: RestSettings, tick: Tick) -> Report:
    size, *_ = settings.megapixels
    seconds = rest_times(photo_with_faces(size, 1), settings.photo_network, settings.runs, tick)
    peaks = {}
    for megapixels in settings.megapixels:
        peaks[megapixels] = _peak(settings, megapixels)
        tick()
    fastest = min(seconds, key=lambda name: median(seconds[name]))
    return Report(
        name="rest",
        tables=(
            table(
                f"The rest of a photo of {size:g} megapixels, restored by {settings.photo_network or PHOTO}",
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
        summary=f"{fastest} takes {median(seconds[fastest]):.2f} s for {size:g} megapixels.",
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
        save_photo(photo, megapixels, 1)
        options = ["--scope", "photo", "--max-megapixels", f"{math.ceil(megapixels) + 1}"]
        if settings.photo_network:
            options += ["--photo-network", settings.photo_network]
        return run_command(photo, "-o", Path(folder, "restored.jpg"), *options).peak_mib


BENCHMARK = Benchmark(RestSettings, steps, measure, each=each)
