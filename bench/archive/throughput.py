"""Photos per second of one actor, of two, and of `runtime.restore` with as many threads, on the same folder.
Each program is run twice, on a few photos and on all. The difference between the two times is what the
remaining photos take, without the start of Ray, the actors and the networks.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from base.errors import GpenEdgeError
from bench.benchmark import Tick
from bench.photos import Photo, photo_with_faces

FEW = 24
ALLOWED = 0.1
"""The share by which two actors may be slower than `runtime.restore`."""
TWICE = 1.7
"""Speed that two actors must reach, as a multiple of that of one."""
_BROKEN = 10
"""One photo in this many is broken."""


@dataclass(frozen=True)
class Run:
    """What a program needed."""

    program: str
    start: float
    """Seconds for the few photos, most of which is start-up time."""
    seconds: float
    """For all photos."""
    rate: float
    """Photos a second between the two."""
    files: int
    """Results of all photos."""


STEPS = 6


def measure(photos: int, package: str | None, tick: Tick) -> list[Run]:
    """Run the three programs. Raises GpenEdgeError if one of them ends with an error."""
    with tempfile.TemporaryDirectory() as folder:
        few, all_photos = Path(folder, "few"), Path(folder, "all")
        fill(few, FEW)
        fill(all_photos, photos)
        model = ["--model", package] if package else []

        def of(program: str, *options: str) -> Run:
            taken = []
            for source in (few, all_photos):
                output = Path(tempfile.mkdtemp(dir=folder))
                taken.append(_seconds(program, str(source), "-o", str(output), *options, *model))
                tick()
            files = sum(path.suffix in _SUFFIXES for path in output.iterdir())
            start, seconds = taken
            return Run(
                " ".join((program, *options)), start, seconds, (photos - FEW) / (seconds - start), files
            )

        return [
            of("archive", "--actors", "1", "--cpus", "1", "--threads", "1"),
            of("archive", "--actors", "2", "--cpus", "1", "--threads", "1"),
            of("restore", "--recursive", "--threads", "2"),
        ]


def fill(folder: Path, count: int) -> None:
    """Make photos of three sizes as JPEG, PNG and 16-bit TIFF, some without a face, some of them broken."""
    folder.mkdir()
    pictures = [photo_with_faces(megapixels, 1) for megapixels in (0.2, 0.5, 1.0)]
    pictures.append(np.ascontiguousarray(pictures[1][:, :100]))
    for i in range(count):
        picture, path = np.roll(pictures[i % len(pictures)], 8 * i, axis=1), folder / f"{i:05}"
        if i % _BROKEN == _BROKEN - 1:
            path.with_suffix(".jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
        else:
            _FORMATS[i % len(_FORMATS)](picture, path)


def broken(count: int) -> int:
    """Return how many of so many photos are broken."""
    return count // _BROKEN


def _jpeg(picture: Photo, path: Path) -> None:
    Image.fromarray(picture).save(path.with_suffix(".jpg"), quality=92)


def _png(picture: Photo, path: Path) -> None:
    Image.fromarray(picture).save(path.with_suffix(".png"), compress_level=1)


def _deep_tiff(picture: Photo, path: Path) -> None:
    Image.fromarray(picture[..., 1].astype(np.uint16) * 257).save(path.with_suffix(".tif"))


_FORMATS: tuple[Callable[[Photo, Path], None], ...] = (
    _jpeg,
    _jpeg,
    _png,
    _jpeg,
    _deep_tiff,
)
_SUFFIXES = (".jpg", ".png", ".tif")


def _seconds(program: str, *options: str) -> float:
    """Run a program of ours; return the seconds that it took. Some photos fail, which is no error here."""
    start = time.perf_counter()
    command = [sys.executable, "-m", f"runtime.{program}", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise GpenEdgeError(f"runtime.{program} ended with {done.returncode}: {done.stderr[-300:]}")
    return time.perf_counter() - start
