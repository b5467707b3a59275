"""How a hot folder is worked on, and with which settings each of its photos is restored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from engines.errors import SettingsError
from runtime.hotfolder.folders import Originals
from runtime.in_force import InForce
from runtime.one_photo import check_megapixels

LONGEST_WAIT = 60.0
"""Seconds between two attempts, at most."""

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
    """What a user may say of how a hot folder is worked on. Raises SettingsError."""

    originals: Originals = "move"
    settle: float = 2.0
    """Seconds for which a file must not change before it is taken."""
    rescan: float = 30.0
    """Seconds after which the folder is looked through even though no event came."""
    queue: int = 1000
    """Most photos that wait in memory; the others wait in the folder."""
    retries: int = 5
    """How often a photo is tried again for a cause that passes; a full disk is always waited for."""
    crashes: int = 5
    """How often the program may end in the middle of a photo before the photo is given up."""
    backoff: float = 1.0
    """Seconds before it is tried again for the first time; doubled each time, up to a minute."""
    max_megapixels: float = 100.0
    strip_metadata: bool = False
    """Results carry no EXIF, XMP or comments. Originals, in done/ and failed/ too, stay as they are."""
    once: bool = False
    """End when nothing waits."""
    heartbeat_every: float = 10.0
    """Seconds."""

    def __post_init__(self) -> None:
        for name, value in _LEAST.items():
            given = getattr(self, name)
            if not value <= given < 1e9:
                option = name.replace("_", "-")
                raise SettingsError(f"--{option} is {given:g}: give {value:g} or more, and less than 1e9")
        check_megapixels(self.max_megapixels)

    def wait_of(self, times: int) -> float:
        """Return the seconds to wait before the next attempt, after so many."""
        return min(LONGEST_WAIT, self.backoff * 2.0 ** min(max(0, times - 1), 16))


RULES = tuple(field.name for field in fields(Rules))

Forces = Callable[[Path], InForce]


def preset_by_folder(presets: Mapping[str, InForce], default: InForce) -> Forces:
    """Return what tells the settings for a photo, by its path in the input folder.

    They are those of the preset that its first folder is named for; outside of such folders, the default.
    """

    def force(path: Path) -> InForce:
        return presets.get(path.parts[0], default) if len(path.parts) > 1 else default

    return force
