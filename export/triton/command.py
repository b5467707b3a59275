"""`python -m export triton PACKAGE -o REPOSITORY`: write a model repository for Triton Inference Server."""

import argparse
import math
from pathlib import Path
from typing import get_args

from base import command_line
from base.command_parser import CommandParser
from base.errors import UsageError
from engines.package import open_package
from export.triton.model_config import Kind, Serving
from export.triton.plans import find_plans
from export.triton.repository import prefix_of, write_repository

ABOUT = "Write a model repository for NVIDIA Triton Inference Server from a model package."


def export_repository(arguments: list[str]) -> int:
    """Run the command; return its exit status. Raises GpenEdgeError."""
    parser = CommandParser(prog="python -m export triton", description=ABOUT)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    return int(options.run(options))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m export triton`."""
    add = parser.add_argument
    add("package", metavar="PACKAGE", help="Package folder, or name of a bundled package.")
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="REPOSITORY",
        help="Folder of the repository; it may hold other models.",
    )
    add("--name", help="How the names of the models begin. (default: the package's name)")
    add(
        "--engines",
        type=Path,
        metavar="DIR",
        help="Serve these TensorRT engines, made on each kind of GPU by `python -m engines build PACKAGE "
        "--runtime tensorrt --output DIR`. (default: the ONNX graphs, in ONNX Runtime)",
    )
    add(
        "--kind",
        choices=get_args(Kind),
        default="auto",
        help="Where the ONNX graphs run; auto is on the server's GPUs, if it has any.",
    )
    add("--max-batch", type=int, default=8, metavar="N", help="Largest number of faces in a batch.")
    add("--instances", type=int, default=1, metavar="N", help="Instances of each graph on each device.")
    add("--photos", type=int, default=2, metavar="N", help="Photos that are restored at once.")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads of each instance; 0: one per core.")
    add("--max-megapixels", type=float, default=100, metavar="N", help="Refuse photos above this size.")
    add("--overwrite", action="store_true", help="Replace models that exist.")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    for name, least in (("max_batch", 1), ("instances", 1), ("photos", 1), ("threads", 0)):
        if getattr(options, name) < least:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} is {getattr(options, name)}: give {least} or more")
    if not 0 < options.max_megapixels < math.inf:
        raise UsageError(f"--max-megapixels is {options.max_megapixels:g}: give a number above 0")
    package = open_package(options.package)
    plans = find_plans(options.engines, package) if options.engines else None
    serving = Serving(
        prefix_of(options.name or package.manifest.name),
        options.max_batch,
        options.kind,
        options.instances,
        options.photos,
        options.threads,
        options.max_megapixels,
    )
    names = write_repository(options.output, package, serving, plans, overwrite=options.overwrite)
    needs = f", whose TensorRT must be {plans.version}" if plans else ""
    for line in (
        f"{options.output}: {', '.join(names)}",
        f"serve: tritonserver --model-repository={options.output}{needs}",
        "its Python models need gpen-edge in Triton's Python: pip install 'gpen-edge[cpu]'",
    ):
        print(line)  # noqa: T201
    return command_line.DONE
