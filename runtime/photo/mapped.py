"""Memory-map an open file, so that its bytes need not all be read."""

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from runtime.photo.jpeg_segments import Data


@contextmanager
def mapped(file: BinaryIO) -> Iterator[Data]:
    """Yield the bytes of a file: memory-mapped if it is on disk, directly if it is in memory."""
    if isinstance(file, io.BytesIO):
        yield file.getvalue()
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data
