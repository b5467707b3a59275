"""Assemble the parts of the server."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from base.errors import BackendError, EngineError
from base.text import cause_of, one_line
from runtime.commands.options import RunOptions, open_restorer
from runtime.hotfolder.log import Log
from runtime.restorer import Restorer
from runtime.serve.clock import Clocks, this_boot
from runtime.serve.ending import Ending
from runtime.serve.errors import ServeError
from runtime.serve.health import HealthCheck
from runtime.serve.hot_folder import watching
from runtime.serve.http.kiosk import Kiosk
from runtime.serve.kiosk_config import KioskConfig, Printing, read_password
from runtime.serve.media import Media
from runtime.serve.printing.cups_queue import CupsQueue
from runtime.serve.printing.printer import Printer
from runtime.serve.shared_restorer import SharedRestorer
from runtime.serve.visits.desk import Desk
from runtime.serve.visits.store import Store
from runtime.serve.visits.studio import Studio
from runtime.serve.visits.visit_folder import VisitFolder, holding_folder
from runtime.settings.resolved import resolve_settings


@contextmanager
def opened_kiosk(
    folder: Path,
    config: KioskConfig,
    wanted: RunOptions,
    log: Log,
    *,
    ram: bool = False,
    hosts: frozenset[str] = frozenset(),
    ending: Ending | None = None,
) -> Iterator[Kiosk]:
    """Open a kiosk; at the end all files of customers are deleted. Raises GpenEdgeError.

    folder  for customers' files
    wanted  the package and what runs it, and the presets of the config file
    ram     the folder must be in memory, and is removed at the end
    hosts   further names by which the kiosk's page may be asked for
    ending  interrupts the opening of the networks once the end is wanted
    """
    password = read_password(config.admin)
    presets = {name: resolve_settings(wanted.config, {}, name).settings for name in config.presets}
    backend = ""

    def opened(restorer: Restorer) -> None:
        nonlocal backend
        backend = f"{restorer.backend.name} on {restorer.backend.device}"
        log("backend", f"backend: {backend} ({restorer.backend.why})")

    with holding_folder(folder, ram=ram) as own, closing(_opened_store(own, log)) as store:
        shared = SharedRestorer(lambda: open_restorer(wanted), opened)
        studio = Studio(
            shared,
            presets,
            prepared=config.prepared,
            max_megapixels=config.max_megapixels,
            strip_metadata=config.strip_metadata,
        )
        desk = Desk(own, store, studio, config, log, Clocks(boot=this_boot()))
        media = Media(
            config.media,
            max_megabytes=config.max_megabytes,
            max_megapixels=config.max_megapixels,
            since=lambda: desk.scans_since,
            log=log,
        )
        with closing(desk):
            desk.recover()
            with ending.interrupting() if ending else nullcontext():
                try:
                    shared.warm()
                except (BackendError, EngineError):  # after a loss of the GPU, customers may be waiting
                    desk.keep()
                    raise
            desk.work.line.start()
            with _printing(config.printing, desk, log) as printer, watching(config, wanted, shared, log):
                health = HealthCheck(desk, lambda: backend)
                try:
                    yield Kiosk(config, desk, health, media, printer, log, hosts=hosts, password=password)
                finally:
                    desk.delete_all()  # before anything is waited for that may hang
    if ram:
        shutil.rmtree(folder, ignore_errors=True)


def _opened_store(own: VisitFolder, log: Log) -> Store:
    """Open the database; if a crash has damaged it, start with an empty one. Raises ServeError."""
    try:
        return Store(own.store)
    except sqlite3.DatabaseError as error:
        log("damaged", f"the owners of the stored photos are unknown ({cause_of(error)}): all are deleted")
    own.sweep((), ())
    try:
        for old in own.folder.glob(f"{own.store.name}*"):
            old.unlink()
        return Store(own.store)
    except sqlite3.DatabaseError as error:
        raise ServeError(f"cannot write to {one_line(own.store)}: {cause_of(error)}") from error


@contextmanager
def _printing(settings: Printing | None, desk: Desk, log: Log) -> Iterator[Printer | None]:
    """Open the printer, if one is configured; at the end, delete everything that CUPS keeps of customers."""
    if settings is None:
        yield None
        return
    with closing(Printer(CupsQueue(settings), settings, desk, log)) as printer:
        printer.start()
        yield printer
