"""The record of a run: the outcome of each photo, for the summary and the report, however the run ends."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from base.errors import GpenEdgeError
from base.text import one_line
from runtime.commands.jobs import Job
from runtime.commands.report import Entry, Header, describe_earlier, describe_failure, write_report
from runtime.commands.report_journal import BEGUN, Earlier, Journal, journal_of, key_of
from runtime.commands.run_summary import counts, ending_of, summary_lines
from runtime.settings.resolved import written

_OTHER = "other_settings"
"""The key in an entry for settings that differ from those of the report."""
_SINGLE = "settings_by_face"
_MOST_NAMED = 5


class RunRecord:
    """The outcome of each photo of a run so far. It may be used from any thread.

    It is a context manager: the report is written when the block ends, even by an exception.
    """

    def __init__(
        self, jobs: Sequence[Job], done: Sequence[Job], report: Path | None, header: Header, earlier: Earlier
    ) -> None:
        """Begin the record of a run.

        jobs     all photos of the run
        done     those that an earlier run has restored
        report   where the report goes, if one was asked for
        earlier  the report of the earlier run
        """
        self._jobs, self._report, self._header = jobs, report, header
        self._keys = {job.photo: key_of(job.photo) for job in jobs}
        self._lock = Lock()
        self._entries = _merged(jobs, done, header, earlier)
        self._endings = {job.photo: ending_of(job.name, self._entries[self._keys[job.photo]]) for job in done}
        self._had_report = bool(earlier.entries)
        self._journal: Journal | None = None

    def begin(self, job: Job, entry: Entry) -> None:
        """Note the result that is about to be written. Raises PhotoError if the report cannot be written."""
        with self._lock:
            if self._journal:
                self._journal.begin(entry, replaces=job.output.exists())

    def done(self, job: Job, entry: Entry) -> None:
        """Note the result that was written. Raises PhotoError if the report cannot be written."""
        with self._lock:
            self._endings[job.photo] = ending_of(job.name, entry)
            if self._journal:
                self._entries[self._keys[job.photo]] = entry
                self._journal.add(entry)

    def failed(self, job: Job, error: str) -> None:
        """Note that a photo could not be restored. Raises PhotoError if the report cannot be written."""
        self.done(job, describe_failure(job.photo, error))

    @property
    def some_failed(self) -> bool:
        """Whether any photo of this run could not be restored."""
        return any(ending.outcome == "failed" for ending in self._endings.values())

    def summary(self) -> list[str]:
        """Return the lines shown at the end of a run of several photos."""
        endings = [self._endings[job.photo] for job in self._jobs if job.photo in self._endings]
        return summary_lines(endings, len(self._jobs))

    def other_settings(self) -> str | None:
        """Return a sentence about earlier results with other settings; None if there are none."""
        named = {self._keys[job.photo]: job.name for job in self._jobs}
        others = {
            named[key]: entry[_OTHER]
            for key, entry in self._entries.items()
            if _OTHER in entry and key in named
        }
        if not others:
            return None
        settings = {name: value for entry in others.values() for name, value in entry.items()}
        now = _by_name(self._header)
        changed = ", ".join(_difference(name, value, now[name]) for name, value in settings.items())
        names = [one_line(name) for name in list(others)[:_MOST_NAMED]]
        if len(others) > _MOST_NAMED:
            names.append(f"{len(others) - _MOST_NAMED} more")
        return (
            f"restored before with other settings ({changed}): {', '.join(names)}; these are kept, and "
            "marked in the report; --overwrite restores all photos with the same settings"
        )

    def __enter__(self) -> "RunRecord":
        """Create the journal of the report. Raises PhotoError if it cannot be written."""
        if self._report:
            try:
                self._journal = Journal(self._report, self._header, self._entries.values())
            except BaseException:
                if not self._had_report:  # otherwise the next run continues from it
                    journal_of(self._report).unlink(missing_ok=True)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close()
        except GpenEdgeError:
            if error is None:  # otherwise that error matters more, and --resume continues from the journal
                raise

    def _close(self) -> None:
        if self._journal is None or self._report is None:
            return
        if self._entries or self._had_report:
            planned = dict.fromkeys(self._keys.values())
            order = [key for key in planned | self._entries if key in self._entries]
            entries = [self._entries[key] for key in order]
            endings = [ending_of(str(entry["photo"]), entry) for entry in entries]
            summary = counts(endings, len(planned | self._entries))
            try:
                write_report(self._report, self._header, summary, entries)
            except BaseException:
                self._journal.close()
                raise
        self._journal.remove()


def _merged(jobs: Sequence[Job], done: Sequence[Job], header: Header, earlier: Earlier) -> dict[str, Entry]:
    """Return the entries of an earlier run that stay: of photos that are done, or not part of this run."""
    now, before = _by_name(header), _by_name(earlier.header or {})
    entries = {}
    for job in done:
        key = key_of(job.photo)
        entry = earlier.entries.get(key)
        entries[key] = entry if entry and "output" in entry else describe_earlier(job.photo, job.result)
    named = {key_of(job.photo) for job in jobs}
    left = named - set(entries)
    for key, entry in earlier.entries.items():
        if (key in left and "error" in entry) or (key not in named and BEGUN not in entry):
            entries[key] = entry
    return {key: _marked(entry, before, now) for key, entry in entries.items()}


def _marked(entry: Entry, before: dict[str, Any], now: dict[str, Any]) -> Entry:
    """Return an entry, marked with those settings of its run that differ from this run's."""
    entry = dict(entry)
    entry.pop(BEGUN, None)
    made_with = before | dict(entry.pop(_OTHER, {}))
    if "faces" not in entry:
        return entry
    differing = {name: value for name, value in made_with.items() if name in now and value != now[name]}
    return entry | ({_OTHER: differing} if differing else {})


def _by_name(header: Header) -> dict[str, Any]:
    """Return everything that the results of a run depend on, under the names that users know."""
    found = {"package": header["package"].get("name")} if "package" in header else {}
    single = {_SINGLE: header["settings_by_face"]} if "settings_by_face" in header else {}
    return {**found, **header.get("options", {}), **header.get("settings", {}), **single}


def _difference(name: str, before: Any, now: Any) -> str:
    if name == _SINGLE:
        return "those of single faces"
    return f"{name} {written(before, name)}, now {written(now, name)}"
