"""The system's file events. They only wake the watcher, which always looks at the files themselves."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

logging.getLogger("watchdog").addHandler(logging.NullHandler())  # it warns that it was stopped

_READING = ("opened", "closed_no_write")


class Events:
    """Calls `touch`, from its own thread, with every path at which something happens, until closed."""

    def __init__(self, folder: Path, touch: Callable[[Path], None]) -> None:
        """Watch a folder and its subfolders. Raises OSError if the system has no more watches to give."""
        self._observer = Observer()
        self._observer.schedule(_Handler(touch), str(folder), recursive=True)
        self._observer.start()

    def close(self) -> None:
        """Let the thread end; it takes up to half a second, and what it still says changes nothing."""
        self._observer.stop()


class _Handler(FileSystemEventHandler):
    def __init__(self, touch: Callable[[Path], None]) -> None:
        self._touch = touch

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in _READING:  # our own
            return
        if event.is_directory and event.event_type == "modified":  # what has changed in it has its own event
            return
        for name in (event.src_path, event.dest_path):
            if name and isinstance(name, str | bytes):
                self._touch(Path(os.fsdecode(name)))
