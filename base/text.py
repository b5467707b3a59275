"""Text from outside, made fit for an error message of one line."""

import unicodedata
from pathlib import Path


def one_line(text: str | Path) -> str:
    """Escape what does not print: line ends, terminal controls and undecodable bytes of a file's name."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def folded(name: str) -> str:
    """Return a form that is equal for all names that some file system treats as the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def utf8(path: Path) -> str:
    """Return a path as text that JSON can hold; bytes of its name that are not UTF-8 become `\\udcNN`."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def cause_of(error: BaseException) -> str:
    """Say in a few words why `error` was raised: the system's own words where it comes from the system."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return (
        one_line(" ".join(str(error).split())) or type(error).__name__
    )  # libraries' messages have line ends
