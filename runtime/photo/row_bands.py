"""Split a large photo into bands of rows, so that a step needs little extra memory."""

from collections.abc import Iterator

_PIXELS = 2**20


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Split `height` rows into bands of about a megapixel, from the top, each of at least one row."""
    rows = rows_per_band(width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def rows_per_band(width: int) -> int:
    """Return the height of every band except the last."""
    return max(1, _PIXELS // width)
