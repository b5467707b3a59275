"""The file that a photo was read from; its bytes are copied if nothing in the photo was changed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Signature = tuple[int, int, int, int]


@dataclass(frozen=True)
class Original:
    """A file in the state in which it was read."""

    path: Path
    signature: Signature
    """Device, inode, size, and modification time in nanoseconds."""

    @property
    def suffix(self) -> str:
        """The suffix of its name, in lower case."""
        return self.path.suffix.lower()

    def content(self) -> bytes | None:
        """Return the file's bytes; None if it has been changed, replaced or removed since it was read."""
        try:
            with self.path.open("rb") as file:
                content = file.read()
                return content if signature_of(file) == self.signature else None
        except OSError:
            return None


@dataclass(frozen=True, repr=False)
class OriginalBytes:
    """A photo's file passed in as bytes."""

    data: bytes
    suffix: str = ""
    """Empty: without a name, only the format decides whether the bytes can be copied."""

    def content(self) -> bytes | None:
        """Return the bytes."""
        return self.data


def signature_of(file: BinaryIO) -> Signature:
    """Return a signature that changes when an open file is modified or replaced."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
