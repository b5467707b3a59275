"""`python -m runtime.serve`: the kiosk's server."""

import argparse
from contextlib import ExitStack, closing
from pathlib import Path
from typing import get_args

from platformdirs import user_state_path

from base.command_line import DONE, needs_extra, run
from base.command_parser import CommandParser
from base.text import one_line
from runtime.commands.options import (
    RunOptions,
    add_config,
    add_detector,
    add_machine,
    add_recogniser,
    run_options,
)
from runtime.hotfolder.log import Log, LogFormat
from runtime.serve.ending import Ending
from runtime.serve.kiosk_config import KioskConfig, check_kiosk_config, read_kiosk_config

LOOPBACK = "127.0.0.1"
RAM = Path("/dev/shm/gpen-edge-kiosk")
"""Folder of all files with --ram, unless --folder names another tmpfs."""


def main(arguments: list[str] | None = None, ending: Ending | None = None) -> int:
    """Run the command line; return its exit status.

    ending  tells the server when to end; None: nothing does but an interruption
    """
    return run(lambda: _serve(parser().parse_args(arguments), ending or Ending()))


def parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m runtime.serve",
        description="Serve the page of a kiosk, for customers on this machine.",
    )
    add = parser.add_argument
    add(
        "--folder",
        type=Path,
        metavar="DIR",
        help="The folder for customers' photos, deleted after a set time. (default: in the user's "
        "state folder)",
    )
    add("--kiosk", type=Path, metavar="kiosk.toml", help="The operator's settings, see docs/kiosk.md.")
    add("--port", type=int, default=8080, metavar="PORT", help="The port of the kiosk's page.")
    add(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="The address of the kiosk's page. Anyone who can reach it can use the kiosk; phones have a "
        "listener of their own.",
    )
    add(
        "--ram",
        action="store_true",
        help="Keep all customers' files in memory; nothing of theirs reaches a disk.",
    )
    add(
        "--log-format",
        choices=get_args(LogFormat),
        default="text",
        metavar="text|json",
        help="The form of log lines on stderr.",
    )
    add_config(parser)
    add_detector(parser)
    add_recogniser(parser)
    add_machine(parser)
    parser.set_defaults(preset=None)
    return parser


def _serve(options: argparse.Namespace, ending: Ending) -> int:
    with needs_extra("serve", "python -m runtime.serve"):
        import segno  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401

    config, wanted = read_kiosk_config(options.kiosk), run_options(options)
    check_kiosk_config(config, one_line(options.kiosk or "kiosk.toml"), wanted.config.presets)
    log = Log(options.log_format)
    try:
        _run(options, config, wanted, log, ending)
    except KeyboardInterrupt:
        if not ending.is_wanted:
            raise
    log("stopped", "stopped; all customers' files are deleted")
    return DONE


def _run(
    options: argparse.Namespace, config: KioskConfig, wanted: RunOptions, log: Log, ending: Ending
) -> None:
    """Serve until the end is wanted; then everything of customers is deleted."""
    from runtime.serve.opening import opened_kiosk
    from runtime.serve.server import KioskServer, address_of, listen, names_of, phone_url

    folder = options.folder or (RAM if options.ram else user_state_path("gpen-edge") / "kiosk")
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(listen(options.host, options.port)))]
        if config.phones:
            listeners.append(stack.enter_context(closing(listen(*config.phones.address))))
        opened = opened_kiosk(
            folder, config, wanted, log, ram=options.ram, hosts=names_of(options.host), ending=ending
        )
        kiosk = stack.enter_context(opened)
        if phones := config.phones:
            phone_port = listeners[1].getsockname()[1]
            kiosk.desk.links.address = lambda: phone_url(phones, phone_port)
        server = KioskServer(kiosk, listeners)
        ending.calling(server.stop)
        log("serving", f"the kiosk is at http://{address_of(listeners[0])}")
        for listener in listeners[1:]:
            log("serving-phones", f"phones are served on {address_of(listener)}")
        server.run()
