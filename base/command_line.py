"""What all command lines share: one line for an error the user can mend, the exit status, and the console."""

import io
import sys
from collections.abc import Callable

from base.errors import GpenEdgeError
from base.interruption import interruptible

DONE = 0
BAD_INPUT = 2
SOME_FAILED = 3
INTERRUPTED = 130


def run(command: Callable[[], int]) -> int:
    """Run a command and return its exit status, 2 after an error the user can mend, 130 when interrupted.

    SIGTERM and SIGHUP interrupt it as Ctrl-C does. Reading the arguments is part of the command: help and
    mistakes are shown too.
    """
    _escape_what_the_console_lacks()
    try:
        with interruptible():
            return command()
    except GpenEdgeError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def _escape_what_the_console_lacks() -> None:
    """Have characters that standard output or error cannot show written as escapes, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
