"""The bytes of an open file, without reading them all."""

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from runtime.photo.jpeg_segments import Data


@contextmanager
def mapped(file: BinaryIO) -> Iterator[Data]:
    """Yield the bytes of a file on the disk, mapped into memory, or of one that is in memory already."""
    if isinstance(file, io.BytesIO):
        yield file.getvalue()
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data
