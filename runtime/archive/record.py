"""A record of a run's options in its sink, so that only a run with the same options can continue it, and
only one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import filelock
import msgspec

from base.errors import PhotoError, SettingsError
from base.files import json_bytes
from base.text import one_line
from engines.package import Package
from runtime.archive.listing import OWN
from runtime.archive.place import Place, place_of
from runtime.archive.worker import Work
from runtime.settings.resolved import as_json, written

_LOCK = "lock"
RECORD = f"{OWN}/run.json"


def record_of(work: Work, package: Package) -> dict[str, Any]:
    """Return everything that the results of a run depend on, under the names that users know."""
    graphs = {name: graph.sha256 for name, graph in package.manifest.graphs.items()}
    settings = as_json(work.options.resolved)
    record = {
        "source": work.source.shown,
        "package": package.manifest.name,
        "graphs": graphs,
        **settings["settings"],
        "settings_by_face": settings["settings_by_face"],
        "detector": str(work.options.detector) if work.options.detector else None,
        "accept_damaged": work.accept_damaged,
        "strip_metadata": work.strip_metadata,
        "max_megapixels": work.max_megapixels,
    }
    return dict(msgspec.json.decode(msgspec.json.encode(record, enc_hook=str)))


def check_record(work: Work, record: dict[str, Any]) -> bool:
    """Return whether the sink already holds a run with this record. Raises SettingsError if its run had
    another one, and PhotoError if the sink holds anything else.
    """
    if not work.sink.exists(RECORD):
        if not _is_new(work.sink):
            raise PhotoError(f"{work.sink.shown} is not empty, and no run of this command: name a new folder")
        return False
    try:
        before = msgspec.json.decode(work.sink.read(RECORD), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise PhotoError(
            f"{one_line(RECORD)} in {work.sink.shown} is damaged: name a new folder, or copy it "
            "back from a backup"
        ) from error
    if "://" in (source := str(before.get("source"))):  # earlier versions wrote it as it had been given
        before["source"] = place_of(source).shown
    differing = [name for name, value in record.items() if before.get(name) != value]
    if differing:
        changes = ", ".join(_change(name, before.get(name), record[name]) for name in differing)
        raise SettingsError(
            f"{work.sink.shown} has a run with other settings ({changes}): use those again, "
            "or name a new folder"
        )
    return True


def write_record(work: Work, record: dict[str, Any]) -> None:
    """Write the record into the sink. Raises PhotoError."""
    work.sink.write(RECORD, json_bytes(record))


def _is_new(sink: Place) -> bool:
    """Return whether a sink holds nothing, or only what a run writes before its record: a lock, and hidden
    drafts that it left when it was killed."""
    if set(sink.names()) - {OWN}:
        return False
    return all(name == _LOCK or name.startswith(".") for name in sink.within(OWN).names())


@contextmanager
def alone_in(sink: Place) -> Iterator[None]:
    """Keep other runs out of a sink on this machine or a network drive; object stores have no locks.

    Raises PhotoError if it has a run already, which would otherwise restore every photo a second time.
    """
    if sink.local is None:
        yield
        return
    folder = sink.local / OWN
    lock = filelock.FileLock(folder / _LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise PhotoError(f"another run writes to {sink.shown}: wait for its end, or stop it") from None
    except (OSError, NotImplementedError):  # a drive without locks, or that cannot be written
        pass
    try:
        yield
    finally:
        lock.release()


def _change(name: str, before: Any, now: Any) -> str:
    if name in ("graphs", "settings_by_face"):
        return name.replace("_", " ")
    return one_line(f"{name} {written(before)}, now {written(now)}")
