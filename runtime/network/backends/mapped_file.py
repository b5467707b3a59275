"""A file in memory whose pages the system reads when they are needed, and may take back."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class MappedFile:
    """A file's bytes, which take no memory of the process until they are read.

    They can be written to, as some libraries insist, but the file does not change.
    """

    def __init__(self, path: Path) -> None:
        """Map a file. Raises OSError or, if it is empty, ValueError."""
        with path.open("rb") as file:
            self._pages: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.content: NDArray[np.uint8] = np.frombuffer(self._pages, np.uint8)

    def give_back(self) -> None:
        """Free the memory of what was read; it is read from the file again if it is needed.

        What was written since is lost.
        """
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            self._pages.madvise(mmap.MADV_DONTNEED)
