"""The training recipe: `prepare` photos, `run` a training, `split` and `join` its checkpoint.

`pack-photos` and `photo` train the network for the rest of a photo.
"""

import argparse
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Column, Table

from base import command_line
from base.command_line import print_lines, progress_bar
from base.command_parser import CommandParser
from base.setting import add_options, options_of
from runtime.faces.detect import open_detector
from training import checkpoints
from training.config import read_config
from training.prepare import REASONS, SIZE, Filter, Index, find_photos, prepare


def run(arguments: list[str] | None) -> int:
    """Run the command; return its exit status. Raises GpenEdgeError."""
    parser = CommandParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_prepare(commands.add_parser("prepare", help="Make aligned portraits from a folder of photos."))
    _add_run(commands.add_parser("run", help="Train a network on a folder of aligned portraits."))
    split = commands.add_parser("split", help="Write a run's checkpoint in parts.")
    split.add_argument("folder", type=Path, metavar="RUN", help="Folder of a run.")
    split.add_argument("-o", "--output", type=Path, help="Folder to write the parts to. (default: RUN)")
    split.add_argument(
        "--light", action="store_true", help="Leave out the optimisers' state, which halves the size."
    )
    split.add_argument("--part-mib", type=float, default=15, help="Largest size of a part in MiB.")
    split.set_defaults(command=_split)
    pack = commands.add_parser("pack", help="Shrink portraits to a small pack for transfer.")
    pack.add_argument("portraits", type=Path, help="Folder of square, aligned portraits.")
    pack.add_argument("-o", "--output", type=Path, required=True, help="Folder to write the pack to.")
    pack.add_argument("--edge", type=int, default=288, help="Largest side in pixels.")
    pack.add_argument("--quality", type=int, default=90, help="Quality of the JPEG files.")
    pack.set_defaults(command=_pack)
    _add_photo(commands)
    join = commands.add_parser("join", help="Join a checkpoint from its parts; `run` does so itself.")
    join.add_argument("folder", type=Path, metavar="RUN", help="Folder of the parts.")
    join.set_defaults(command=_join)
    options = parser.parse_args(arguments)
    return int(options.command(options))


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("photos", type=Path, help="Folder of photos, searched recursively.")
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="Folder for the portraits; finished ones are not redone.",
    )
    add("--detector", type=Path, help="YuNet file to use instead of the bundled detector.")
    add_options(parser, Filter)
    parser.set_defaults(command=_prepare)


def _add_photo(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    packing = commands.add_parser("pack-photos", help="Pack crops of photos for the photo network.")
    packing.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="Photos to cut crops from.")
    packing.add_argument("-o", "--output", type=Path, required=True, help="Folder to write the pack to.")
    packing.add_argument("--quality", type=int, default=94, help="Quality of the JPEG files.")
    packing.set_defaults(command=_pack_photos)
    training = commands.add_parser("photo", help="Train the network for the rest of a photo.")
    training.add_argument("pack", type=Path, help="Folder that `pack-photos` wrote.")
    training.add_argument("-o", "--output", type=Path, required=True, help="Folder for weights and log.")
    training.add_argument("--minutes", type=float, default=2.5, help="Duration of the training.")
    training.add_argument("--batch", type=int, default=192, help="Number of patches in a step.")
    training.add_argument("--device", help="Device: cuda or cpu. (default: cuda if available)")
    training.add_argument(
        "--start", type=Path, metavar="WEIGHTS", help="Go on from these weights, or from an FP32 package."
    )
    training.set_defaults(command=_photo)


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("portraits", type=Path, nargs="+", help="Folders of square, aligned portraits.")
    add("-o", "--output", type=Path, required=True, help="Folder of the run; resumed if it exists.")
    add(
        "--config",
        type=Path,
        default=Path("cpu"),
        help="The configuration: cpu, gpu, or a TOML file (see training/config.py).",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="Total number of steps, overriding the configuration.")
    length.add_argument("--minutes", type=float, help="Total time, overriding the configuration.")
    add(
        "--start", type=Path, help="Start from another run's folder, or from weights in the published layout."
    )
    add("--wake", action="store_true", help="Revive features that those weights have silenced.")
    add("--workers", type=int, help="Processes that make crops, overriding the configuration.")
    add(
        "--held-out",
        type=int,
        default=36,
        help="Number of portraits at the end that are kept for validation.",
    )
    add("--threads", type=int, help="CPU threads.")
    parser.set_defaults(command=_run)


def _prepare(options: argparse.Namespace) -> int:
    wanted = options_of(options, Filter)
    jobs, detector = find_photos(options.photos), open_detector(options.detector)
    with progress_bar("preparing", len(jobs)) as tick:
        index = prepare(jobs, options.output, detector, wanted, tick)
    Console().print(_table(index))
    return command_line.DONE


def _table(index: Index) -> Table:
    title = f"{len(index.photos)} photos: portraits of {SIZE}×{SIZE}"
    table = Table("faces", Column("", justify="right"), title=title)
    for reason in REASONS:
        if index.counts[reason]:
            table.add_row(reason, str(index.counts[reason]))
    return table


def _run(options: argparse.Namespace) -> int:
    from training.run import train  # PyTorch takes seconds to load, and the other commands do not need it

    config = read_config(options.config)
    if options.steps is not None or options.minutes is not None:
        config = msgspec.structs.replace(config, steps=options.steps, minutes=options.minutes)
    if options.workers is not None:
        config = msgspec.structs.replace(config, workers=options.workers)
    weights = train(
        options.portraits,
        options.output,
        config,
        held_out=options.held_out,
        threads=options.threads,
        start=options.start,
        wake=options.wake,
    )
    print_lines(f"weights: {weights}")
    return command_line.DONE


def _split(options: argparse.Namespace) -> int:
    parts = checkpoints.split(options.folder, options.part_mib, output=options.output, light=options.light)
    print_lines(f"{len(parts)} parts: {parts[0]} to {parts[-1].name}")
    return command_line.DONE


def _pack(options: argparse.Namespace) -> int:
    from training.packing import pack

    size = pack(options.portraits, options.output, options.edge, options.quality)
    print_lines(f"{options.output}: {size / 2**20:.1f} MiB")
    return command_line.DONE


def _pack_photos(options: argparse.Namespace) -> int:
    from training.photo.packing import pack_photos

    size = pack_photos(options.photos, options.output, options.quality)
    print_lines(f"{options.output}: {size / 2**20:.1f} MiB")
    return command_line.DONE


def _photo(options: argparse.Namespace) -> int:
    from training.photo.train import train as train_photo_network

    file = train_photo_network(
        options.pack,
        options.output,
        options.minutes,
        batch=options.batch,
        device=options.device,
        start=options.start,
    )
    print_lines(f"weights: {file}")
    return command_line.DONE


def _join(options: argparse.Namespace) -> int:
    print_lines(f"checkpoint: {checkpoints.join(options.folder)}")
    return command_line.DONE
