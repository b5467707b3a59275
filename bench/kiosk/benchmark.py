"""The kiosk's server: the time of one photo, many customers at once, memory, and kills in every state.

A phone's photo of 12 megapixels with one face goes from the end of its upload to its finished result. Then
several customers come at once, each with a photo of a different shade and size, so that a swapped result
would be noticed; the response "busy, place N" is not an error. Then they come one after the other while the
memory of the server is sampled. Last the server is killed in each state of a visit, and started again.
"""

import io
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from base.errors import GpenEdgeError
from base.setting import Range, option
from bench.benchmark import Benchmark, Tick, model
from bench.kiosk.kills import STATES, Killed, Killing, kill_in_each_state
from bench.kiosk.process import Customer, ServerProcess
from bench.photos import Photo, photo_with_faces
from bench.report import Measure, Report, table

_TOML = 'visits = 500\nqueue = 20\n[media]\nsticks = []\n[phones]\nlisten = "127.0.0.1:0"\n'
_SAMPLES = 40
_PHOTOS = 3
"""Runs of the large photo, one after another."""
_QUARTER = 4
GROWTH = 32.0
"""MiB by which memory may differ between the second quarter and the last, for caches and pools."""


@dataclass(frozen=True)
class KioskSettings:
    """How many customers come."""

    customers: int = option(50, "Number of customers who come at once.", range=Range(1))
    photos: int = option(1000, "Number of customers who come one after another.", range=Range(1))
    kills: int = option(4, "Number of kills in each state.", range=Range(1))
    megapixels: float = option(
        12.0, "The size of the large photo, in megapixels.", range=Range(0, above=True)
    )
    package: str | None = model()
    threads: int | None = option(None, "Threads of the networks, in place of one per core.", range=Range(1))


@dataclass(frozen=True)
class Large:
    """One large photo."""

    ready: float
    """Seconds from the end of the upload until it is ready to be looked at."""
    result: float
    """Until its result is finished."""
    cpu: float
    """Seconds computed for both."""
    slider: float
    """Milliseconds of one move of the slider: the median of twenty."""


@dataclass(frozen=True)
class Crowd:
    """Customers at once."""

    customers: int
    done: int
    busy: int
    errors: tuple[str, ...]
    mixed_up: int
    seconds: float


@dataclass(frozen=True)
class Sample:
    """The state of the server after this many photos."""

    photo: int
    memory: float
    handles: int


def steps(settings: KioskSettings) -> int:
    """Return how many steps a measurement has."""
    return _PHOTOS + settings.customers + settings.photos + settings.kills * len(STATES)


def measure(settings: KioskSettings, tick: Tick) -> Report:
    """Measure, and return the report."""
    with _server(settings) as server:
        photo = _jpeg(photo_with_faces(settings.megapixels, 1))
        large = [_large(server, photo, tick) for _ in range(_PHOTOS)]
        crowd = _crowd(server, settings.customers, tick)
        samples = _one_after_the_other(server, settings.photos, tick)
    killing = Killing(_jpeg(photo_with_faces(1, 1)), settings.package, settings.threads, random.Random(1))
    killed = kill_in_each_state(killing, settings.kills, tick)
    return _report(settings, large, crowd, samples, killed)


@contextmanager
def _server(settings: KioskSettings) -> Iterator[ServerProcess]:
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder), package=settings.package, threads=settings.threads, toml=_TOML)
        try:
            yield server
            if server.files():
                raise GpenEdgeError(f"customers have left, and these files have not: {server.files()}")
        finally:
            server.stop()


def _large(server: ServerProcess, photo: bytes, tick: Tick) -> Large:
    customer = Customer(server.url)
    computed = server.cpu_seconds
    customer.bring(photo)
    start = time.perf_counter()
    customer.wait(lambda status: status["state"] == "ready", every=0.01)
    ready = time.perf_counter() - start
    customer.choose()
    customer.wait(lambda status: status["result"]["state"] == "done", every=0.01)
    result, cpu = time.perf_counter() - start, server.cpu_seconds - computed
    moves = []
    for i in range(20):
        start = time.perf_counter()
        customer.get(f"/preview?preset=standard&strength={i / 20}&size=1280")
        moves.append((time.perf_counter() - start) * 1000)
    customer.leave()
    tick()
    return Large(ready, result, cpu, statistics.median(moves))


def _crowd(server: ServerProcess, count: int, tick: Tick) -> Crowd:
    errors: list[str] = []
    busy = done = mixed_up = 0
    lock, together = threading.Lock(), threading.Barrier(count)

    def come(number: int) -> None:
        nonlocal busy, done, mixed_up
        together.wait()
        try:
            waited, is_own = _visit(server.url, number)
            with lock:
                busy, done, mixed_up = busy + waited, done + 1, mixed_up + (not is_own)
        except Exception as error:  # whatever it is, it is reported
            with lock:
                errors.append(f"{type(error).__name__}: {error}"[:300])
        tick()

    start = time.perf_counter()
    with ThreadPoolExecutor(count) as customers:
        list(customers.map(come, range(count)))
    return Crowd(count, done, busy, tuple(errors), mixed_up, time.perf_counter() - start)


def _one_after_the_other(server: ServerProcess, count: int, tick: Tick) -> list[Sample]:
    samples, every = [], max(1, count // _SAMPLES)
    for number in range(count):
        _visit(server.url, number)
        if number % every == 0:
            samples.append(Sample(number, server.memory, server.handles))
        tick()
    return samples


def _visit(url: str, number: int) -> tuple[int, bool]:
    """Act as a customer from start to end; return how often the kiosk was busy, and whether all results were
    the customer's own.

    Every fourth photo has a face.
    """
    shade, width = 40 + number % 160, 200 + number
    photo = photo_with_faces(0.3, 1) if number % 4 == 0 else np.full((150, width, 3), shade, np.uint8)
    photo[-20:] = shade
    content = _jpeg(photo)
    customer = Customer(url)
    try:
        customer.bring(content)
        status = customer.wait(lambda status: status["state"] in ("ready", "failed"))
        size = (status["photo"]["width"], status["photo"]["height"])
        preview = _pixels(customer.get("/preview?preset=standard&strength=0.7&size=256").content)
        customer.choose()
        customer.wait(lambda status: status["result"]["state"] in ("done", "failed"))
        result = _pixels(customer.get("/result/file").content)
    finally:
        customer.leave()
    own = size == (photo.shape[1], photo.shape[0]) and result.shape == photo.shape
    shades = (int(preview[-3, 20, 0]), int(result[-5, 20, 0]))
    return customer.busy, own and all(abs(seen - shade) <= 3 for seen in shades)


def _jpeg(photo: Photo) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=92)
    return file.getvalue()


def _pixels(content: bytes) -> Photo:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def _report(
    settings: KioskSettings, large: list[Large], crowd: Crowd, samples: list[Sample], killed: list[Killed]
) -> Report:
    quarter = len(samples) // _QUARTER
    memory = [sample.memory for sample in samples]
    growth = statistics.mean(memory[-quarter or -1 :]) - statistics.mean(
        memory[quarter : 2 * quarter] or memory
    )
    wrong = [f"{each.state}: {what}" for each in killed for what in each.wrong]
    best = {name: min(getattr(each, name) for each in large) for name in ("ready", "result", "cpu", "slider")}
    sizes: dict[str, Callable[[Large], str]] = {
        "until it can be looked at": lambda each: f"{each.ready:.2f} s",
        "until its result is finished": lambda each: f"{each.result:.2f} s",
        "computed": lambda each: f"{each.cpu:.2f} s",
        "a move of the slider": lambda each: f"{each.slider:.0f} ms",
    }
    size, kills = f"{settings.megapixels:g} megapixels", sum(each.kills for each in killed)
    summary = (
        f"A photo of {size} with one face is finished {best['result']:.2f} s after its upload. "
        f"Of {crowd.customers} customers at once {crowd.done} were served, {crowd.mixed_up} with somebody "
        f"else's photo; {len(crowd.errors)} errors. Over {settings.photos} photos memory changed "
        f"by {growth:+.0f} MiB. After {kills} kills in {len(killed)} states {len(wrong)} things were wrong."
    )
    return Report(
        name="kiosk",
        tables=(
            table(f"The kiosk's server: a photo of {size}", large, sizes),
            table("Customers at once", [crowd], _OF_A_CROWD),
            table("One after the other", samples[:: max(1, len(samples) // 8)], _OF_A_SAMPLE),
            table("Kills", killed, _OF_KILLS),
        ),
        summary=summary,
        figures={
            "settings": asdict(settings),
            "large": [asdict(each) for each in large],
            "crowd": asdict(crowd),
            "samples": [asdict(each) for each in samples],
            "kills": [asdict(each) for each in killed],
        },
        measures=(
            Measure("a photo until it can be looked at", best["ready"], "s"),
            Measure("a photo until its result is finished", best["result"], "s"),
            Measure("a photo, computed", best["cpu"], "s"),
            Measure("a move of the slider", best["slider"], "ms"),
            Measure("growth of memory", growth, "MiB"),
        ),
        conditions={"megapixels": settings.megapixels, "package": settings.package},
        failed=bool(crowd.errors or crowd.mixed_up or wrong or growth > GROWTH),
    )


_OF_A_CROWD: dict[str, Callable[[Crowd], str]] = {
    "customers": lambda crowd: str(crowd.customers),
    "with their own result": lambda crowd: str(crowd.done - crowd.mixed_up),
    "with somebody else's": lambda crowd: str(crowd.mixed_up),
    "told “busy, place N”": lambda crowd: f"{crowd.busy} times",
    "errors": lambda crowd: "; ".join(sorted(set(crowd.errors))) or "none",
    "seconds": lambda crowd: f"{crowd.seconds:.0f}",
}
_OF_A_SAMPLE: dict[str, Callable[[Sample], str]] = {
    "photo": lambda sample: str(sample.photo + 1),
    "resident memory": lambda sample: f"{sample.memory:.0f} MiB",
    "handles": lambda sample: str(sample.handles),
}
_OF_KILLS: dict[str, Callable[[Killed], str]] = {
    "killed while": lambda killed: killed.state,
    "kills": lambda killed: str(killed.kills),
    "wrong": lambda killed: "; ".join(killed.wrong) or "nothing",
}


BENCHMARK = Benchmark(KioskSettings, steps, measure)
