"""The watcher's own settings, with their defaults and limits."""

from dataclasses import dataclass
from pathlib import Path

from base.setting import Range, option
from runtime.commands.photo_options import PhotoOptions
from runtime.hotfolder.folders import Originals

LONGEST_WAIT = 60.0
"""Most seconds between two attempts."""
MOST = 1e9


@dataclass(frozen=True)
class Rules(PhotoOptions):
    """The options of `python -m runtime.watch` but for those of the restoration."""

    originals: Originals = option(
        "move", "What happens to originals: move them to OUT/done/, or leave them where they are."
    )
    once: bool = option(False, "End when all photos in the folder are done.")
    compare: Path | None = option(None, "A folder for a before/after sheet of each photo.", metavar="FOLDER")
    settle: float = option(
        2.0,
        "Seconds for which a file must not change before it is taken.",
        range=Range(0, MOST),
        metavar="S",
    )
    rescan: float = option(
        30.0,
        "Seconds after which the folder is searched even without file events.",
        range=Range(0.1, MOST),
        metavar="S",
    )
    queue: int = option(
        1000,
        "The largest number of photos held in memory; others wait in the folder.",
        range=Range(1, MOST),
        metavar="N",
    )
    retries: int = option(
        5,
        "How often a photo is tried again after a failure that may pass; a full disk is always waited for.",
        range=Range(0, MOST),
        metavar="N",
    )
    backoff: float = option(
        1.0,
        "Seconds before the first retry; doubled each time, up to a minute.",
        range=Range(0.01, MOST),
        metavar="S",
    )
    crashes: int = option(
        5,
        "Give up on a photo after the process has crashed this many times while restoring it.",
        range=Range(1, MOST),
        metavar="N",
    )
    heartbeat_every: float = option(
        10.0, "Seconds between two heartbeats.", range=Range(0.01, MOST), metavar="S"
    )

    def wait_of(self, times: int) -> float:
        """Return the seconds to wait after a number of attempts."""
        return min(LONGEST_WAIT, self.backoff * 2.0 ** min(max(0, times - 1), 16))
