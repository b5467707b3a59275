"""Files that appear whole or not at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from engines.errors import PhotoError
from runtime.one_line import cause_of, one_line


@contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes when it does not.

    Until then it is a temporary file in the same folder that nobody else may read, and an older file at
    `path` stays as it was. A symbolic link is followed: it is its target that is replaced. Raises
    PhotoError when the system refuses (no folder, no permission, disk full).
    """
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as file:
            usual_mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            draft.chmod(0o600)
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(usual_mode)
        draft.replace(target)
    except OSError as error:
        raise PhotoError(f"cannot write {one_line(path)}: {cause_of(error)}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
