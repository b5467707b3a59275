"""The file a photo was read from: copied where nothing in the photo was changed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Signature = tuple[int, int, int, int]


@dataclass(frozen=True)
class Original:
    """A file as it was when it was read."""

    path: Path
    signature: Signature
    """Device, inode, size, and when it was modified in nanoseconds."""

    @property
    def suffix(self) -> str:
        """The suffix of its name, in lower case."""
        return self.path.suffix.lower()

    def content(self) -> bytes | None:
        """Return the file's bytes; None when it was changed, replaced or removed since it was read."""
        try:
            with self.path.open("rb") as file:
                content = file.read()
                return content if signature_of(file) == self.signature else None
        except OSError:
            return None


@dataclass(frozen=True, repr=False)
class OriginalBytes:
    """A photo's file that was handed over in memory."""

    data: bytes
    suffix: str = ""
    """It has no name, so its format alone tells whether it can be copied."""

    def content(self) -> bytes | None:
        """Return the bytes."""
        return self.data


def signature_of(file: BinaryIO) -> Signature:
    """Return what tells whether an open file is still the same."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
