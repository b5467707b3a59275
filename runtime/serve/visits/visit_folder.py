"""The folder with customers' files. Everything that is deleted is deleted here.

    FOLDER/kiosk.sqlite        what is known about visits
    FOLDER/visits/VISIT/photo  the original photo
    FOLDER/visits/VISIT/result.jpg
    FOLDER/takes/TAKE.jpg      a result that may be taken home
    FOLDER/prints/PRINT.jpg    what waits for the printer

The names are digests of tokens or made here; no name from outside is ever part of a path.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from base.text import cause_of, one_line
from runtime.serve.errors import ServeError

STORE = "kiosk.sqlite"
_OWN = re.compile(r"kiosk\.sqlite(-wal|-shm|-journal)?|visits|takes|prints|\.lock")
BELOW = ("visits", "takes", "prints")
_TMPFS = ("tmpfs", "ramfs")


class VisitFolder:
    """The folder of one server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._visits, self._takes, self._prints = (folder / name for name in BELOW)

    @property
    def store(self) -> Path:
        """The database."""
        return self.folder / STORE

    def photo(self, visit: str) -> Path:
        """Return the photo of a visit."""
        return self._visits / visit / "photo"

    def result(self, visit: str, suffix: str) -> Path:
        """Return the result of a visit."""
        return self._visits / visit / f"result{suffix}"

    def take(self, take: str, suffix: str) -> Path:
        """Return a result that may be taken home."""
        return self._takes / f"{take}{suffix}"

    def print_file(self, number: str) -> Path:
        """Return a picture that waits for the printer; it may outlast its visit by minutes."""
        return self._prints / f"{number}.jpg"

    def new_draft(self, visit: str) -> Path:
        """Make the folder of a visit, and return an unused name in it for an upload. Raises OSError."""
        folder = self._visits / visit
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"upload-{secrets.token_hex(8)}"

    def keep(self, result: Path, take: Path) -> None:
        """Let a result be taken home; it stays when its visit is deleted. Raises OSError; then delete it."""
        try:
            os.link(result, take)
        except OSError:  # a file system without hard links
            shutil.copyfile(result, take)

    def delete(self, visit: str) -> bool:
        """Delete all files of a visit; return whether none are left."""
        folder = self._visits / visit
        shutil.rmtree(folder, ignore_errors=True)
        return not os.path.lexists(folder)

    def delete_results(self, visit: str) -> None:
        """Delete the result of a visit, because another photo has arrived."""
        with suppress(OSError):
            for path in (self._visits / visit).iterdir():
                if path.name.startswith(("result", ".gpen-edge-")):
                    path.unlink(missing_ok=True)

    def delete_take(self, take: str) -> bool:
        """Delete a result that could be taken home; return whether that succeeded."""
        for path in self._takes.glob(f"{take}.*"):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return not any(self._takes.glob(f"{take}.*"))

    def sweep(self, visits: Iterable[str], takes: Iterable[str]) -> int:
        """Delete everything except these visits and takes, including incomplete uploads; return the number of
        deleted files."""
        known, kept = set(visits), set(takes)
        stale = [path for path in self._visits.iterdir() if path.name not in known]
        stale += [path for path in self._takes.iterdir() if path.stem not in kept]
        stale += [
            path
            for visit in known
            for path in (self._visits / visit).glob("*")
            if path.name != "photo" and not path.name.startswith("result")
        ]
        stale += self._prints.iterdir()
        for path in stale:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return len(stale)


@contextmanager
def holding_folder(folder: Path, *, ram: bool = False) -> Iterator[VisitFolder]:
    """Make the folder if it does not exist, and lock it against a second server.

    ram  it must be in memory, so that no customer's data ever reaches a disk

    Raises ServeError if it cannot be used, or holds files of somebody else.
    """
    name = one_line(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "geteuid") and folder.stat().st_uid != os.geteuid():
            raise ServeError(f"{name} belongs to another user: give a folder of your own")
        foreign = next((path.name for path in folder.iterdir() if not _OWN.fullmatch(path.name)), None)
        if foreign is not None:
            raise ServeError(
                f"{name} holds other files, such as {one_line(foreign)}: give a new or empty folder, since "
                "everything in it is deleted with the customers' photos"
            )
        link = next((path.name for path in folder.iterdir() if path.is_symlink()), None)
        if link is not None:
            raise ServeError(
                f"{link} in {name} is a link: remove it, or what it leads to would be deleted with the photos"
            )
        folder.chmod(0o700)
        if ram and not is_in_memory(folder):
            raise ServeError(f"{name} is not in memory: give a folder of a tmpfs, such as /dev/shm/kiosk")
        opened = VisitFolder(folder.resolve())
        for below in BELOW:
            (opened.folder / below).mkdir(mode=0o700, exist_ok=True)
        lock = filelock.FileLock(opened.folder / ".lock", timeout=0)
        with lock:
            yield opened
    except filelock.Timeout:
        raise ServeError(f"another server uses {name}: stop it, or give another --folder") from None
    except OSError as error:
        raise ServeError(f"cannot use the folder {name}: {cause_of(error)}") from error


def is_in_memory(folder: Path) -> bool:
    """Return whether a folder lies on a tmpfs."""
    here, best, kind = folder.resolve(), -1, ""
    with suppress(OSError):
        for mount, filesystem in mounts_in(Path("/proc/self/mounts").read_bytes()):
            if here.is_relative_to(mount) and len(mount.parts) > best:
                best, kind = len(mount.parts), filesystem
    return kind in _TMPFS


def mount_points() -> set[Path]:
    """Return the folders of all mounted file systems; no drive is asked for that. Only Linux lists them."""
    with suppress(OSError):
        return {mount for mount, _ in mounts_in(Path("/proc/self/mounts").read_bytes())}
    return set()


def mounts_in(table: bytes) -> Iterator[tuple[Path, str]]:
    """Yield the folders of mounted file systems with their types, from the form of /proc/mounts: spaces and
    the like are octal numbers there, and all other bytes of names stand for themselves."""
    for line in table.splitlines():
        _, place, filesystem, *_ = line.split(b" ")
        name = re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), place)
        yield Path(os.fsdecode(name)), filesystem.decode(errors="replace")
