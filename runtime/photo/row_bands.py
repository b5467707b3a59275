"""A large photo, a band of rows at a time: what a step needs beside the photo stays small."""

from collections.abc import Iterator

_PIXELS = 2**20


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Cut `height` rows into bands of about a megapixel, from the top, each at least one row."""
    rows = rows_per_band(width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def rows_per_band(width: int) -> int:
    """Return the height of every band but the last."""
    return max(1, _PIXELS // width)
