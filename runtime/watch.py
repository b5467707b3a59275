"""`python -m runtime.watch IN OUT`: restore every photo that arrives in a folder, each exactly once."""

import argparse
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, get_args

from base.command_line import DONE, INTERRUPTED, needs_extra, run
from base.command_parser import CommandParser
from base.setting import add_options, options_of
from base.text import one_line, utf8
from runtime.commands.options import (
    RunOptions,
    add_config,
    add_machine,
    add_provenance,
    add_settings,
    given_settings,
    open_restorer,
    provenance_of,
    run_options,
)
from runtime.hotfolder.folders import RESERVED, holding
from runtime.hotfolder.log import Log, LogFormat
from runtime.hotfolder.preset_folders import SettingsFor, preset_by_folder
from runtime.hotfolder.rules import Rules
from runtime.restorer import Restorer
from runtime.settings.resolved import lines, resolve_settings

if TYPE_CHECKING:
    from runtime.hotfolder.status import Status
    from runtime.hotfolder.watcher import Watcher


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return run(lambda: _watch(parser().parse_args(arguments)))


def parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m runtime.watch",
        description="Restore every photo that arrives in a folder, each exactly once.",
    )
    add = parser.add_argument
    add(
        "photos",
        type=Path,
        metavar="IN",
        help="The folder in which photos arrive. A subfolder named like a preset, IN/film-scan/, selects it.",
    )
    add(
        "output",
        type=Path,
        metavar="OUT",
        help="The folder for results; originals go to OUT/done/, what cannot be restored to OUT/failed/.",
    )
    add_options(parser, Rules)
    add_provenance(parser)
    add_config(parser)

    add = parser.add_argument_group("logs, health and metrics").add_argument
    add(
        "--log-format",
        choices=get_args(LogFormat),
        default="text",
        metavar="text|json",
        help="The form of log lines on stderr.",
    )
    add(
        "--heartbeat",
        type=Path,
        metavar="FILE",
        help="The file for the heartbeat. (default: OUT/.watch/heartbeat.json, which only this user can "
        "read)",
    )
    add(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="Serve metrics for Prometheus on this port of 127.0.0.1; 0 takes any free port.",
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

    rules = options_of(options, Rules)
    wanted = run_options(options)
    presets = {
        name: resolve_settings(wanted.config, given_settings(options), name) for name in wanted.config.presets
    }
    provenance = provenance_of(options, wanted.package)
    log, status = Log(options.log_format), Status()
    with ExitStack() as stack:
        folders = stack.enter_context(holding(options.photos, options.output, rules.originals))
        if rules.compare:
            check_sheet_folder(rules.compare, folders)
        journal = stack.enter_context(closing(Journal(folders.state / "journal.sqlite")))
        settings_for = preset_by_folder(presets, wanted.resolved, partial(_warn_of_folder, log))
        restorer = WarmRestorer(lambda: open_restorer(wanted), partial(_log_backend, log, status))
        watcher = Watcher(
            Resources(folders, journal, rules, settings_for, restorer, status, log, provenance=provenance)
        )
        stopped_by = stack.enter_context(_stopping_at_signals(watcher))
        file = options.heartbeat or folders.state / "heartbeat.json"
        stack.enter_context(closing(Heartbeat(file, status, every=rules.heartbeat_every)))
        if options.metrics_port is not None:
            port = stack.enter_context(serving(status, options.metrics_port))
            log("metrics", f"Prometheus is served on http://{LOOPBACK}:{port}/metrics", port=port)
        for line in lines(wanted.resolved):
            log("settings", line)
        _log_presets(log, settings_for, folders.photos, wanted)
        log("watching", f"watching {one_line(options.photos)}, results go to {one_line(options.output)}")
        watcher.run()
        log("stopped", "stopped; no photo is half processed")
    return INTERRUPTED if signal.SIGINT in stopped_by else DONE


def _log_presets(log: Log, settings_for: SettingsFor, photos: Path, wanted: RunOptions) -> None:
    """Log which folders select presets, and the preset of each folder that exists."""
    default, names = one_line(wanted.resolved.preset), one_line(", ".join(wanted.config.presets))
    sentence = f"preset: {default}, or that of the folder in {one_line(photos)}, if it is named {names}"
    log("presets", sentence, preset=wanted.resolved.preset, presets=list(wanted.config.presets))
    with suppress(OSError):  # the input folder may vanish, and come back
        for folder in sorted(path.name for path in photos.iterdir() if path.is_dir()):
            if not folder.startswith(".") and folder not in RESERVED:
                preset = settings_for(Path(folder, "photo")).preset
                sentence = f"folder {one_line(folder)}: preset {one_line(preset)}"
                log("folder", sentence, folder=utf8(Path(folder)), preset=preset)


def _warn_of_folder(log: Log, folder: str, sentence: str) -> None:
    log("folder-name", sentence, level=logging.WARNING, folder=utf8(Path(folder)))


def _log_backend(log: Log, status: "Status", restorer: Restorer) -> None:
    """Log the backend each time the networks are opened; after a failure it may be another one."""
    backend, before = restorer.backend, status.backend
    status.backend = f"{backend.name} on {backend.device}"
    sentence = f"backend: {status.backend} ({backend.why})"
    level = logging.WARNING if before not in ("", status.backend) else logging.INFO
    log("backend", sentence, level=level, backend=backend.name, device=backend.device, reason=backend.why)


@contextmanager
def _stopping_at_signals(watcher: "Watcher") -> Iterator[set[int]]:
    """Let SIGTERM and SIGINT end the work after the current photo; yield the set of signals received.

    A second SIGINT ends it immediately; no photo is lost then either.
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
