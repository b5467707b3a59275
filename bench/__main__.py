"""`python -m bench latency | … | compare`: measure, show a table, keep the figures, compare them."""

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.environment import moment
from bench.report import RESULTS, Report, progress_bar, record, show
from engines import command_line

GOT_WORSE = 1
"""Exit status of a comparison in which a figure got worse."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(metavar="BENCHMARK", required=True)
    _add_latency(commands)
    _add_paste(commands)
    _add_quality(commands)
    _add_loop(commands)
    _add_half(commands)
    _add_kills(commands)
    _add_soak(commands)
    _add_roofline(commands)
    _add_endtoend(commands)
    _add_compare(commands)
    options = parser.parse_args(arguments)
    return command_line.run(lambda: options.run(options))


def _add_latency(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("latency", help="one face, against the published form in eager PyTorch")
    network = parser.add_mutually_exclusive_group()
    sizes = (256, 512, 1024, 2048)
    network.add_argument("--size-of", type=int, default=512, choices=sizes, help="published layout (512)")
    network.add_argument("--checkpoint", type=Path, help="measure this network instead")
    network.add_argument("--package", type=Path, help="measure the fused graph of this package instead")
    parser.add_argument("--threads", type=_positive, default=2, help="of either form (2)")
    parser.add_argument("--runs", type=_positive, default=5, help="of each form, in turns (5)")
    _add_output(parser)
    parser.set_defaults(run=_latency)


def _add_paste(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("paste", help="the same face in a small and in a large photo")
    parser.add_argument("--runs", type=_positive, default=15, help="with each photo, in turns (15)")
    _add_output(parser)
    parser.set_defaults(run=_paste)


def _add_quality(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("quality", help="degraded portraits, restored, against the truth")
    _add_portraits(parser)
    parser.add_argument(
        "--limit", type=_positive, help="measure this many portraits at most, for a quick look"
    )
    parser.add_argument("--categories", type=_names, help="these degradations only: NAME[,NAME]")
    parser.add_argument("--sheet", type=Path, help="write a PNG of the restored faces, to look at")
    _add_output(parser)
    parser.set_defaults(run=_quality)


def _add_loop(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("loop", help="the latent loop: passes, time and nearness, by ε, N and η")
    _add_portraits(parser)
    parser.add_argument(
        "--limit", type=_positive, default=12, help="measure this many portraits at most (12)"
    )
    _add_output(parser)
    parser.set_defaults(run=_loop)


def _add_half(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("half", help="half precision against FP32, plain and as packages have it")
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="networks to measure")
    parser.add_argument("--portraits", type=Path, help="folder of square, aligned portraits (one of ours)")
    parser.add_argument("--first", type=int, default=0, help="leave out the portraits before this one (0)")
    parser.add_argument("--limit", type=_positive, help="measure this many portraits at most")
    _add_output(parser)
    parser.set_defaults(run=_half)


def _add_kills(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("kills", help="the hot folder, killed at every step and at any moment")
    parser.add_argument("--kills", type=_positive, default=210, help="how often (%(default)s)")
    parser.add_argument("--package", help="work with this package instead of the bundled default")
    parser.add_argument("--elsewhere", type=Path, help="a folder on another disk, for photos to come from")
    _add_output(parser)
    parser.set_defaults(run=_kills)


def _add_soak(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from bench import soak

    soak.add_options(
        commands.add_parser("soak", help="continuous restores: memory, file handles and threads")
    )


def _add_roofline(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("roofline", help="how near each graph comes to what the machine can do")
    parser.add_argument(
        "package", nargs="?", help="folder or name of a package, in place of the bundled default"
    )
    parser.add_argument("--threads", type=_positive, default=2, help="of the CPU (2)")
    parser.add_argument("--runs", type=_positive, default=7, help="of each graph, in turns (7)")
    _add_output(parser)
    parser.set_defaults(run=_roofline)


def _add_endtoend(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("endtoend", help="whole photos, from file to file, and a cold start")
    parser.add_argument("--package", help="folder or name of a package, in place of the bundled default")
    parser.add_argument("--megapixels", type=_sizes, help="of the photos: N[,N] (1,12,24,48)")
    parser.add_argument("--faces", type=_counts, help="in a photo: N[,N] (1,5,29)")
    parser.add_argument("--runs", type=_positive, help="of each photo (3)")
    parser.add_argument("--quick", action="store_true", help="fewer photos, once each")
    _add_output(parser)
    parser.set_defaults(run=_endtoend)


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("compare", help="what became of the figures between two results")
    parser.add_argument("old", type=Path, metavar="OLD.json")
    parser.add_argument("new", type=Path, metavar="NEW.json")
    parser.add_argument(
        *("--threshold",),
        type=_share,
        default=0.05,
        metavar="SHARE",
        help="by which a figure may get worse; beyond it, and beyond the runs' spread, the exit status is 1 "
        "(%(default)s)",
    )
    parser.set_defaults(run=_compare)


def _add_portraits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("portraits", type=Path, help="folder of square, aligned portraits")
    parser.add_argument("--package", type=Path, help="measure this package instead of the bundled default")
    parser.add_argument("--first", type=int, default=0, help="leave out the portraits before this one (0)")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, default=RESULTS, help="folder of the results (%(default)s)"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_positive(number) for number in text.split(","))


def _sizes(text: str) -> tuple[float, ...]:
    sizes = tuple(float(number) for number in text.split(","))
    if not all(0.1 <= size <= 100 for size in sizes):
        raise argparse.ArgumentTypeError("must be between 0.1 and 100")
    return sizes


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share < math.inf:
        raise argparse.ArgumentTypeError("must be at least 0")
    return share


def _measured(
    title: str, steps: int, measure: Callable[[Callable[[], None]], Report], output: Path
) -> Report:
    """Measure under a progress bar, and show and keep what came of it."""
    before = moment()
    with progress_bar(title, steps) as tick:
        report = measure(tick)
    record(report, output, before)
    return report


def _latency(options: argparse.Namespace) -> int:
    from bench import latency  # torch takes seconds to import: only where it is needed

    settings = latency.LatencySettings(
        size=options.size_of,
        checkpoint=options.checkpoint,
        package=options.package,
        threads=options.threads,
        runs=options.runs,
    )
    _measured("latency", latency.steps(settings), partial(latency.measure, settings), options.output)
    return command_line.DONE


def _paste(options: argparse.Namespace) -> int:
    from bench import paste

    settings = paste.PasteSettings(runs=options.runs)
    _measured("paste", paste.steps(settings), partial(paste.measure, settings), options.output)
    return command_line.DONE


def _quality(options: argparse.Namespace) -> int:
    from bench import quality
    from bench.degradations import NAMES

    settings = quality.QualitySettings(
        portraits=options.portraits,
        package=options.package,
        first=options.first,
        limit=options.limit,
        categories=options.categories or NAMES,
        sheet=options.sheet,
    )
    _measured("quality", quality.steps(settings), partial(quality.run, settings), options.output)
    return command_line.DONE


def _loop(options: argparse.Namespace) -> int:
    from bench import loop
    from bench.loop_chart import write_chart

    settings = loop.LoopSettings(
        portraits=options.portraits, package=options.package, first=options.first, limit=options.limit
    )
    report = _measured("loop", loop.steps(settings), partial(loop.measure, settings), options.output)
    write_chart(options.output / "loop.png", report)
    return command_line.DONE


def _half(options: argparse.Namespace) -> int:
    from bench import half

    settings = half.HalfSettings(
        checkpoints=tuple(options.checkpoints),
        portraits=options.portraits,
        first=options.first,
        limit=options.limit,
    )
    _measured("half", half.steps(settings), partial(half.measure, settings), options.output)
    return command_line.DONE


def _kills(options: argparse.Namespace) -> int:
    from bench import kills

    settings = kills.KillSettings(options.kills, options.package, options.elsewhere)
    report = _measured("kills", kills.steps(settings), partial(kills.measure, settings), options.output)
    return command_line.SOME_FAILED if report.figures["wrong"] else command_line.DONE


def _roofline(options: argparse.Namespace) -> int:
    from bench import roofline
    from bench.roofline_chart import write_chart

    settings = roofline.RooflineSettings(options.package, options.threads, options.runs)
    report = _measured(
        "roofline", roofline.steps(settings), partial(roofline.measure, settings), options.output
    )
    write_chart(options.output / "roofline.png", report)
    return command_line.DONE


def _endtoend(options: argparse.Namespace) -> int:
    from bench import endtoend
    from bench.endtoend_chart import write_chart

    wanted = {name: getattr(options, name) for name in ("package", "megapixels", "faces", "runs")}
    given = {name: value for name, value in wanted.items() if value is not None}
    settings = endtoend.EndToEndSettings(**((endtoend.QUICK if options.quick else {}) | given))
    report = _measured(
        "endtoend", endtoend.steps(settings), partial(endtoend.measure, settings), options.output
    )
    write_chart(options.output / "endtoend.png", report)
    return command_line.DONE


def _compare(options: argparse.Namespace) -> int:
    from bench.compare import compare

    report, worse = compare(options.old, options.new, options.threshold)
    show(report)
    return GOT_WORSE if worse else command_line.DONE


if __name__ == "__main__":
    sys.exit(main())
