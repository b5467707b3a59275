"""Links for customers' phones: a code to upload one photo, and an address to take a result home."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from runtime.serve.clock import Clocks
from runtime.serve.errors import KioskError, disk_error
from runtime.serve.kiosk_config import KioskConfig
from runtime.serve.visits.store import Store, TakeRow
from runtime.serve.visits.tokens import digest, new_token
from runtime.serve.visits.visit import Phone, Take, Visit
from runtime.serve.visits.visit_folder import VisitFolder
from runtime.serve.wire import LinkAbout, ResultAbout


class Links:
    """All links of a server. Its methods may be called from any thread."""

    def __init__(
        self,
        folder: VisitFolder,
        store: Store,
        config: KioskConfig,
        lock: threading.RLock,
        clocks: Clocks,
    ) -> None:
        """Create it; the other arguments are the desk's, which holds the lock while it calls."""
        self._folder, self._store, self._config = folder, store, config
        self._lock, self._clocks = lock, clocks
        self._phones: dict[str, Phone] = {}
        self._undeleted: set[str] = set()
        self.takes: dict[str, Take] = {}
        """Results that may be taken home, by the digests of their tokens."""
        self.address: Callable[[], str] = str
        """Returns where phones reach the kiosk; set once the server listens."""

    # Phones

    def invite(self, visit: Visit) -> Phone:
        """Return a new code for one upload from a phone; earlier ones end. Raises KioskError."""
        if self._config.phones is None:
            raise KioskError("wrong-state", "phones are not set up here: add [phones] to kiosk.toml")
        with self._lock:
            visit.check_here()
            self._end_phones(visit)
            token, ends = new_token(), self._clocks.now() + self._config.phones.minutes * 60
            visit.phone = Phone(digest(token), token, visit, ends)
            self._phones[visit.phone.id] = visit.phone
            visit.changed()
            return visit.phone

    def phone(self, token: str) -> Phone | None:
        """Return the code of a phone; None if it is unknown or has ended."""
        with self._lock:
            return self._phones.get(digest(token))

    def claim(self, phone: Phone) -> Visit:
        """Use a code, so that no second upload begins with it. Raises KioskError."""
        with self._lock:
            if phone.used or phone.id not in self._phones:
                raise KioskError("wrong-state", "this code has been used: ask for a new one at the kiosk")
            phone.used = True
            phone.visit.changed()
            return phone.visit

    def release(self, phone: Phone) -> None:
        """Let a code be used again after an upload that failed."""
        with self._lock:
            phone.used = False
            phone.visit.changed()

    # Taking home

    def offer(self, visit: Visit, result: Path) -> Take:
        """Return a new link under which a result can be taken home; an earlier one ends.

        result  the file of the visit's finished result

        Raises KioskError.
        """
        with self._lock:
            visit.check_here()
            assert visit.result is not None
            self._end_takes(visit)
            token, now = new_token(), self._clocks.now()
            ends = now + self._config.take_home_minutes * 60
            take = Take(digest(token), visit.id, ends, visit.result, token)
            about = msgspec.json.encode(visit.result).decode()
            self._store.add_take(TakeRow(take.id, self._clocks.end(now, ends), visit.id, about))
            try:
                self._folder.keep(result, self._folder.take(take.id, result.suffix))
            except OSError as error:
                self._delete(take.id)
                raise disk_error(error) from error
            self.takes[take.id] = visit.take = take
            visit.changed()
            return take

    def take(self, token: str) -> Take | None:
        """Return a result that may be taken home; None if it is unknown or has ended."""
        with self._lock:
            take = self.takes.get(digest(token))
            return take if take and not self._is_over(take) else None

    # What the page shows

    def seconds_left(self, link: Phone | Take) -> int:
        """Return for how many seconds a link is still valid."""
        return max(0, round(link.ends - self._clocks.now()))

    def url(self, link: Phone | Take) -> str:
        """Return the address of a link."""
        kind = "p" if isinstance(link, Phone) else "t"
        return f"{self.address()}/{kind}/{link.token}"

    def phone_link(self, visit: Visit) -> LinkAbout | None:
        """Return the code of a visit, if it has one."""
        phone = visit.phone
        if phone is None or phone.id not in self._phones:
            return None
        return LinkAbout(self.url(phone), self.seconds_left(phone), phone.used)

    def take_link(self, visit: Visit) -> LinkAbout | None:
        """Return the link of a visit to take its result home, if it has one."""
        take = visit.take
        if take is None or take.id not in self.takes:
            return None
        return LinkAbout(self.url(take), self.seconds_left(take))

    # Ends

    def recover(self) -> None:
        """Resume the links of an earlier run that have not expired."""
        for row in self._store.takes():
            left = row.end.left(self._clocks)
            if left <= 0:
                self._store.remove_take(row.id)
                continue
            about = msgspec.json.decode(row.about, type=ResultAbout)
            ends, wall_ends = self._clocks.now() + left, row.end.wall_end(self._clocks)
            self.takes[row.id] = Take(row.id, row.visit, ends, about, wall_ends=wall_ends)

    def tick(self) -> None:
        """End what is past its time."""
        for take in [each.id for each in self.takes.values() if self._is_over(each)]:
            self._end_take(take)
        now = self._clocks.now()
        for phone in [each for each in self._phones.values() if each.ends <= now]:
            del self._phones[phone.id]
            phone.visit.changed()
        for take in list(self._undeleted):
            self._delete(take)

    def end_of(self, visit: Visit, *, keep_take: bool) -> None:
        """End the links of a visit, except perhaps the one to take its result home."""
        self._end_phones(visit)
        if not keep_take:
            self._end_takes(visit)

    def end_all(self) -> None:
        """End all links."""
        for take in list(self.takes):
            self._end_take(take)

    def _end_phones(self, visit: Visit) -> None:
        for phone in [each for each in self._phones.values() if each.visit is visit]:
            del self._phones[phone.id]

    def _end_takes(self, visit: Visit) -> None:
        for take in [each.id for each in self.takes.values() if each.visit == visit.id]:
            self._end_take(take)

    def _end_take(self, take: str) -> None:
        self.takes.pop(take, None)
        self._delete(take)

    def _delete(self, take: str) -> None:
        """Delete a result and its row; what cannot be deleted is tried again."""
        self._undeleted.add(take)
        is_deleted = self._folder.delete_take(take)
        with suppress(KioskError):
            self._store.remove_take(take)
            if is_deleted:
                self._undeleted.discard(take)

    def _is_over(self, take: Take) -> bool:
        return take.ends <= self._clocks.now() or take.wall_ends <= self._clocks.wall()
