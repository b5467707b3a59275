"""Folders named for presets: the photos in them are restored with that preset."""

from collections.abc import Callable, Mapping
from pathlib import Path

from base.near_names import nearest
from base.text import folded, one_line
from runtime.settings.resolved import ResolvedSettings

SettingsFor = Callable[[Path], ResolvedSettings]
"""Returns the settings for a photo, by its path in the input folder."""


def preset_by_folder(
    presets: Mapping[str, ResolvedSettings],
    default: ResolvedSettings,
    warn: Callable[[str, str], None] = lambda folder, sentence: None,
) -> SettingsFor:
    """Return the function that chooses a photo's settings by its folder.

    The folder directly in the input folder decides: if it has the name of a preset, in upper or lower case,
    its photos have that preset. All others have the default.

    warn  called once, with a sentence, for each folder whose name resembles a preset's
    """
    by_folded = {folded(name): settings for name, settings in presets.items()}
    warned: set[str] = set()

    def settings_for(path: Path) -> ResolvedSettings:
        folders = path.parts[:-1]
        if folders and folders[0] in presets:
            return presets[folders[0]]
        if folders and folded(folders[0]) in by_folded:
            return by_folded[folded(folders[0])]
        doubtful = _doubtful(folders, presets)
        if doubtful and doubtful[0] not in warned:
            warned.add(doubtful[0])
            warn(doubtful[0], f"{doubtful[1]} Its photos have {one_line(default.preset)}")
        return default

    return settings_for


def _doubtful(folders: tuple[str, ...], presets: Mapping[str, ResolvedSettings]) -> tuple[str, str] | None:
    """Return a folder that looks as if it were meant to select a preset but does not, and why."""
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
