"""The watcher's own settings, with their defaults and limits."""

from dataclasses import dataclass, fields
from pathlib import Path

from base.errors import SettingsError
from runtime.commands.restored_photo import check_megapixels
from runtime.hotfolder.folders import Originals

LONGEST_WAIT = 60.0
"""Most seconds between two attempts."""

_LEAST = {
    "settle": 0,
    "rescan": 0.1,
    "queue": 1,
    "retries": 0,
    "crashes": 1,
    "backoff": 0.01,
    "heartbeat_every": 0.01,
}


@dataclass(frozen=True)
class Rules:
    """The options of `python -m runtime.watch` but for those of the restoration. Raises SettingsError."""

    originals: Originals = "move"
    settle: float = 2.0
    """Seconds for which a file must not change before it is taken."""
    rescan: float = 30.0
    """Seconds after which the folder is scanned even if no event came."""
    queue: int = 1000
    """Most photos held in memory; the others wait in the folder."""
    retries: int = 5
    """How many times a photo is tried again for a cause that may pass; a full disk is always waited for."""
    crashes: int = 5
    """How many times the program may crash while it works on a photo before the photo fails."""
    backoff: float = 1.0
    """Seconds before a photo is first tried again; doubled each time, up to a minute."""
    max_megapixels: float = 100.0
    accept_damaged: bool = False
    """Restore what can be read of a damaged photo; otherwise it fails."""
    strip_metadata: bool = False
    """Write results without EXIF, XMP, captions and comments; originals keep theirs."""
    compare: Path | None = None
    """Folder for a before/after sheet of each photo; None writes none."""
    once: bool = False
    """End when no photo waits."""
    heartbeat_every: float = 10.0
    """Seconds between two updates of the heartbeat file."""

    def __post_init__(self) -> None:
        for name, value in _LEAST.items():
            given = getattr(self, name)
            if not value <= given < 1e9:
                option = name.replace("_", "-")
                raise SettingsError(f"--{option} is {given:g}: give {value:g} or more, and less than 1e9")
        check_megapixels(self.max_megapixels)

    def wait_of(self, times: int) -> float:
        """Return the seconds to wait after so many attempts."""
        return min(LONGEST_WAIT, self.backoff * 2.0 ** min(max(0, times - 1), 16))


RULES = tuple(field.name for field in fields(Rules))
