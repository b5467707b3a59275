"""Text for messages: made safe if it comes from outside, and numbers rounded."""

import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path


def one_line(text: str | Path) -> str:
    """Escape unprintable characters: line ends, terminal controls and undecodable bytes of file names."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def joined_lines(message: str, most: int | None = None) -> str:
    """Return a message of several lines as one line, cut after `most` characters."""
    line = one_line(" ".join(message.split()))
    return line if most is None or len(line) <= most else f"{line[:most]} …"


def listed(words: Iterable[object], before_last: str = "and") -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    *first, last = map(str, words)
    return f"{', '.join(first)} {before_last} {last}" if first else last


def folded(name: str) -> str:
    """Return a form that is equal for names that some file system treats as the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def utf8(path: Path) -> str:
    """Return a path as text that JSON can hold; bytes of its name that are not UTF-8 become `\\udcNN`."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def rounded(number: float, digits: int) -> str:
    """Return a number with so many significant digits, never in powers of ten: `1090`, `0.0123`."""
    return f"{Decimal(f'{number:.{digits}g}'):f}"


def cause_of(error: BaseException) -> str:
    """Return in a few words why `error` was raised; for an OSError, the system's own description."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return joined_lines(str(error)) or type(error).__name__
