"""Before/after sheets of the photos that a watcher delivers."""

import os
from pathlib import Path

from base.errors import WatchError
from base.text import cause_of, one_line
from runtime.hotfolder.folders import Folders
from runtime.hotfolder.names import first_free, make_folder, numbered
from runtime.pixels import Pixels
from runtime.result import RestoreResult
from runtime.sheets.before_after import write_sheet


def check_sheet_folder(folder: Path, folders: Folders) -> None:
    """Create the folder for sheets. Raises WatchError if it is in the input folder or cannot be written."""
    if folder.resolve().is_relative_to(folders.photos):
        raise WatchError(
            f"{one_line(folder)} is in the input folder, where sheets would be restored like photos: "
            "name another folder for --compare"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WatchError(
            f"the folder {one_line(folder)} for --compare cannot be made: {cause_of(error)}"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WatchError(f"the folder {one_line(folder)} for --compare may not be written to")


def write_new_sheet(folder: Path, output: Path, before: Pixels, result: RestoreResult) -> Path:
    """Write the sheet of a delivered photo under a free name; return its path.

    folder  for the sheets of all photos
    output  the photo's result, by its path in the output folder; the sheet of a/b.jpg is a/b.jpg.png

    Raises OSError and PhotoError.
    """
    wanted = folder / make_folder(folder, output.parent) / f"{output.name}.png"
    path = numbered(wanted, first_free(lambda number: not os.path.lexists(numbered(wanted, number))))
    write_sheet(path, before, result)
    return path
