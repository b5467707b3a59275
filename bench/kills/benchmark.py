"""Check that the hot folder delivers each photo exactly once, however often and wherever it is killed.

A customer adds photos, some with the same name, and fetches results as soon as they appear. The watcher is
killed at each step in turn, then at random moments, then while a second watcher uses the same folders. After
each kill every photo must exist somewhere and every result must be whole. At the end each photo must have
been delivered once.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from skimage.data import astronaut

from base.errors import GpenEdgeError
from base.files import sha256
from base.setting import Range, option
from bench.benchmark import Benchmark, Tick, model
from bench.photos import Photo
from bench.report import Report, table
from runtime.hotfolder.folders import Originals

NAMES = ("portrait.png", "portrait.png", "film-scan/portrait.png", "portrait.gif", "scan 1.tiff", "a/b/c.bmp")
"""Names that a customer may give photos; a free name is used again for another photo."""
_WAITING = 3
"""Photos that wait whenever the watcher starts."""
_MOMENTS = 0.5
"""Random kills come within this many seconds after the first photo was taken."""

Place = Literal["same disk", "another disk"]


@dataclass(frozen=True)
class KillSettings:
    """The number of kills, and the inputs of the watcher."""

    kills: int = option(
        160,
        "Number of kills in each series. With fewer than there are steps, the last steps are left out.",
        range=Range(1),
    )
    package: str | None = model()
    elsewhere: Path | None = option(None, "Also take photos from this folder, which is on another disk.")
    stride: int = option(1, "Kill only at every Nth step.", range=Range(1))


@dataclass
class Series:
    """A series of kills in one configuration, and its findings."""

    originals: Originals
    place: Place
    moments: bool = False
    """Whether the watcher is killed at random moments, not at steps in turn."""
    rivals: bool = False
    """Two watchers at once."""
    stride: int = 1
    """Unless killed at random moments, it is killed at one step in this many."""
    kills: int = 0
    steps: int = 0
    photos: int = 0
    ends: int = 0
    """Runs that finished before they could be killed."""
    refused: int = 0
    """Watchers that refused to start because another one was running."""
    killed_before: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Faults that were found, in words."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        in_turn = "at every step" if self.stride == 1 else f"at one step in {self.stride}"
        how = "at any moment" if self.moments else in_turn
        how += ", two at once" if self.rivals else ""
        return f"{how}, originals {'moved' if self.originals == 'move' else 'left'}, {self.place}"


def series_of(settings: KillSettings) -> list[Series]:
    """Return what is measured."""
    found = [Series("move", "same disk"), Series("leave", "same disk")]
    if settings.elsewhere:
        found.append(Series("move", "another disk"))
    found.append(Series("move", "same disk", moments=True))
    return [*found, Series("move", "same disk", moments=True, rivals=True)]


def steps(settings: KillSettings) -> int:
    """Return how many steps `measure` reports."""
    return settings.kills * len(series_of(settings))


def measure(settings: KillSettings, tick: Tick, all_series: list[Series] | None = None) -> Report:
    """Kill the watcher, check the folders and continue; return the findings of all series, or of those
    named."""
    all_series = all_series or series_of(settings)
    for series in all_series:
        series.stride = settings.stride
        with tempfile.TemporaryDirectory() as here, _input_folder(series, settings, Path(here)) as photos:
            Shop(series, settings, photos, Path(here)).work(settings.kills, tick)
    wrong = [f"{series.name}: {sentence}" for series in all_series for sentence in series.wrong]
    kills, photos = (sum(getattr(series, name) for series in all_series) for name in ("kills", "photos"))
    before: Counter[str] = sum((series.killed_before for series in all_series), Counter())
    columns: dict[str, Callable[[Series], str]] = {
        "series": lambda series: series.name,
        "kills": lambda series: str(series.kills),
        "steps": lambda series: str(series.steps),
        "photos": lambda series: str(series.photos),
        "ran through": lambda series: str(series.ends),
        "refused": lambda series: str(series.refused),
        "wrong": lambda series: str(len(series.wrong)),
    }
    return Report(
        name="kills",
        tables=(table("The hot folder, killed again and again", all_series, columns),),
        summary=f"{kills} kills, {photos} photos: "
        + ("; ".join(wrong) if wrong else "each delivered exactly once, none lost, nothing left over."),
        figures={
            "kills": kills,
            "photos": photos,
            "wrong": wrong,
            "killed_before": dict(before),
            "series": [asdict(series) | {"name": series.name} for series in all_series],
        },
        failed=bool(wrong),
    )


def _input_folder(series: Series, settings: KillSettings, here: Path) -> "tempfile.TemporaryDirectory[str]":
    folder = settings.elsewhere if series.place == "another disk" else here
    return tempfile.TemporaryDirectory(dir=folder)


class Shop:
    """The folders of a watcher, with a customer who adds photos and fetches results."""

    def __init__(self, series: Series, settings: KillSettings, photos: str | Path, here: Path) -> None:
        self.series, self.settings = series, settings
        self.photos, self.output, self.fetched = Path(photos), here / "out", here / "fetched"
        self.fetched.mkdir()
        self.contents: dict[str, int] = {}
        """The number of every photo that was put in, by the SHA-256 of its file."""
        self.times: Counter[int] = Counter()
        """How often each photo's result was fetched."""
        self.random = random.Random(0)
        self.face = astronaut()[0:192, 128:320]  # type: ignore[no-untyped-call]

    def work(self, kills: int, tick: Tick) -> None:
        """Kill the watcher the given number of times, then let it finish; record faults in the series."""
        self.series.steps = self._steps()
        step = 0
        while self.series.kills < kills:
            self._put_in()
            step = step % self.series.steps + self.series.stride
            point = f"~{self.random.uniform(0.001, _MOMENTS):.4f}" if self.series.moments else str(step)
            if self._run(point):
                self.series.kills += 1
                tick()
            else:
                self.series.ends += 1
                step = 0
            self._look()
        if self._run("0"):
            self.series.wrong.append("it did not end")
        self._look()
        self._look_at_the_end()

    def _steps(self) -> int:
        """Let it process the first photos undisturbed; return how many steps that took."""
        self._put_in()
        said = self._run_for("0").stderr
        self._look()
        found = re.search(r"^steps: (\d+)$", said, re.MULTILINE)
        if not found:
            raise GpenEdgeError(f"the hot folder does not work undisturbed: {said.strip()}")
        return int(found[1])

    def _put_in(self) -> None:
        """Add photos until enough are waiting; each appears whole, as after a move."""
        waiting = len(self._waiting())
        for name in NAMES[self.random.randrange(len(NAMES)) :] + NAMES:
            if waiting >= _WAITING:
                return
            target = self.photos / name
            if target.exists():
                if self.series.originals == "move":
                    continue
                target = target.with_stem(f"{target.stem} {self.series.photos}")
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = self.photos / ".coming"
            self.series.photos += 1
            Image.fromarray(self._photo(self.series.photos)).save(draft, format=target.suffix[1:])
            self.contents[sha256(draft)] = self.series.photos
            draft.rename(target)
            waiting += 1

    def _photo(self, number: int) -> Photo:
        """Return a portrait that encodes its number in dark and light squares, far below the face."""
        pixels = np.pad(self.face, ((0, 96), (0, 0), (0, 0)))
        for bit in range(16):
            pixels[-8:, bit * 8 : bit * 8 + 8] = 255 if number >> bit & 1 else 0
        return pixels

    def _waiting(self) -> list[Path]:
        found = [path for path in _files(self.photos) if not path.name.startswith(".")]
        if self.series.originals == "leave":
            found = [path for path in found if not self.times[self.contents[sha256(path)]]]
        return found

    def _run_for(self, point: str) -> "subprocess.CompletedProcess[str]":
        command = [
            *(sys.executable, "-m", "bench.kills.kill_point", point, str(self.photos), str(self.output)),
            *("--once", "--settle", "0", "--backoff", "0.01", "--crashes", "1000000", "--threads", "1"),
            *("--originals", self.series.originals, "--latent-step-decay", "1"),
        ]
        if self.settings.package:
            command += ["--model", self.settings.package]
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=300, check=False
        )

    def _run(self, point: str) -> bool:
        """Run a watcher; return whether it was killed."""
        with ThreadPoolExecutor() as watchers:
            ends = list(watchers.map(self._run_for, [point] * (2 if self.series.rivals else 1)))
        for done in ends:
            if found := re.search(r"^killed before: (.*)$", done.stderr, re.MULTILINE):
                self.series.killed_before[found[1]] += 1
            if self.series.rivals and "another watcher works on" in done.stderr:
                self.series.refused += 1
            elif done.returncode not in (0, -9, -14):
                self.series.wrong.append(f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
        return any(done.returncode < 0 for done in ends)

    def _look(self) -> None:
        """Check that every photo exists somewhere, and fetch the results."""
        kept = {sha256(path) for path in [*_files(self.photos), *_files(self.output / "done")]}
        lost = [number for content, number in self.contents.items() if content not in kept]
        if lost:
            self.series.wrong.append(f"photos {lost} are nowhere")
        for path in _files(self.output):
            inside = path.relative_to(self.output)
            if inside.parts[0] in ("done", "failed", ".watch") or path.name.startswith("."):
                continue
            try:
                with Image.open(path) as image:
                    pixels = np.asarray(image.convert("RGB"))
            except (OSError, SyntaxError):
                self.series.wrong.append(f"{inside} is not whole")
                continue
            bits = (pixels[-4, 4:128:8, 1] > 127).astype(int)
            self.times[int((bits << np.arange(16)).sum())] += 1
            shutil.move(path, self.fetched / f"{len(list(self.fetched.iterdir()))}{path.suffix}")

    def _look_at_the_end(self) -> None:
        for number in self.times.keys() - set(self.contents.values()):
            self.series.wrong.append(f"a result shows {number}, which is no photo's number")
        for number in self.contents.values():
            if self.times[number] != 1:
                self.series.wrong.append(f"photo {number} came out {self.times[number]} times")
        left = [path for path in _files(self.photos.parent) if path.name.endswith(".tmp")]
        left += [path for path in [*_files(self.output), *_files(self.photos)] if path.name.endswith(".tmp")]
        failed = _files(self.output / "failed")
        originals = Counter(sha256(path) for path in _files(self.output / "done"))
        if self.series.originals == "move" and (
            set(originals) != set(self.contents) or max(originals.values()) > 1
        ):
            self.series.wrong.append("the originals in done/ are not those that were put in, once each")
        for path in [*left, *failed]:
            self.series.wrong.append(f"{path.name} is left over")


def _files(folder: Path) -> list[Path]:
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)


BENCHMARK = Benchmark(KillSettings, steps, measure)
