"""A folder of an archive: local, on a network drive, or in an object store."""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from base.errors import GpenEdgeError, PhotoError
from base.files import write_atomically
from base.text import cause_of, one_line

_STORES = ("s3", "gcs", "abfs")
"""Types of pyarrow file systems in which an object only appears once its upload is complete."""

_NUMBERS = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 410: errno.ENOENT, 507: errno.ENOSPC}
"""Answers of stores by HTTP, and the numbers of the system's errors that they correspond to."""

_USER = re.compile(r"(?<=://)[^/?#@\s]*:(?![0-9]+/)[^@\s]*@")
"""User and password. A host's port is none, nor is Azure's container, which has no colon."""
_SECRET = re.compile(
    r"(?<=[?&])[^=&\s]*(?:key|secret|token|sig|password|credential)[^=&\s]*=[^&\s]*&?", re.IGNORECASE
)


@dataclass(frozen=True)
class Place:
    """A folder, by its path or URI; paths within it are relative, with `/`."""

    uri: str
    """An absolute path, or a URI of any file system that pyarrow or fsspec knows."""

    @cached_property
    def local(self) -> Path | None:
        """Return the folder's path if it is on this machine."""
        return None if "://" in self.uri else Path(self.uri)

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system and the folder's path in it. Raises PhotoError."""
        from pyarrow import fs

        if self.local is not None:
            return fs.LocalFileSystem(), str(self.local)
        try:
            return fs.FileSystem.from_uri(self.uri)  # type: ignore[no-any-return]
        except Exception as native:  # of several kinds, also for schemes that only fsspec knows
            try:
                from fsspec.core import url_to_fs

                found, path = url_to_fs(self.uri)
                return fs.PyFileSystem(fs.FSSpecHandler(found)), path
            except Exception as error:
                is_unknown = str(error).startswith("Protocol not known")
                cause = _cause(native if is_unknown else error)
                raise PhotoError(f"cannot open {self.shown}: {cause}") from error

    @property
    def filesystem(self) -> Any:
        """Return the `pyarrow.fs.FileSystem` of the folder. Raises PhotoError."""
        return self._opened[0]

    def path(self, name: str = "") -> str:
        """Return the path of a file in that file system; without a name, that of the folder itself."""
        root = self._opened[1]
        return f"{root.rstrip('/')}/{name}" if name else root

    @property
    def shown(self) -> str:
        """Return the path or URI for messages and records, without passwords and keys."""
        return one_line(self.uri if self.local is not None else without_secrets(self.uri))

    def within(self, name: str) -> "Place":
        """Return a folder in it."""
        if self.local is not None:
            return Place(f"{self.uri.rstrip('/')}/{name}")
        folder, mark, query = self.uri.partition("?")
        return Place(f"{folder.rstrip('/')}/{name}{mark}{query}")

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises PhotoError."""
        with self._explained(f"cannot read {one_line(name)}"):
            try:
                with self._numbered(), self.filesystem.open_input_file(self.path(name)) as file:
                    return bytes(file.read())
            except FileNotFoundError as error:
                raise PhotoError(f"{one_line(name)} does not exist: check its name and folder") from error

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a file; it appears whole or not at all. Raises PhotoError."""
        with self._explained(f"cannot use {self.within(name).shown}"):
            if self.local is not None:
                place = self.local / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with write_atomically(place) as file:
                    file.write(content)
                return
            at_once = self.filesystem.type_name in _STORES
            target = self.path(name)
            folder, _, last = target.rpartition("/")
            draft = target if at_once else f"{folder}/.{secrets.token_hex(8)}-{last}"
            if not at_once:
                self.filesystem.create_dir(folder, recursive=True)
            try:
                with self.filesystem.open_output_stream(draft) as stream:
                    stream.write(content)
                if not at_once:
                    self.filesystem.move(draft, target)
            except BaseException:
                with suppress(Exception):
                    self.filesystem.delete_file(draft)
                raise

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield all files in the folder and its subfolders, with their sizes; links to folders are not
        followed.

        Raises PhotoError.
        """
        if self.local is not None:
            yield from _local_files(self.local)
            return
        from pyarrow import fs

        root = self.path().rstrip("/")
        with self._explained(f"cannot list {self.shown}"):
            found = self._fresh.get_file_info(fs.FileSelector(root, recursive=True))
        for each in found:
            if each.type == fs.FileType.File:
                yield each.path.removeprefix(root).lstrip("/"), each.size

    def names(self) -> list[str]:
        """Return the names of everything directly in the folder: an empty list if there is no such folder.

        Raises PhotoError.
        """
        from pyarrow import fs

        with self._explained(f"cannot list {self.shown}"):
            if self.local is not None:
                return [path.name for path in self.local.iterdir()] if os.path.lexists(self.local) else []
            found = self._fresh.get_file_info(fs.FileSelector(self.path(), allow_not_found=True))
        return [each.base_name for each in found]

    def is_empty(self) -> bool:
        """Return whether there is nothing in the folder, or no folder. Raises PhotoError."""
        from pyarrow import fs

        with self._explained(f"cannot list {self.shown}"):
            try:
                if self.local is not None:
                    with os.scandir(self.local) as entries:
                        return next(entries, None) is None
                if self.filesystem.type_name in _STORES:  # which have no empty folders
                    return bool(self._fresh.get_file_info(self.path()).type == fs.FileType.NotFound)
            except FileNotFoundError:
                return True
        return not self.names()

    def check_writable(self, folder: str) -> None:
        """Write a small file into a folder and delete it. Raises PhotoError."""
        name = f"{folder}/.{secrets.token_hex(8)}"
        self.write(name, b"")
        with self._explained(f"cannot use {self.within(name).shown}"):
            self.filesystem.delete_file(self.path(name))

    def exists(self, name: str) -> bool:
        """Return whether there is a file of that name. Raises PhotoError."""
        from pyarrow import fs

        with self._explained(f"cannot use {self.within(name).shown}"):
            if self.local is not None:
                return (self.local / name).is_file()
            return bool(self._fresh.get_file_info(self.path(name)).type == fs.FileType.File)

    @property
    def _fresh(self) -> Any:
        """The file system, asked for what is there now: those of fsspec remember lists of files."""
        found = self.filesystem
        if found.type_name.startswith("py::fsspec"):
            found.handler.fs.invalidate_cache()
        return found

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn an error of the system or a store into a PhotoError that begins with these words."""
        try:
            with self._numbered():
                yield
        except OSError as error:
            raise PhotoError(f"{what}: {_cause(error)}") from error

    @contextmanager
    def _numbered(self) -> Iterator[None]:
        """Turn an error of a store, of whatever library, into that of the system which it corresponds to."""
        try:
            yield
        except (GpenEdgeError, MemoryError):
            raise
        except Exception as error:
            if self.local is not None or (isinstance(error, OSError) and error.errno):
                raise
            raise OSError(_number_of(error), _cause(error)) from error


def without_secrets(text: str) -> str:
    """Return a text without the passwords and keys in its URIs: `s3://KEY:SECRET@bucket` becomes
    `s3://bucket`."""
    return _SECRET.sub("", _USER.sub("", text))


def place_of(text: str) -> Place:
    """Return the place that a command line names: a path, or a URI. Raises PhotoError."""
    if text.startswith("file://"):
        host, slash, path = text.removeprefix("file://").partition("/")
        if host not in ("", "localhost") or not slash:
            raise PhotoError(
                f"{one_line(text)} names no folder of this machine: give its path, or file:///path"
            )
        return Place(os.path.abspath(url2pathname(f"/{path}")))  # noqa: PTH100
    return Place(text.rstrip("/") if "://" in text else os.path.abspath(text))  # noqa: PTH100


def name_within(place: Place, other: Place) -> str | None:
    """Return the path of another place relative to this one: None if it lies outside, `` if it is the
    same."""
    here, there = (
        os.path.realpath(each.local) if each.local is not None else each.uri.partition("?")[0].rstrip("/")
        for each in (place, other)
    )
    if there == here:
        return ""
    return there.removeprefix(f"{here.rstrip('/')}/") if there.startswith(f"{here.rstrip('/')}/") else None


def _cause(error: Exception) -> str:
    return without_secrets(cause_of(error))


def _number_of(error: Exception) -> int:
    """Return the number that an error of a store would have if a disk had raised it. Libraries keep the
    store's answer by HTTP under different names (aiohttp, gcsfs, azure, botocore)."""
    kinds = ((FileNotFoundError, errno.ENOENT), (PermissionError, errno.EACCES))
    for kind, number in kinds:
        if isinstance(error, kind):
            return number
    answers = [getattr(error, name, None) for name in ("status", "code", "status_code")]
    with suppress(AttributeError, KeyError, TypeError):
        answers.append(error.response["ResponseMetadata"]["HTTPStatusCode"])  # type: ignore[attr-defined]
    known = (_NUMBERS.get(int(answer)) for answer in map(str, answers) if answer.isdigit())
    return next(filter(None, known), errno.EIO)


def _local_files(root: Path) -> Iterator[tuple[str, int]]:
    waiting = [(str(root), "")]
    while waiting:
        folder, inside = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = f"{inside}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, f"{name}/"))
                    elif entry.is_file():
                        yield name, entry.stat().st_size
        except OSError as error:
            raise PhotoError(f"cannot read the folder {one_line(folder)}: {_cause(error)}") from error
