"""The two folders of a watcher, checked and locked: a folder has one watcher at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import filelock

from base.errors import WatchError
from base.text import cause_of, one_line

Originals = Literal["move", "leave"]

RESERVED = ("done", "failed")
"""Folders in the output folder; in the input folder, folders of these names are ignored."""


@dataclass(frozen=True)
class Folders:
    """The input folder, and the output folder with its subfolders."""

    photos: Path
    output: Path

    @property
    def done(self) -> Path:
        """The originals of delivered photos."""
        return self.output / "done"

    @property
    def failed(self) -> Path:
        """The originals of failed photos, each with its reason."""
        return self.output / "failed"

    @property
    def state(self) -> Path:
        """The watcher's own files: journal, lock, heartbeat."""
        return self.output / ".watch"


@contextmanager
def holding(photos: Path, output: Path, originals: Originals) -> Iterator[Folders]:
    """Check the folders, make the output folder if it does not exist, and lock both against other watchers.

    Raises WatchError if a folder is missing, lies in the other one, may not be written to, or has another
    watcher.
    """
    if photos.exists() and not photos.is_dir():
        raise WatchError(f"{one_line(photos)} is a file: give the folder in which photos arrive")
    if not photos.is_dir():
        raise WatchError(f"the input folder {one_line(photos)} does not exist: make it first, or mount it")
    folders = Folders(photos.resolve(), output.resolve())
    if folders.photos.is_relative_to(folders.output) or folders.output.is_relative_to(folders.photos):
        raise WatchError(
            f"{one_line(photos)} and {one_line(output)} lie in each other, and results would be restored "
            "again: put them side by side"
        )
    try:
        folders.output.mkdir(parents=True, exist_ok=True)
        folders.state.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise WatchError(
            f"the output folder {one_line(output)} cannot be written: {cause_of(error)}"
        ) from error
    with _locked(folders.state / "lock", output), _locked_input(folders.photos, originals):
        yield folders


@contextmanager
def _locked_input(photos: Path, originals: Originals) -> Iterator[None]:
    # Originals that are left may be in a read-only folder; then the lock of the output folder has to suffice.
    if originals == "leave" and not _may_write(photos):
        yield
        return
    if not _may_write(photos):
        raise WatchError(
            f"originals cannot be moved out of {one_line(photos)}, which may not be written to: "
            "allow that, or give --originals leave"
        )
    with _locked(photos / ".gpen-edge.lock", photos):
        yield


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


@contextmanager
def _locked(path: Path, folder: Path) -> Iterator[None]:
    lock = filelock.FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise WatchError(
            f"another watcher works on {one_line(folder)}: stop it, or give another folder"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise WatchError(f"the folder {one_line(folder)} cannot be locked: {cause_of(error)}") from error
    try:
        yield
    finally:
        lock.release()
