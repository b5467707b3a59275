"""Originals of finished photos that cannot be put away now: tried again later, while other photos go on."""

import logging
import time

from base.text import cause_of, one_line, utf8
from runtime.commands.failure_cause import cause_behind
from runtime.hotfolder.delivery import Delivery
from runtime.hotfolder.journal import Entry
from runtime.hotfolder.means import Means
from runtime.hotfolder.space import Space


class Unmoved:
    """Puts originals away. The journal knows which are left; they take nobody's place in the queue."""

    def __init__(self, means: Means, delivery: Delivery, space: Space) -> None:
        self._means, self._delivery, self._space = means, delivery, space
        self._due: float | None = None
        """When they are tried again; None when none is left."""
        self._rounds = 0
        """How often they were tried again in vain."""

    def put_away(self, entry: Entry) -> bool:
        """Put an original away; return whether that is done."""
        try:
            self._delivery.put_away(entry)
        except Exception as error:
            self.note(entry, error)
            return False
        return True

    def note(self, entry: Entry, error: Exception) -> None:
        """Have an original put away later: its photo is finished all the same."""
        if self._was_full(error):
            return
        self._wait()
        self._say(
            f"{one_line(entry.path)}: is finished, but its original cannot be put away ({cause_of(error)})",
            photo=utf8(entry.path),
        )

    def again(self) -> None:
        """Try all that are left, if it is time."""
        if self._due is None or time.monotonic() < self._due:
            return
        entries = self._means.journal.open_entries()
        self._due, left, cause = None, 0, ""
        for entry in entries:
            if self._space.is_stopped():
                return
            try:
                if entry.is_finished:
                    self._delivery.put_away(entry)
            except Exception as error:
                if self._was_full(error):
                    return
                left, cause = left + 1, cause_of(error)
        self._rounds = self._rounds + 1 if left else 0
        if left:
            self._wait()
            self._say(f"{left} originals still cannot be put away ({cause})", photos=left)

    @property
    def is_pending(self) -> bool:
        """Whether something is left that is worth waiting for."""
        return self._due is not None and self._rounds < self._means.rules.retries

    def _was_full(self, error: Exception) -> bool:
        if cause_behind(error, "write") != "disk-full":
            return False
        self._due = 0.0
        self._space.wait_or_end(error)
        return True

    def _wait(self) -> None:
        if self._due is None:
            self._due = time.monotonic() + self._means.rules.wait_of(self._rounds + 1)

    def _say(self, sentence: str, **fields: object) -> None:
        self._means.log("not-moved", f"{sentence}: later again", level=logging.WARNING, **fields)
