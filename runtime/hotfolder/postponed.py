"""Originals of finished photos that cannot be put away now: tried again later, while other photos go on."""

from runtime.commands.failure_cause import cause_behind
from runtime.hotfolder.journal import Entry
from runtime.hotfolder.lifecycle import Lifecycle
from runtime.hotfolder.output_folder import OutputFolder
from runtime.hotfolder.reporting import Reporter
from runtime.hotfolder.resources import Resources


class PostponedOriginals:
    """Puts originals away, now or later. The journal knows which are left."""

    def __init__(
        self, resources: Resources, lifecycle: Lifecycle, output: OutputFolder, report: Reporter
    ) -> None:
        self._journal, self._clock, self._rules = resources.journal, resources.clock, resources.rules
        self._lifecycle, self._output, self._report = lifecycle, output, report
        self._due: float | None = None
        """When they are tried again; None if there are none."""
        self._tries = 0
        """How many attempts in a row have failed."""

    def put_away(self, entry: Entry) -> bool:
        """Put the original of a delivered or failing photo away, now or later; return whether it was now."""
        try:
            self._lifecycle.put_away(entry)
        except Exception as error:
            self.postpone(entry, error)
            return False
        return True

    def postpone(self, entry: Entry, error: Exception) -> None:
        """Put an original away later. Its photo counts as finished, and no other photo waits for it."""
        if not self._waited_for_space(error):
            self._schedule()
            self._report.not_moved(entry.path, error)

    def retry(self) -> None:
        """Put away all remaining originals, if it is time to try again."""
        if self._due is None or self._clock.now() < self._due:
            return
        entries = self._journal.open_entries()
        self._due, errors = None, list[Exception]()
        for entry in entries:
            if self._output.is_stopped():
                return
            try:
                if entry.is_finished:
                    self._lifecycle.put_away(entry)
            except Exception as error:
                if self._waited_for_space(error):
                    return
                errors.append(error)
        self._tries = self._tries + 1 if errors else 0
        if errors:
            self._schedule()
            self._report.still_not_moved(len(errors), errors[-1])

    @property
    def is_waiting(self) -> bool:
        """Whether an original is still to be put away, and has not been tried too many times."""
        return self._due is not None and self._tries < self._rules.retries

    def _waited_for_space(self, error: Exception) -> bool:
        """Wait if the disk is full, and have all originals tried again after that; return whether it was."""
        if cause_behind(error, "write") != "disk-full":
            return False
        self._due = 0.0
        self._output.wait_or_end(error)
        return True

    def _schedule(self) -> None:
        if self._due is None:
            self._due = self._clock.now() + self._rules.wait_of(self._tries + 1)
