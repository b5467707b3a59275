"""A hot folder that is worked on in this process, with a tiny network."""

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from runtime.hotfolder.clock import Clock
from runtime.hotfolder.disk import Disk
from runtime.hotfolder.folders import holding
from runtime.hotfolder.journal import Entry, Journal
from runtime.hotfolder.log import Log
from runtime.hotfolder.preset_folders import SettingsFor
from runtime.hotfolder.resources import Resources
from runtime.hotfolder.rules import Rules
from runtime.hotfolder.status import Status
from runtime.hotfolder.watcher import Watcher
from runtime.restorer import Restorer
from runtime.settings.resolved import ResolvedSettings
from runtime.warm_restorer import WarmRestorer


class HotFolder:
    """The two folders, and what a test asks of them."""

    def __init__(self, folder: Path, restorer: WarmRestorer) -> None:
        self.photos, self.output, self.restorer = folder / "in", folder / "out", restorer
        self.photos.mkdir()

    def put(self, name: str, shade: int = 0) -> Path:
        """Put in a small photo of one colour, without a face."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (shade, 90, 80)).save(path)
        now = time.time_ns()  # the file system's own clock may be the same for two photos in a row
        os.utime(path, ns=(now, now))
        return path

    def work(
        self,
        *,
        restorer: WarmRestorer | None = None,
        settings_for: SettingsFor = lambda path: ResolvedSettings(),
        before: Callable[[Watcher], None] | None = None,
        status: Status | None = None,
        clock: Clock | None = None,
        disk: Disk | None = None,
        **rules: object,
    ) -> Status:
        """Work until nothing waits; `before` is called with the watcher."""
        settings = Rules(**({"once": True, "settle": 0, "backoff": 0.01} | rules))  # type: ignore[arg-type]
        status = status or Status()
        with (
            holding(self.photos, self.output, settings.originals) as folders,
            closing(Journal(folders.state / "journal.sqlite")) as journal,
        ):
            watcher = Watcher(
                Resources(
                    folders,
                    journal,
                    settings,
                    settings_for,
                    restorer or self.restorer,
                    status,
                    Log("text"),
                    clock or Clock(),
                    disk or Disk(),
                )
            )
            if before:
                before(watcher)
            watcher.run()
        return status

    def journal(self) -> Journal:
        return Journal(self.output / ".watch" / "journal.sqlite")

    def entries(self) -> list[Entry]:
        with closing(self.journal()) as journal:
            return [*journal.open_entries(), *journal.finished()]

    def results(self) -> dict[str, int]:
        """Return the shade of each result, by its path."""
        return {
            name: shade_of(self.output / name)
            for name in files(self.output)
            if Path(name).parts[0] not in ("done", "failed", ".watch")
        }

    def waiting(self) -> list[str]:
        return [name for name in files(self.photos) if name != ".gpen-edge.lock"]

    def done(self) -> list[str]:
        return files(self.output / "done")

    def failed(self) -> list[str]:
        return files(self.output / "failed")

    def left_over(self) -> list[str]:
        return [name for folder in (self.photos, self.output) for name in files(folder) if ".tmp" in name]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def shade_of(path: Path) -> int:
    with Image.open(path) as image:
        return int(np.asarray(image.convert("RGB"))[0, 0, 0])


class LeftOpen:
    """A restorer that stays open from test to test."""

    def __init__(self, restorer: Restorer) -> None:
        self.restorer = restorer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.restorer, name)

    def close(self) -> None:
        pass


@pytest.fixture
def warm(restorer: Restorer) -> WarmRestorer:
    return WarmRestorer(lambda: cast(Restorer, LeftOpen(restorer)))


@pytest.fixture
def hot(tmp_path: Path, warm: WarmRestorer) -> HotFolder:
    return HotFolder(tmp_path, warm)
