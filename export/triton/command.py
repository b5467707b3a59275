"""`python -m export triton PACKAGE -o REPOSITORY`: write a model repository for Triton Inference Server."""

import argparse
from pathlib import Path

from base import command_line, setting
from base.command_line import print_lines
from base.command_parser import CommandParser
from engines.package import open_package
from export.triton.model_config import Serving
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
    setting.add_options(parser, Serving)
    add("--overwrite", action="store_true", help="Replace models that exist.")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    package = open_package(options.package, kind="face")
    plans = find_plans(options.engines, package) if options.engines else None
    prefix = prefix_of(options.name or package.manifest.name)
    serving = setting.options_of(options, Serving, prefix=prefix)
    names = write_repository(options.output, package, serving, plans, overwrite=options.overwrite)
    needs = f", whose TensorRT must be {plans.version}" if plans else ""
    print_lines(
        f"{options.output}: {', '.join(names)}",
        f"serve: tritonserver --model-repository={options.output}{needs}",
        "its Python models need gpen-edge in Triton's Python: pip install 'gpen-edge[cpu]'",
    )
    return command_line.DONE
