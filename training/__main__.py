"""`python -m training run PORTRAITS -o RUN`."""

import argparse
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from engines import command_line
from training.config import read_config
from training.run import train


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train a network on a folder of aligned portraits")
    run.add_argument("portraits", type=Path, help="folder of square, aligned portraits")
    run.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of the run; resumed if it is there"
    )
    run.add_argument("--config", type=Path, help="TOML file of settings (training/config.py names them)")
    run.add_argument("--steps", type=int, help="steps in all, over the configuration's")
    run.add_argument("--held-out", type=int, default=36, help="last portraits kept for validation (36)")
    run.add_argument("--threads", type=int, help="CPU threads")
    options = parser.parse_args(arguments)
    return command_line.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    if options.steps:
        config = msgspec.structs.replace(config, steps=options.steps)
    weights = train(
        options.portraits, options.output, config, held_out=options.held_out, threads=options.threads
    )
    Console().print(f"weights: {weights}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
