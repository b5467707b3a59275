"""`python -m runtime.watch IN OUT`: restore every photo that arrives in a folder, each exactly once."""

import argparse
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, get_args

from base.command_line import DONE, INTERRUPTED, needs_extra, run
from base.text import one_line, utf8
from runtime.commands.options import (
    Wanted,
    add_accept_damaged,
    add_machine,
    add_privacy,
    add_settings,
    open_restorer,
    said,
    wanted_by,
)
from runtime.hotfolder.folders import RESERVED, Originals, holding
from runtime.hotfolder.log import Log, LogFormat
from runtime.hotfolder.preset_folders import SettingsFor, preset_by_folder
from runtime.hotfolder.rules import RULES, Rules
from runtime.restorer import Restorer
from runtime.settings.resolved import in_force, lines

if TYPE_CHECKING:
    from runtime.hotfolder.status import Status
    from runtime.hotfolder.watcher import Watcher


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    warnings.filterwarnings("ignore", module="PIL")  # about odd metadata, which is dropped
    return run(lambda: _watch(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    about = "Restore every photo that arrives in a folder, each exactly once."
    parser = argparse.ArgumentParser(prog="python -m runtime.watch", description=about)
    default = Rules()
    add = parser.add_argument
    add(
        "photos",
        type=Path,
        metavar="IN",
        help="folder in which photos arrive; those in IN/PRESET/ have that preset",
    )
    add(
        "output",
        type=Path,
        metavar="OUT",
        help="folder for results, with OUT/done/ and OUT/failed/ for originals",
    )
    add(
        "--originals",
        choices=get_args(Originals),
        default=default.originals,
        help="move originals to OUT/done/ or OUT/failed/, or leave them in IN (%(default)s)",
    )
    add("--once", action="store_true", help="end when all photos in IN are processed")
    add("--max-megapixels", type=float, default=100, metavar="N", help="refuse larger photos and results")
    add("--compare", type=Path, metavar="FOLDER", help="folder for a before/after sheet of each photo")
    add_accept_damaged(parser)
    add_privacy(parser)
    add("--config", type=Path, metavar="FILE", help="TOML or JSON; the command line wins over it")

    add = parser.add_argument_group("timing and retries").add_argument
    add(
        "--settle",
        type=float,
        metavar="S",
        default=default.settle,
        help="seconds for which a file must not change before it is taken (%(default)g)",
    )
    add(
        "--rescan",
        type=float,
        metavar="S",
        default=default.rescan,
        help="seconds between scans of IN, even without file events (%(default)g)",
    )
    add(
        "--queue",
        type=int,
        default=default.queue,
        metavar="N",
        help="most waiting photos held in memory (%(default)s)",
    )
    add(
        "--retries",
        type=int,
        default=default.retries,
        metavar="N",
        help="how often to try again after an error that may pass (%(default)s)",
    )
    add(
        "--backoff",
        type=float,
        metavar="S",
        default=default.backoff,
        help="seconds before the first retry, doubled for each further one (%(default)g)",
    )
    add(
        "--crashes",
        type=int,
        default=default.crashes,
        metavar="N",
        help="give up on a photo after the process has crashed N times while restoring it (%(default)s)",
    )

    add = parser.add_argument_group("monitoring").add_argument
    add(
        "--log-format",
        choices=get_args(LogFormat),
        default="text",
        help="format of the log on standard error (%(default)s)",
    )
    add("--heartbeat", type=Path, metavar="FILE", help="heartbeat file, instead of OUT/.watch/heartbeat.json")
    add(
        "--heartbeat-every",
        type=float,
        metavar="S",
        default=default.heartbeat_every,
        help="seconds between two heartbeats (%(default)g)",
    )
    add(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="serve Prometheus metrics on 127.0.0.1; 0 takes any free port",
    )
    add_settings(parser)
    add_machine(parser)
    return parser


def _watch(options: argparse.Namespace) -> int:
    with needs_extra("watch", "python -m runtime.watch"):
        import watchdog.observers  # noqa: F401
    from runtime.hotfolder.journal import Journal
    from runtime.hotfolder.metrics import LOOPBACK, serving
    from runtime.hotfolder.resources import Resources
    from runtime.hotfolder.sheets import check_sheet_folder
    from runtime.hotfolder.status import Heartbeat, Status
    from runtime.hotfolder.watcher import Watcher
    from runtime.warm_restorer import WarmRestorer

    rules = Rules(**{name: getattr(options, name) for name in RULES})
    wanted = wanted_by(options)
    presets = {name: in_force(wanted.config, said(options), name) for name in wanted.config.presets}
    log, status = Log(options.log_format), Status()
    with ExitStack() as stack:
        folders = stack.enter_context(holding(options.photos, options.output, rules.originals))
        if rules.compare:
            check_sheet_folder(rules.compare, folders)
        journal = stack.enter_context(closing(Journal(folders.state / "journal.sqlite")))
        settings_for = preset_by_folder(presets, wanted.force, partial(_warn_of_folder, log))
        restorer = WarmRestorer(lambda: open_restorer(wanted), partial(_log_backend, log, status))
        watcher = Watcher(Resources(folders, journal, rules, settings_for, restorer, status, log))
        stopped_by = stack.enter_context(_stopping_at_signals(watcher))
        file = options.heartbeat or folders.state / "heartbeat.json"
        stack.enter_context(closing(Heartbeat(file, status, every=rules.heartbeat_every)))
        if options.metrics_port is not None:
            port = stack.enter_context(serving(status, options.metrics_port))
            log("metrics", f"Prometheus is served on http://{LOOPBACK}:{port}/metrics", port=port)
        for line in lines(wanted.force):
            log("settings", line)
        _log_presets(log, settings_for, folders.photos, wanted)
        log("watching", f"watching {one_line(options.photos)}, results go to {one_line(options.output)}")
        watcher.run()
        log("stopped", "stopped; no photo is half processed")
    return INTERRUPTED if signal.SIGINT in stopped_by else DONE


def _log_presets(log: Log, settings_for: SettingsFor, photos: Path, wanted: Wanted) -> None:
    """Log which preset photos have by their folder, and that of each folder that exists."""
    default, names = one_line(wanted.force.preset), one_line(", ".join(wanted.config.presets))
    sentence = f"preset: {default}, or that of the folder in {one_line(photos)}, if it is named {names}"
    log("presets", sentence, preset=wanted.force.preset, presets=list(wanted.config.presets))
    with suppress(OSError):  # the input folder may vanish, and come back
        for folder in sorted(path.name for path in photos.iterdir() if path.is_dir()):
            if not folder.startswith(".") and folder not in RESERVED:
                preset = settings_for(Path(folder, "photo")).preset
                sentence = f"folder {one_line(folder)}: preset {one_line(preset)}"
                log("folder", sentence, folder=utf8(Path(folder)), preset=preset)


def _warn_of_folder(log: Log, folder: str, sentence: str) -> None:
    log("folder-name", sentence, level=logging.WARNING, folder=utf8(Path(folder)))


def _log_backend(log: Log, status: "Status", restorer: Restorer) -> None:
    """Log what runs the networks, each time they are opened: after a failure it may be another backend."""
    backend = restorer.backend
    status.backend = f"{backend.name} on {backend.device}"
    sentence = f"backend: {status.backend} ({backend.why})"
    log("backend", sentence, backend=backend.name, device=backend.device, reason=backend.why)


@contextmanager
def _stopping_at_signals(watcher: "Watcher") -> Iterator[set[int]]:
    """Have SIGTERM and SIGINT end the work after the present photo; yield the set of signals received.

    A second SIGINT ends it at once, which loses nothing either.
    """
    received: set[int] = set()

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in received:
            raise KeyboardInterrupt
        received.add(number)
        watcher.stop()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
