"""The two folders of a watcher, checked and locked: one watcher works on a folder."""

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
"""Folders of the output; folders of these names in the input are passed over."""


@dataclass(frozen=True)
class Folders:
    """Where photos come from, and where everything goes."""

    photos: Path
    output: Path

    @property
    def done(self) -> Path:
        """Where originals go whose results are delivered."""
        return self.output / "done"

    @property
    def failed(self) -> Path:
        """Where originals go that could not be restored, each with its reason."""
        return self.output / "failed"

    @property
    def state(self) -> Path:
        """Where the watcher keeps what it has to know: journal, lock, heartbeat."""
        return self.output / ".watch"


@contextmanager
def holding(photos: Path, output: Path, originals: Originals) -> Iterator[Folders]:
    """Check the folders, make what is missing of the output, and keep other watchers away from both.

    Raises WatchError when a folder is missing, one lies in the other, they may not be written to, or another
    watcher works on them.
    """
    if not photos.is_dir():
        raise WatchError(f"the input folder {one_line(photos)} is not there: make it first, or mount it")
    folders = Folders(photos.resolve(), output.resolve())
    if folders.photos.is_relative_to(folders.output) or folders.output.is_relative_to(folders.photos):
        raise WatchError(
            f"{one_line(photos)} and {one_line(output)} lie in each other, and results would be taken for "
            "photos: put them side by side"
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
    # Originals that are left may lie in a folder that cannot be written to; there the output's lock must do.
    if originals == "leave" and not _may_write(photos):
        yield
        return
    if not _may_write(photos):
        raise WatchError(
            f"originals cannot be moved out of {one_line(photos)}, it may not be written to: "
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
