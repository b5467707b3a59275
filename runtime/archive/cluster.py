"""Run an archive on Ray: workers are actors, photos are passed in blocks, and checkpoints go by path."""

import io
import logging
import math
import os
import re
import signal
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig

import base.errors
from base.errors import DeviceLostError, GpenEdgeError, PhotoError
from base.text import cause_of, one_line
from runtime.archive.blocks import block_of
from runtime.archive.listing import OWN, Listed
from runtime.archive.place import Place, without_secrets
from runtime.archive.progress import Report
from runtime.archive.status import Row, table_of
from runtime.archive.tally import RemoteTally, TallyKeeper
from runtime.archive.worker import Work, Worker

STATUS, LISTS, CHECKPOINT = f"{OWN}/status", f"{OWN}/photos", f"{OWN}/checkpoint"
"""Folders in a sink: the rows, the photos of each run, and Ray's checkpoint."""
SPARE = 2
"""CPUs for Ray itself. While a run continues, the actor that skips photos with a row holds one CPU, and tasks
such as the split into blocks need another; with a single one, the run would wait for ever."""
_STARTS = 3
"""Attempts to start Ray on this machine. Its own limit is 30 seconds, which a very busy machine may
exceed."""
_ASKED = 1.0
"""Seconds between two looks at the tally."""
_OWN_ERROR = re.compile(r"^base\.errors\.(\w+): (.+)$", re.MULTILINE)
_ANY_ERROR = re.compile(r"^[\w.]*(Error|Exception): .+$", re.MULTILINE)
_SAID = 300
"""The most characters of a Ray error that are shown."""
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Actors:
    """The actors that restore."""

    least: int
    most: int
    cpus: float
    gpus: float = 0


class Restoring(Protocol):
    """What an actor holds open."""

    def rows(self, photos: Sequence[Listed]) -> list[Row]:
        """Return a row for each photo."""


OpenWorker = Callable[[Work, RemoteTally], Restoring]


@contextmanager
def started(address: str | None, cpus: float) -> Iterator[None]:
    """Connect to a Ray cluster, or start Ray on this machine.

    address  of the cluster, or `auto` for the one that this machine belongs to; None starts Ray here
    cpus     that the actors need here; Ray gets SPARE more for itself

    Raises GpenEdgeError.
    """
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        # Workers import the same code as this process, even if it is not installed.
        os.environ["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *_paths(os.environ.get("PYTHONPATH"))])
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_worker_niceness", "0")  # the work is why Ray runs here
        options |= {"num_cpus": math.ceil(cpus) + SPARE, "include_dashboard": False}
    warnings.filterwarnings("ignore", module="ray")
    already = ray.is_initialized()
    if not already:
        _connect(address, options)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        if not already:
            ray.shutdown()


def _connect(address: str | None, options: dict[str, Any]) -> None:
    """Connect to a cluster or start Ray here. Raises GpenEdgeError."""
    for left in reversed(range(_STARTS if address is None else 1)):
        try:
            with _own_signals():
                ray.init(address=address or "local", **options)
        except Exception as error:
            ray.shutdown()
            if not left:
                doing = f"connect to Ray at {one_line(address)}" if address else "start Ray on this machine"
                raise GpenEdgeError(f"cannot {doing}: {cause_of(error)}") from error
        else:
            return


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put back the handler of SIGTERM, which Ray replaces by one that ends the process at once."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def cluster_cpus() -> float:
    """Return the CPUs of the cluster that this process is connected to."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources.get("CPU", 1.0)


def restore_all(
    photos: Sequence[Listed],
    work: Work,
    actors: Actors,
    report: Report = lambda counts: None,
    open_worker: OpenWorker = Worker,
) -> None:
    """Restore photos and write their results and rows into the sink; those with a row are left out.

    The rows are in Parquet in the sink's folder STATUS. A photo has a row exactly if Ray's checkpoint has its
    path: the two are committed together, and what was not committed when a run ended is removed by the next.

    report       called about once a second with how far this run is
    open_worker  opens what an actor works with, in the actor

    Raises PhotoError if a result cannot be written at all, and GpenEdgeError if Ray gives up.
    """
    listed = f"{LISTS}/{uuid.uuid4().hex}/photos.parquet"
    _write_listing(photos, work.sink, listed)
    with _checkpointing(work.sink), _tally(report) as tally, _explained():
        dataset = ray.data.read_parquet(
            work.sink.path(listed), filesystem=work.sink.filesystem, num_cpus=0, concurrency=1
        )
        rows = _restored(dataset, len(photos), work, actors, tally, open_worker, listed)
        status = work.sink.within(STATUS)
        rows.write_parquet(
            status.path(), filesystem=status.filesystem, ray_remote_args={"num_cpus": 0}, concurrency=1
        )


def restore_sample(
    photos: Sequence[Listed],
    work: Work,
    actors: Actors,
    report: Report = lambda counts: None,
    open_worker: OpenWorker = Worker,
) -> list[Row]:
    """Restore photos in the same way, but write nothing; return their rows."""
    with _quiet(), _tally(report) as tally:
        dataset = ray.data.from_arrow(_listed(photos))
        rows = _restored(dataset, len(photos), replace(work, writes=False), actors, tally, open_worker)
        with _explained():
            return [dict(row) for row in rows.iter_rows()]


def rows_of(sink: Place, columns: Sequence[str] | None = None) -> Any:
    """Return the rows in a sink, as a `pyarrow.Table`. Raises PhotoError if a file of theirs is damaged."""
    status = sink.within(STATUS)
    try:
        return pq.read_table(status.path(), columns=columns and list(columns), filesystem=status.filesystem)
    except GpenEdgeError:
        raise
    except Exception as error:  # of Arrow, the system or the store's library
        raise PhotoError(
            f"cannot read the rows of the photos: {without_secrets(cause_of(error))}; the results are "
            "complete: run the same command again for the summary; if a power cut has damaged a file in "
            f"{STATUS}, move it away first"
        ) from error


def count_rows(sink: Place) -> int:
    """Return the number of rows in a sink; a continued run may remove some of the last ones.

    Files that a power cut has left incomplete do not count. Raises PhotoError.
    """
    status, count = sink.within(STATUS), 0
    for name, _ in status.files() if status.names() else ():
        content = io.BytesIO(status.read(name))
        with suppress(pa.ArrowException, OSError):
            count += pq.read_metadata(content).num_rows
    return count


class _Actor:
    """What Ray creates in each actor's process."""

    def __init__(self, work: Work, tally: RemoteTally, open_worker: OpenWorker, listed: str | None) -> None:
        """listed: a file that the sink holds throughout the run."""
        self._sink, self._listed = work.sink, listed
        self._worker = open_worker(work, tally)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Return the rows of a block. Raises PhotoError if the sink is gone, before or after it: where a
        drive was mounted, its folders could be made again on the system's disk."""
        try:
            self._check_sink()
            rows = self._worker.rows([Listed(**row) for row in block.to_pylist()])
            self._check_sink()
            return table_of(rows)
        except DeviceLostError:  # Ray starts a new process, which restores the block
            os._exit(1)

    def _check_sink(self) -> None:
        if self._listed and not self._sink.exists(self._listed):
            raise PhotoError(f"{self._sink.shown} is gone: when it is back, run the same command again")


def _restored(
    dataset: Any,
    count: int,
    work: Work,
    actors: Actors,
    tally: RemoteTally,
    open_worker: OpenWorker,
    listed: str | None = None,
) -> Any:
    threads = work.options.threads or max(1, math.floor(actors.cpus))
    work = replace(work, options=replace(work.options, threads=threads))
    block = block_of(count, actors.most)
    return dataset.repartition(target_num_rows_per_block=block).map_batches(
        _Actor,
        batch_size=block,
        batch_format="pyarrow",
        fn_constructor_args=(work, tally, open_worker, listed),
        compute=ActorPoolStrategy(min_size=actors.least, max_size=actors.most),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus or None,
    )


def _listed(photos: Sequence[Listed]) -> pa.Table:
    return pa.table(
        {
            "path": pa.array([photo.path for photo in photos], pa.string()),
            "output": pa.array([photo.output for photo in photos], pa.string()),
            "size": pa.array([photo.size for photo in photos], pa.int64()),
        }
    )


def _write_listing(photos: Sequence[Listed], sink: Place, name: str) -> None:
    stream = pa.BufferOutputStream()
    pq.write_table(_listed(photos), stream)
    sink.write(name, stream.getvalue().to_pybytes())


@contextmanager
def _quiet() -> Iterator[DataContext]:
    """Yield Ray Data's context, with progress bars off; restore it after the block."""
    context = DataContext.get_current()
    before = context.enable_progress_bars, context.checkpoint_config
    context.enable_progress_bars = False
    try:
        yield context
    finally:
        context.enable_progress_bars, context.checkpoint_config = before


@contextmanager
def _checkpointing(sink: Place) -> Iterator[None]:
    place = sink.within(CHECKPOINT)
    filesystem, path = place.filesystem, place.path()
    with _quiet() as context:
        context.checkpoint_config = CheckpointConfig(
            id_column="path",
            checkpoint_path=path,
            override_filesystem=filesystem,
            delete_checkpoint_on_success=False,
            write_num_threads=1,
        )
        context.checkpoint_config.checkpoint_actor_pool_max_size = 1
        yield


@contextmanager
def _tally(report: Report) -> Iterator[RemoteTally]:
    """Yield a new tally; while the block runs, `report` is called with its counts."""
    keeper: Any = ray.remote(TallyKeeper).options(num_cpus=0, max_restarts=-1).remote()
    over = Event()

    def tell() -> None:
        while not over.wait(_ASKED):
            try:
                report(ray.get(keeper.counts.remote(), timeout=10))
            except ray.exceptions.RayError:
                time.sleep(_ASKED)

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield RemoteTally(keeper)
        with suppress(ray.exceptions.RayError):  # lost, or too busy: the work itself is done
            report(ray.get(keeper.counts.remote(), timeout=10))
    finally:
        over.set()
        teller.join(timeout=30)
        ray.kill(keeper)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn an exception of Ray's into a one-line error: the worker's own, if there is one."""
    try:
        yield
    except (GpenEdgeError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise _own_error(error) from error


def _own_error(error: BaseException) -> GpenEdgeError:
    """Return the error that a worker raised, which Ray passes on only as text, or otherwise one about Ray
    itself."""
    behind: BaseException | None = error
    while behind is not None:
        if found := _OWN_ERROR.findall(str(behind)):
            name, said = found[-1]  # a traceback begins with the causes
            kind = getattr(base.errors, name, GpenEdgeError)
            return GpenEdgeError(said) if not issubclass(kind, GpenEdgeError) else kind(said)
        behind = behind.__cause__
    any_error = _ANY_ERROR.search(str(error))
    raised = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
    said = without_secrets(one_line(any_error[0] if any_error else cause_of(raised)))
    return GpenEdgeError(f"Ray gave up: {said[:_SAID]}: run the same command again to continue")


def _paths(text: str | None) -> list[str]:
    return [path for path in (text or "").split(os.pathsep) if path]
