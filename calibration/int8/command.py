"""`python -m calibration int8 PACKAGE --images DIR -o PACKAGE8`: make an INT8 package."""

import argparse
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from base import command_line, setting
from base.command_line import print_lines, progress_bar
from base.command_parser import CommandParser
from base.errors import PhotoError
from base.setting import option
from base.text import one_line
from calibration.int8.conversion import Int8Settings, check_source, to_int8
from calibration.options import Portraits, limit, samples_of
from engines.package import Package, Quantisation, Trial, check_free, open_package


@dataclass(frozen=True)
class _Int8Options(Portraits):
    """The package, its portraits, and where the INT8 package goes."""

    package: str = option(None, "FP32 package: folder, or name of a bundled package.", "PACKAGE", nargs=None)
    output: Path = option(
        None, "Folder of the INT8 package.", "-o", "--output", required=True, metavar="PACKAGE8"
    )
    portraits: int = limit(40)
    overwrite: bool = option(False, "Replace an existing package.")


def add_options(parser: CommandParser) -> None:
    """Declare the command's options."""
    setting.add_options(parser, _Int8Options)
    setting.add_options(parser, Int8Settings)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    package = open_package(options.package)
    check_source(package)
    check_free(options.output, overwrite=options.overwrite)
    with samples_of(options, package.manifest.size, "reading portraits") as found:
        taken = list(found)
    if all((sample == taken[0]).all() for sample in taken):
        raise PhotoError(f"all portraits in {one_line(options.images)} are the same: give different ones")
    settings = setting.options_of(options, Int8Settings, seed=options.seed, threads=options.threads or 0)
    with ExitStack() as bars:

        def progress(what: str, steps: int) -> Callable[[], None]:
            bars.close()  # one at a time
            return bars.enter_context(progress_bar(what, steps))

        made = to_int8(
            package, taken, options.output, settings, overwrite=options.overwrite, progress=progress
        )
    _show(package, made)
    return command_line.DONE


def _show(package: Package, made: Package) -> None:
    quantisation = made.manifest.quantisation
    assert quantisation is not None
    console = Console()
    console.print(_table(quantisation))
    before, after = (_bytes(each) for each in (package, made))
    print_lines(
        f"{quantisation.share:.1%} of the MACs in INT8; PSNR against FP32 {quantisation.psnr:.1f} dB, worst "
        f"portrait {quantisation.worst_psnr:.1f} dB ({quantisation.held_out} held out)",
        f"package: {made.folder}, {after / 2**20:.1f} MiB ({package.folder.name}: {before / 2**20:.1f} MiB)",
    )
    if better := knee(quantisation):
        print_lines(
            f"--psnr {math.floor(10 * better.psnr) / 10:g} would give about {better.psnr:.1f} dB with "
            f"{better.share:.1%} in INT8; quantisation.png shows the trade-off"
        )


def knee(quantisation: Quantisation) -> Trial | None:
    """Return the earlier stage of the trade-off that gains the most dB for the share in INT8 given up.

    A percentage point is counted as worth 1 dB. None if no stage gains 1 dB on balance.
    """
    kept = [trial for trial in quantisation.curve if trial.kept and trial.share >= quantisation.least_share]
    if not kept:
        return None
    last = kept[-1]

    def gained(trial: Trial) -> float:
        return (trial.psnr - last.psnr) - 100 * (last.share - trial.share)

    best = max(kept, key=gained)
    return best if gained(best) >= 1 else None


def _bytes(package: Package) -> int:
    return sum((package.folder / graph.file).stat().st_size for graph in package.manifest.graphs.values())


def _table(quantisation: Quantisation) -> Table:
    figures = [Column(heading, justify="right") for heading in ("share of MACs", "PSNR, dB")]
    names = Column("layer", no_wrap=True)
    table = Table(names, *figures, "now", "ranges by", title="layers, each alone in INT8")
    for layer in quantisation.layers:
        table.add_row(
            layer.name,
            f"{layer.share:.1%}",
            f"{layer.psnr_alone:.1f}",
            layer.precision,
            ", ".join(layer.methods.values()),
        )
    return table
