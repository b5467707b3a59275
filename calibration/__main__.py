"""`python -m calibration latents|audit|int8 PACKAGE --images DIR`: what portraits say of a package."""

import argparse
import sys

from rich.console import Console

from base import command_line
from calibration import latents, moving
from calibration.audit_command import add_audit
from calibration.int8_command import add_int8
from calibration.options import add_portraits, check, detector_of, progress_bar
from engines.package import Package, open_package
from portraits.reading import LEAST, pictures_in
from runtime.network.backends import open_backend


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return command_line.run(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m calibration", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_latents(commands)
    add_audit(commands)
    add_int8(commands)
    options = parser.parse_args(arguments)
    return int(options.run(options))


def _add_latents(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "measure whether the loop gains by moving the latent"
    parser = commands.add_parser("latents", help=about, description=about)
    parser.add_argument("package", metavar="PACKAGE", help="folder, or name of a bundled package; is changed")
    add_portraits(parser)
    parser.set_defaults(run=_latents)


def _latents(options: argparse.Namespace) -> int:
    check(options)
    package = open_package(options.package)
    pictures = pictures_in(options.images, least=LEAST)
    detector = detector_of(options)
    backend = open_backend("auto", package, threads=options.threads)
    size = package.manifest.size
    with progress_bar("reading portraits", len(pictures) + moving.STEPS) as tick:
        found = latents.measure(backend, size, options.images, detector, seed=options.seed, tick=tick)
    backend.close()
    latents.write(package, found)
    Console().print(
        f"{found.portraits} portraits",
        _loop_line(open_package(package.folder), found.gain_of_moving),
        f"written into {package.folder}",
        sep="\n",
        soft_wrap=True,
    )
    return command_line.DONE


def _loop_line(package: Package, gain: float) -> str:
    kind = package.manifest.loop_kind
    if kind == "renewed":
        return f"the passes after the first win {gain:+.2f} dB where they win least: the loop is renewed"
    named = " (its manifest says so)" if package.manifest.loop else ""
    does = "holds the first" if kind == "held" else "moves it"
    return f"moving the latent wins {gain:+.2f} dB where it wins least: the loop {does}{named}"


if __name__ == "__main__":
    sys.exit(main())
