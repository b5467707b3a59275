"""The report of a run while it runs: a line for each photo, so that nothing ends it without a trace.

It is a hidden file beside the report, and holds the whole of it so far. The report takes its place when the
run ends, also by an interruption; after a crash, a power cut or `kill -9`, `--resume` goes on from it. A
photo's line is on the disk before its result is: whatever has a result has an entry.
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
"""Marks an entry whose result was about to be written: if it exists, it was."""


_KINDS: dict[str, type] = {"output": str, "look_at": list, "other_settings": dict}
"""Of what an entry may hold: what is read again."""


@dataclass(frozen=True)
class Earlier:
    """What an earlier run has reported."""

    header: Header | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    """By `key_of` their photos."""

    @property
    def outputs(self) -> dict[Path, Path]:
        """Return the absolute paths of photos and their results."""
        return {
            Path(key): Path(os.path.abspath(entry["output"]))  # noqa: PTH100
            for key, entry in self.entries.items()
            if "output" in entry
        }


class Journal:
    """The file, open for a run."""

    def __init__(self, report: Path, header: Header, entries: Iterable[Entry]) -> None:
        """Begin a journal with what is known. Raises PhotoError."""
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
        """Note what is about to be written.

        replaces  a file takes the place of an older one, so that its existence will prove nothing
        """
        if not replaces:
            self._append({"begun": entry})

    def add(self, entry: Entry) -> None:
        """Note what became of a photo."""
        self._append({"entry": entry})

    def close(self) -> None:
        """Close the file and leave it where it is."""
        with suppress(OSError):
            self._file.close()

    def remove(self) -> None:
        """Close the file and remove it: the report is written."""
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
        return PhotoError(f"cannot keep the report {one_line(self._report)}: {cause_of(error)}")


def key_of(photo: Path | str) -> str:
    """Return what a photo is known by from run to run: its absolute path."""
    return utf8(Path(os.path.abspath(photo)))  # noqa: PTH100


def journal_of(report: Path) -> Path:
    """Return where the journal of a report lies: beside it, links followed."""
    target = Path(os.path.realpath(report))
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(f".gpen-edge-{digest}.journal")


def read_earlier(report: Path) -> Earlier:
    """Return what an earlier run has reported: nothing if there was none.

    Raises PhotoError for a file that is no report, which must not be replaced.
    """
    written = _read_report(report) if report.exists() else Earlier()
    return _read_journal(journal_of(report)) or written


def _read_report(path: Path) -> Earlier:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(photos := found.pop("photos", None), list):
        raise PhotoError(f"{one_line(path)} exists and is no report to go on with: name another file")
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
    """Yield what the lines hold, up to one that a crash has cut."""
    for line in content.splitlines():
        try:
            found = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        yield found


def _by_key(header: Header, entries: Iterable[Any]) -> dict[str, Entry]:
    """Return those that are entries; paths that were relative to another folder become absolute."""
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
    """Return of what a report says of its run what is well formed: anybody may have written it."""
    header = {name: value for name, value in found.items() if name not in ("summary", "look_at")}
    for name in ("package", "options", "settings", "settings_by_face"):
        if not isinstance(header.get(name, {}), dict):
            del header[name]
    return header


def _line(content: dict[str, Any]) -> bytes:
    return msgspec.json.encode(content) + b"\n"
