"""The stored part of visits: a row and a folder each."""

from collections.abc import Iterator

import msgspec

from runtime.hotfolder.log import Log
from runtime.serve.clock import Clocks
from runtime.serve.errors import KioskError
from runtime.serve.visits.store import Store, VisitRow
from runtime.serve.visits.visit import Visit
from runtime.serve.visits.visit_folder import VisitFolder
from runtime.serve.wire import Choice, ErrorAbout, ResultAbout

MOST_ATTEMPTS = 2
"""How many times the program may crash while it works on a photo before the photo is refused."""


class Records:
    """The rows and folders of all visits."""

    def __init__(self, folder: VisitFolder, store: Store, log: Log, clocks: Clocks) -> None:
        self._folder, self._store, self._log, self._clocks = folder, store, log, clocks
        self._undeleted: set[str] = set()

    def recover(self) -> Iterator[Visit]:
        """Return the visits of an earlier run that have not expired; delete all others."""
        for row in self._store.visits():
            left = row.end.left(self._clocks)
            if left <= 0 or (row.number and not self._folder.photo(row.id).is_file()):
                self.remove(row.id)
            else:
                yield self._visit_of(row, left)

    def _visit_of(self, row: VisitRow, left: float) -> Visit:
        ends = self._clocks.now() + left
        touched = ends - (row.end.ends - row.end.touched)
        visit = Visit(row.id, touched - row.age, ends, row.end.wall_end(self._clocks))
        visit.number, visit.attempts, visit.copies = row.number, row.attempts, row.copies
        if not row.number:
            return visit
        visit.state = "queued"
        if row.attempts > MOST_ATTEMPTS:
            visit.state = "failed"
            times = f"the program ended {row.attempts} times while it worked on this photo"
            visit.error = ErrorAbout("not-a-photo", f"{times}: bring another one")
        elif row.choice:
            visit.choice = msgspec.json.decode(row.choice, type=Choice)
        if row.result and visit.state == "queued":
            result = msgspec.json.decode(row.result, type=ResultAbout)
            if self._folder.result(row.id, result.suffix).is_file():
                visit.result, visit.results = result, result.number
        return visit

    def add(self, visit: Visit, now: float) -> None:
        """Store a new visit. Raises KioskError."""
        self._store.add(VisitRow(visit.id, self._clocks.end(now, visit.ends)))

    def note(self, visit: Visit, **values: object) -> None:
        """Store values of a visit. If that fails, they are lost only in a crash."""
        try:
            self._store.update(visit.id, **values)
        except KioskError as error:
            self._log("not-stored", str(error))

    def remove(self, visit_id: str) -> bool:
        """Delete the files and the row of a visit; return whether both are deleted."""
        is_gone = self._folder.delete(visit_id)
        try:
            self._store.remove(visit_id)
        except KioskError:
            is_gone = False
        (self._undeleted.discard if is_gone else self._undeleted.add)(visit_id)
        return is_gone

    def remove_again(self) -> None:
        """Try again to delete what could not be deleted."""
        for visit_id in list(self._undeleted):
            self.remove(visit_id)
