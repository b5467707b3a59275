"""`python -m calibration latents PACKAGE --images DIR`: measure whether updating the latent helps."""

import argparse

from base import command_line, setting
from base.command_line import print_lines, progress_bar
from base.command_parser import CommandParser
from calibration.latents import gain
from calibration.options import Portraits, detector_of
from engines.package import Package, open_package
from portraits.reading import LEAST, pictures_in
from runtime.network.backends import open_backend


def add_options(parser: CommandParser) -> None:
    """Declare the command's options."""
    about = "Package folder, or name of a bundled package; the result is stored in it."
    parser.add_argument("package", metavar="PACKAGE", help=about)
    setting.add_options(parser, Portraits)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    package = open_package(options.package, kind="face")
    pictures = pictures_in(options.images, least=LEAST)
    detector = detector_of(options)
    backend = open_backend("onnxruntime", package, threads=options.threads)
    with progress_bar("reading portraits", len(pictures) + gain.STEPS) as tick:
        found = gain.measure(package, backend, options.images, detector, seed=options.seed, tick=tick)
    backend.close()
    gain.write(package, found)
    print_lines(
        f"{found.portraits} portraits",
        _loop_line(open_package(package.folder), found.gain_of_moving),
        f"written into {package.folder}",
    )
    return command_line.DONE


def _loop_line(package: Package, gained: float) -> str:
    kind = package.manifest.loop_kind
    if kind == "renewed":
        return f"the passes after the first gain {gained:+.2f} dB in the worst case: the loop is renewed"
    named = " (set in its manifest)" if package.manifest.loop else ""
    does = "keeps the first latent" if kind == "held" else "updates it"
    return f"updating the latent gains {gained:+.2f} dB in the worst case: the loop {does}{named}"
