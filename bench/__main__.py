"""`python -m bench latency | … | compare`: measure, show a table, keep the figures, compare them."""

import argparse
import sys
from importlib import import_module

from base import command_line

COMMANDS = {
    "latency": "one face, against the published form in eager PyTorch",
    "paste": "the same face in a small and in a large photo",
    "quality": "degraded portraits, restored, against the truth",
    "loop": "the latent loop: passes, time and nearness, by ε, N and η",
    "scenarios": "sheets of the kinds of photo that presets are for, to look at",
    "half": "half precision against FP32, plain and as packages have it",
    "kills": "the hot folder, killed at every step and at any moment",
    "soak": "continuous restores: memory, file handles and threads",
    "roofline": "how near each graph comes to what the machine can do",
    "gpu": "a GPU through PyTorch: its ceilings, and each form's precision and speed",
    "endtoend": "whole photos, from file to file, and a cold start",
    "compare": "what became of the figures between two results",
}
"""What the benchmarks tell; each is a module of that name, which declares its own options."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return command_line.run(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(metavar="BENCHMARK", required=True)
    for name, tells in COMMANDS.items():
        command = commands.add_parser(name, help=tells)
        if name in arguments:  # what the others import takes seconds
            module = import_module(f"bench.{name}")
            if hasattr(module, "__path__"):  # a larger benchmark has a folder
                module = import_module(f"bench.{name}.benchmark")
            module.add_options(command)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
