"""How a hot folder is worked on, and with which settings each of its photos is restored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from base.errors import SettingsError
from base.near_names import nearest
from base.text import one_line
from runtime.commands.one_photo import check_megapixels
from runtime.commands.same_file import folded
from runtime.hotfolder.folders import Originals
from runtime.settings.resolved import InForce

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
    accept_damaged: bool = False
    """Of a damaged photo what can be read is restored; else it goes to failed/."""
    strip_metadata: bool = False
    """Results carry no EXIF, XMP, captions or comments; originals, in done/ and failed/ too, keep theirs."""
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


def preset_by_folder(
    presets: Mapping[str, InForce],
    default: InForce,
    warn: Callable[[str, str], None] = lambda folder, sentence: None,
) -> Forces:
    """Return what gives the settings for a photo, by its path in the input folder.

    They are those of the preset that its first folder is named for, without regard to case; outside of such
    folders, the default.

    warn  called once for each folder that seems to be meant for a preset and is not; with a sentence
    """
    by_folded = {folded(name): force for name, force in presets.items()}
    warned: set[str] = set()

    def force(path: Path) -> InForce:
        folders = path.parts[:-1]
        if folders and folders[0] in presets:
            return presets[folders[0]]
        if folders and folded(folders[0]) in by_folded:
            return by_folded[folded(folders[0])]
        doubt = _doubt(folders, presets)
        if doubt and doubt[0] not in warned:
            warned.add(doubt[0])
            warn(doubt[0], f"{doubt[1]} Its photos have {one_line(default.preset)}")
        return default

    return force


def _doubt(folders: tuple[str, ...], presets: Mapping[str, InForce]) -> tuple[str, str] | None:
    """Return a folder that seems to be meant for a preset and is not, and what is to be said of it."""
    if not folders:
        return None
    near = nearest(folders[0], presets)
    if near:
        return folders[0], f"folder '{one_line(folders[0])}': no such preset; did you mean {one_line(near)}?"
    known = [folded(name) for name in presets]
    for depth, name in enumerate(folders[1:], 2):
        if folded(name) in known:
            folder = str(Path(*folders[:depth]))
            return folder, f"folder '{one_line(folder)}': only folders directly in the input choose a preset."
    return None
