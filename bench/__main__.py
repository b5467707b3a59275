"""`python -m bench latency | … | compare`: measure, show tables, keep the figures, compare them."""

import sys
from importlib import import_module

from base import command_line
from base.command_parser import CommandParser

COMMANDS = {
    "latency": "one face through the network, against the published form in eager PyTorch",
    "paste": "the same face in a small photo and in a large one",
    "quality": "degraded portraits, restored, against the truth",
    "identity": "whether restored portraits are still the same person, against the truth",
    "loop": "the passes of the loop: time and accuracy, by ε and N",
    "scenarios": "sheets of the kinds of photo that presets are meant for, to look at",
    "kills": "the hot folder, killed at every step and at any moment",
    "kiosk": "the kiosk: a large photo, many customers at once, memory, and kills in every state",
    "soak": "continuous restores: memory, file handles and threads",
    "roofline": "how near each graph comes to what the machine can do",
    "gpu": "a GPU through PyTorch: its ceilings, and each form's precision and speed",
    "rest": "the rest of a photo, beside non-local means: gain, time and memory",
    "endtoend": "whole photos, from file to file, and a cold start",
    "archive": "archives on Ray: two actors beside one, and a large archive with actors that only sleep",
    "compare": "which figures changed between two results",
}
"""Each is a module of this name, or the module `benchmark` in a folder of this name."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return command_line.run(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    parser = CommandParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(metavar="BENCHMARK", required=True)
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about)
        if name in arguments:  # importing all of them takes seconds
            with command_line.needs_extra("bench", f"python -m bench {name}"):
                module = import_module(f"bench.{name}")
                if hasattr(module, "__path__"):
                    module = import_module(f"bench.{name}.benchmark")
            getattr(module, "BENCHMARK", module).add_options(command)
    options = parser.parse_args(arguments)
    with command_line.needs_extra("bench", "python -m bench"):
        return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
