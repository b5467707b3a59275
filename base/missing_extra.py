"""Libraries that only some commands need: what to install where one is not there."""

from collections.abc import Iterator
from contextlib import contextmanager

from base.errors import GpenEdgeError


@contextmanager
def needs_extra(extra: str, command: str) -> Iterator[None]:
    """Say in one line what to install when an import in the block fails. Raises GpenEdgeError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise GpenEdgeError(
            f"{command} needs {error.name}, which is not installed: pip install 'gpen-edge[{extra}]'"
        ) from error
