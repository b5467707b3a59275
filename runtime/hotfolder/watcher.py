"""The watcher: processes the photos of a hot folder one after the other until it is stopped."""

import logging
import os
import sqlite3

from base.text import cause_of
from runtime.hotfolder.arrivals import Arrivals
from runtime.hotfolder.events import Events
from runtime.hotfolder.output_folder import TICK, OutputFolder, identity_of
from runtime.hotfolder.processing import Processor
from runtime.hotfolder.resources import Resources

_DAY = 86_400.0


class Watcher:
    """Recovers from an earlier run, watches the input folder, and waits for it while it is gone."""

    def __init__(self, resources: Resources) -> None:
        self._resources, rules = resources, resources.rules
        self._stopped = False
        self._output = OutputFolder(resources, lambda: self._stopped)
        self._processor = Processor(resources, self._output)
        self._arrivals = Arrivals(
            resources.folders.photos,
            self._processor.is_finished,
            settle=rules.settle,
            rescan=rules.rescan,
            capacity=rules.queue,
            clock=resources.clock,
        )
        self._next_prune = 0.0

    def stop(self) -> None:
        """End after the present photo. It may be called anywhere, even in a signal handler."""
        self._stopped = True  # and nothing else: a handler must not wait for a lock

    def run(self) -> None:
        """Process photos until stopped. Raises GpenEdgeError if continuing is pointless; nothing is lost
        then."""
        try:
            while not (self._stopped or self._recovered()):
                pass
            if not self._stopped:
                self._resources.restorer.warm()
            while not self._stopped and self._watch():
                self._wait_for_input()
        finally:
            self._resources.restorer.close()
            self._resources.status.enter("stopped")

    def _recovered(self) -> bool:
        """Complete what an earlier run has begun; return False after waiting for disk space, to be called
        again."""
        try:
            for path, seconds in self._processor.recover().items():
                self._arrivals.put_back(path, seconds)
        except Exception as error:
            self._output.wait_or_end(error)
            return False
        return True

    def _watch(self) -> bool:
        """Process photos until stopped, finished, or the input folder is gone; return True if it is gone."""
        folder = self._resources.folders.photos
        identity = identity_of(folder)
        events = self._events()
        try:
            while not self._stopped:
                self._output.check()
                if identity is None or identity_of(folder) != identity:
                    return True
                try:
                    self._arrivals.look()
                    self._processor.originals.retry()
                    self._prune()
                except OSError:  # the input folder has just vanished
                    return True
                except sqlite3.Error as error:
                    self._arrivals.look_again()
                    self._output.wait_or_end(error)
                    continue
                if not self._process_next():
                    return False
            return False
        finally:
            if events:
                events.close()

    def _process_next(self) -> bool:
        """Process a photo, or wait for one; return False when everything is done."""
        path = self._arrivals.take()
        self._resources.status.queue = len(self._arrivals)
        if path is not None:
            seconds = self._processor.process(path)
            if seconds is not None:
                self._arrivals.put_back(path, seconds)
            return True
        is_idle = self._arrivals.is_empty and not self._processor.originals.is_waiting
        if self._resources.rules.once and is_idle:
            return False
        self._resources.status.enter("idle")
        self._arrivals.wait(TICK)
        return True

    def _prune(self) -> None:
        """Remove old history from the journal, once a day."""
        now = self._resources.clock.now()
        if now >= self._next_prune:
            folder = self._resources.folders.photos
            is_empty = all(path.name.startswith(".") for path in folder.iterdir())  # or not mounted
            self._resources.journal.prune(lambda path: not is_empty and not os.path.lexists(folder / path))
            self._next_prune = now + _DAY

    def _events(self) -> Events | None:
        try:
            return Events(self._resources.folders.photos, self._arrivals.touch)
        except OSError as error:
            every = self._resources.rules.rescan
            sentence = f"no file events ({cause_of(error)}): the folder is scanned every {every:g} s instead"
            self._resources.log("no-events", sentence, level=logging.WARNING)
            return None

    def _wait_for_input(self) -> None:
        log, folder = self._resources.log, self._resources.folders.photos
        self._resources.status.enter("no-input")
        log("no-input", "the input folder is gone: waiting for it", level=logging.WARNING)
        while not self._stopped and not folder.is_dir():
            self._output.check()
            self._resources.clock.sleep(TICK)
        if not self._stopped:
            self._arrivals.look_again()
            log("input", "the input folder is back")
