"""A kiosk as a process of its own, whose printer is a folder.

    python -m tests.runtime.serve.page.kiosk_process PRINTER [the options of python -m runtime.serve]

While the folder PRINTER holds a file `no-paper`, the printer is out of paper.
"""

import shutil
import sys
from pathlib import Path

from runtime.serve import opening
from runtime.serve.command import main
from runtime.serve.ending import Ending
from runtime.serve.kiosk_config import Printing
from runtime.serve.printing.cups_queue import QueueState
from runtime.serve.wire import PrintState


class FolderPrinter:
    """A print queue that keeps what it prints in a folder, one file for each job."""

    folder: Path

    def __init__(self, settings: Printing) -> None:
        self._pictures: list[Path] = []

    def state(self) -> QueueState:
        return QueueState("paper-out" if self._is_empty else "ready", False)

    def print(self, file: Path, media: str, copies: int) -> int:
        number = len(self._pictures)
        self._pictures.append(self.folder / f"{number}-{media}-{copies}.jpg")
        shutil.copyfile(file, self._pictures[-1].with_suffix(".waiting"))
        return number

    def job(self, number: int) -> PrintState | None:
        picture = self._pictures[number]
        waiting = picture.with_suffix(".waiting")
        if waiting.exists() and not self._is_empty:
            waiting.rename(picture)
        return "done" if picture.exists() else "printing"

    def resume(self) -> None:
        pass

    def purge(self, numbers: list[int]) -> None:
        for number in numbers:
            self._pictures[number].with_suffix(".waiting").unlink(missing_ok=True)

    def left_over(self) -> list[int]:
        return []

    @property
    def _is_empty(self) -> bool:
        return (self.folder / "no-paper").exists()


if __name__ == "__main__":
    FolderPrinter.folder = Path(sys.argv[1])
    opening.CupsQueue = FolderPrinter  # type: ignore[misc, assignment]
    ending = Ending()
    ending.take_signals()
    sys.exit(main(sys.argv[2:], ending))
