"""Shared by all command lines: one-line errors, exit status, and output to the console."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from base.errors import GpenEdgeError
from base.interruption import interruptible
from base.malloc import share_freed_memory
from base.text import cause_of, joined_lines, one_line

if TYPE_CHECKING:  # loaded by the commands that show something
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

DONE = 0
BAD_INPUT = 2
SOME_FAILED = 3
INTERRUPTED = 130


def run(command: Callable[[], int]) -> int:
    """Run a command and return its exit status: 2 after an error the user can correct, 130 when interrupted.

    The system's errors about a named file count as such.

    SIGTERM and SIGHUP interrupt it as Ctrl-C does. The command also parses its arguments, so `--help` and
    usage errors are handled here too.
    """
    _escape_what_the_console_lacks()
    share_freed_memory()
    try:
        with interruptible():
            return command()
    except GpenEdgeError as error:
        return _refused(str(error))
    except OSError as error:
        # Even asking whether a file exists may fail: its name is too long, or its folder may not be read.
        if not isinstance(error.filename, str | bytes):
            raise
        return _refused(f"cannot use {one_line(os.fsdecode(error.filename))}: {cause_of(error)}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def _refused(message: str) -> int:
    print("error:", joined_lines(message), file=sys.stderr)  # noqa: T201
    return BAD_INPUT


def print_lines(*lines: object) -> None:
    """Print lines on standard output, whatever their length; a reader that has closed it wants no more.

    Raises GpenEdgeError if it cannot be written to.
    """
    try:
        print(*lines, sep="\n", flush=True)  # noqa: T201
    except OSError as error:
        # Python would otherwise fail again when it ends, since the stream keeps what it could not write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise GpenEdgeError(f"cannot write to standard output: {cause_of(error)}") from error


def progress_of(*columns: "ProgressColumn", console: "Console | None" = None) -> "Progress":
    """Return a progress bar with these columns: on a terminal only, and removed at the end.

    console  None is standard error
    """
    from rich.console import Console
    from rich.progress import Progress

    shown = console or Console(stderr=True)
    return Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on a terminal; call the function it yields after each of `total` steps."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_of(*columns) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def needs_extra(extra: str, command: str) -> Iterator[None]:
    """Replace an ImportError raised in the block by a GpenEdgeError that names the package to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise GpenEdgeError(
            f"{command} needs {error.name}, which is not installed: pip install 'gpen-edge[{extra}]'"
        ) from error


def _escape_what_the_console_lacks() -> None:
    """Write characters that standard output or error cannot encode as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
