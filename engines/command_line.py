"""What all command lines share: one line for an error the user can mend, and the exit status."""

import sys
from collections.abc import Callable

from engines.errors import GpenEdgeError
from engines.interruption import interruptible

DONE = 0
BAD_INPUT = 2
SOME_FAILED = 3
INTERRUPTED = 130


def run(command: Callable[[], int]) -> int:
    """Run a command and return its exit status, 2 after an error the user can mend, 130 when interrupted.

    SIGTERM and SIGHUP interrupt it as Ctrl-C does.
    """
    try:
        with interruptible():
            return command()
    except GpenEdgeError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
