"""The report of a run while it is running: a line for each photo, so that a crash does not lose it.

It is a hidden file beside the report and holds all of it so far. When the run ends, even by an interruption,
the report replaces it; after a crash, a power cut or `kill -9`, `--resume` continues from it. The line of a
photo is on the disk before its result, so that every result has an entry.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from base.errors import PhotoError
from base.files import DRAFT, draft_beside, for_its_owner
from base.text import cause_of, one_line, utf8
from runtime.commands.report import Entry, Header

BEGUN = "begun"
"""Marks an entry whose result was about to be written; if the result exists, it was written."""


_KINDS: dict[str, type] = {"output": str, "look_at": list, "other_settings": dict}
"""The types of those values of an entry that are read again."""


@dataclass(frozen=True)
class Earlier:
    """The report of an earlier run."""

    header: Header | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    """The entries by the `key_of` of their photos."""

    @property
    def outputs(self) -> dict[Path, Path]:
        """Return the absolute paths of the results by those of their photos."""
        return {
            Path(key): Path(os.path.abspath(entry["output"]))  # noqa: PTH100
            for key, entry in self.entries.items()
            if "output" in entry
        }


class Journal:
    """The journal of a run."""

    def __init__(self, report: Path, header: Header, entries: Iterable[Entry]) -> None:
        """Create a journal with the entries known so far. Raises PhotoError."""
        self.path = journal_of(report)
        self._report = report
        draft = draft_beside(self.path, DRAFT)
        try:
            with open(draft, "xb", opener=for_its_owner) as file:
                file.write(_line({"header": header}))
                file.writelines(_line({"entry": entry}) for entry in entries)
            draft.replace(self.path)
            self._file = self.path.open("ab")
        except OSError as error:
            raise self._refused(error) from error
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def begin(self, entry: Entry, *, replaces: bool) -> None:
        """Add the entry of a photo whose result is about to be written.

        replaces  the result replaces an older file, so that its existence would prove nothing
        """
        if not replaces:
            self._append({"begun": entry})

    def add(self, entry: Entry) -> None:
        """Add the entry of a photo that is finished."""
        self._append({"entry": entry})

    def close(self) -> None:
        """Close the file and keep it."""
        with suppress(OSError):
            self._file.close()

    def remove(self) -> None:
        """Close the file and remove it, once the report is written."""
        self.close()
        with suppress(OSError):
            self.path.unlink()

    def _append(self, content: dict[str, Any]) -> None:
        try:
            self._file.write(_line(content))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> PhotoError:
        return PhotoError(f"cannot write the report {one_line(self._report)}: {cause_of(error)}")


def key_of(photo: Path | str) -> str:
    """Return the key of a photo in all runs: its absolute path."""
    return utf8(Path(os.path.abspath(photo)))  # noqa: PTH100


def journal_of(report: Path) -> Path:
    """Return the path of a report's journal, beside the report or the file that it links to."""
    target = Path(os.path.realpath(report))
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(f".gpen-edge-{digest}.journal")


def read_earlier(report: Path) -> Earlier:
    """Return the report of an earlier run, empty if there is none.

    Raises PhotoError if the file is not a report, and must therefore not be replaced.
    """
    written = _read_report(report) if report.exists() else Earlier()
    return _read_journal(journal_of(report)) or written


def _read_report(path: Path) -> Earlier:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(photos := found.pop("photos", None), list):
        raise PhotoError(
            f"{one_line(path)} exists and is not a report that could be continued: name another file"
        )
    header = _header(found)
    return Earlier(header, _by_key(header, photos))


def _read_journal(path: Path) -> Earlier | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    lines = list(_lines(content))
    if not lines or not isinstance(lines[0].get("header"), dict):
        return None
    header = _header(lines[0]["header"])
    entries: dict[str, Entry] = {}
    for line in lines[1:]:
        for key, entry in _by_key(header, [line.get("begun")]).items():
            entries[key] = entry | {BEGUN: True}
        entries |= _by_key(header, [line.get("entry")])
    return Earlier(header, entries)


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        try:
            found = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        yield found


def _by_key(header: Header, entries: Iterable[Any]) -> dict[str, Entry]:
    """Return the valid entries by key; paths that were relative to another folder become absolute."""
    folder = str(header.get("folder", ""))
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("photo"), str):
            continue
        if folder and folder != utf8(Path.cwd()):
            paths = {name: entry[name] for name in ("photo", "output") if isinstance(entry.get(name), str)}
            entry |= {name: os.path.normpath(Path(folder, path)) for name, path in paths.items()}
        for name, kind in _KINDS.items():
            if not isinstance(entry.get(name, kind()), kind):
                del entry[name]
        found[key_of(entry["photo"])] = entry
    return found


def _header(found: dict[str, Any]) -> Header:
    """Return the valid part of a report's header: anybody may have written it."""
    header = {name: value for name, value in found.items() if name not in ("summary", "look_at")}
    for name in ("package", "options", "settings", "settings_by_face"):
        if not isinstance(header.get(name, {}), dict):
            del header[name]
    return header


def _line(content: dict[str, Any]) -> bytes:
    return msgspec.json.encode(content) + b"\n"
