"""The hot folder at work: one photo after the other, until it is told to stop."""

import logging
import os
import sqlite3
import time
from pathlib import Path

from base.text import cause_of
from runtime.hotfolder.arrivals import Arrivals
from runtime.hotfolder.delivery import Delivery
from runtime.hotfolder.events import Events
from runtime.hotfolder.means import Means
from runtime.hotfolder.outcomes import Outcomes
from runtime.hotfolder.signature import Signature
from runtime.hotfolder.space import TICK, Space, identity_of
from runtime.hotfolder.taking import Taking
from runtime.hotfolder.unmoved import Unmoved

_DAY = 86_400.0


class Station:
    """Takes photos as they arrive and delivers each."""

    def __init__(self, means: Means) -> None:
        self._means, rules = means, means.rules
        self._delivery = Delivery(means.folders, means.journal, rules.originals)
        self._arrivals = Arrivals(
            means.folders.photos, self._is_known, settle=rules.settle, rescan=rules.rescan, places=rules.queue
        )
        self._stopped = False
        self._next_prune = 0.0
        self._space = Space(means, lambda: self._stopped)
        self._unmoved = Unmoved(means, self._delivery, self._space)
        outcomes = Outcomes(means, self._delivery, self._arrivals, self._space, self._unmoved)
        self._taking = Taking(means, self._delivery, self._arrivals, self._space, outcomes, self._unmoved)

    def stop(self) -> None:
        """End after the present photo. It may be called anywhere, in a signal's handler too."""
        self._stopped = True  # and nothing else: a handler must not wait for a lock

    def run(self) -> None:
        """Work until stopped. Raises GpenEdgeError when going on makes no sense; nothing is lost then."""
        try:
            while not (self._stopped or self._recovered()):
                pass
            if not self._stopped:
                self._means.engine.warm()
            while not self._stopped and self._watch():
                self._wait_for_input()
        finally:
            self._means.engine.close()
            self._means.status.enter("stopped")

    def _recovered(self) -> bool:
        """Finish what an earlier run has begun; return False to be called again, when there was space."""
        try:
            self._delivery.recover(self._unmoved.note)
            stale = self._delivery.sweep()
            for entry in self._means.journal.open_entries():
                if entry.state == "started":  # others first: it may be what the program died of
                    self._arrivals.put_back(entry.path, self._means.rules.wait_of(entry.crashes))
        except Exception as error:
            self._space.wait_or_end(error)
            return False
        if stale:
            self._means.log("swept", f"{stale} temporary files of an earlier run were removed", files=stale)
        return True

    def _watch(self) -> bool:
        """Work until stopped, or done, or the input folder is gone; return True for the last."""
        folder = self._means.folders.photos
        identity = identity_of(folder)
        events = self._events()
        try:
            while not self._stopped:
                self._space.check()
                if identity is None or identity_of(folder) != identity:
                    return True
                try:
                    self._arrivals.look()
                    self._unmoved.again()
                    self._prune()
                except OSError:  # it has vanished this moment
                    return True
                except sqlite3.Error as error:
                    self._arrivals.look_again()
                    self._space.wait_or_end(error)
                    continue
                path = self._arrivals.take()
                self._means.status.queue = len(self._arrivals)
                if path is not None:
                    self._taking.take(path)
                elif self._means.rules.once and self._arrivals.is_empty and not self._unmoved.is_pending:
                    return False
                else:
                    self._means.status.enter("idle")
                    self._arrivals.wait(TICK)
            return False
        finally:
            if events:
                events.close()

    def _prune(self) -> None:
        """Keep the journal from growing for ever, once a day."""
        if time.monotonic() >= self._next_prune:
            folder = self._means.folders.photos
            empty = all(path.name.startswith(".") for path in folder.iterdir())  # or not mounted
            self._means.journal.prune(lambda path: not empty and not os.path.lexists(folder / path))
            self._next_prune = time.monotonic() + _DAY

    def _events(self) -> Events | None:
        try:
            return Events(self._means.folders.photos, self._arrivals.touch)
        except OSError as error:
            every = self._means.rules.rescan
            said = f"no file events ({cause_of(error)}): the folder is looked through every {every:g} s"
            self._means.log("no-events", said, level=logging.WARNING)
            return None

    def _wait_for_input(self) -> None:
        self._means.status.enter("no-input")
        self._means.log("no-input", "the input folder is gone: waiting for it", level=logging.WARNING)
        while not self._stopped and not self._means.folders.photos.is_dir():
            self._space.check()
            time.sleep(TICK)
        if not self._stopped:
            self._arrivals.look_again()
            self._means.log("input", "the input folder is there again")

    def _is_known(self, path: Path, signature: Signature) -> bool:
        """Tell what is finished, without reading it: it was left, or its original is put away later."""
        leave = self._means.rules.originals == "leave"
        return any(
            entry.signature == signature
            and (entry.is_finished or (entry.stays and (leave or entry.state == "failed")))
            for entry in self._means.journal.concerning(path)
        )
