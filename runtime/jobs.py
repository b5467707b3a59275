"""Which photos a run restores, and where each result goes."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.errors import PhotoError
from runtime.one_line import cause_of, one_line
from runtime.one_photo import output_name
from runtime.photo.reader import SUPPORTED_SUFFIXES


@dataclass(frozen=True)
class Job:
    """One photo and where its results go."""

    photo: Path
    output: Path
    sheet: Path | None
    """Where the before/after sheet goes, if one is wanted."""


def plan(photos: list[Path], output: Path, sheet: Path | None, *, recursive: bool = False) -> list[Job]:
    """Return what is to be done: each photo, in the order of their names within a folder, and its outputs.

    One photo goes to the file `output`, or into it if it is a folder; a folder, or several photos, into the
    folder `output`, which is made. With `recursive` the folders in a folder count too, and are mirrored in
    `output`. Raises PhotoError when a folder holds no photo, or two would get one name.
    """
    if len(photos) == 1 and not photos[0].is_dir():
        target = output / output_name(photos[0]) if output.is_dir() else output
        return [Job(photos[0], target, sheet)]
    ours = {folder.resolve() for folder in (output, sheet) if folder}
    jobs = []
    for photo in photos:
        if not photo.is_dir():
            jobs.append(_job(photo, Path(), output, sheet))
            continue
        found = list(_in_tree(photo, ours)) if recursive else _in_folder(photo)
        if not found:
            raise PhotoError(f"the folder {one_line(photo)} holds no photo: name another, or photos")
        jobs += [_job(path, path.parent.relative_to(photo), output, sheet) for path in found]
    counts = Counter(job.output for job in jobs)
    twice = next((path for path, count in counts.items() if count > 1), None)
    if twice:
        raise PhotoError(f"two photos would become {one_line(twice)}: restore them in separate runs")
    return jobs


def remaining(jobs: list[Job]) -> list[Job]:
    """Leave out the jobs whose output is there.

    Outputs appear whole, so there is nothing left to do for them. A job whose output would be the photo
    itself stays, to be refused.
    """
    return [job for job in jobs if not job.output.is_file() or job.output.samefile(job.photo)]


def make_folders(folders: Iterable[Path]) -> None:
    """Make what is not there of some folders. Raises PhotoError."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PhotoError(f"cannot make the folder {one_line(folder)}: {cause_of(error)}") from error


def _job(photo: Path, inside: Path, output: Path, sheet: Path | None) -> Job:
    return Job(
        photo, output / inside / output_name(photo), sheet / inside / f"{photo.stem}.png" if sheet else None
    )


def _in_folder(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _is_photo(path))
    except OSError as error:
        raise PhotoError(f"cannot read the folder {one_line(folder)}: {cause_of(error)}") from error


def _in_tree(folder: Path, ours: set[Path]) -> Iterator[Path]:
    """Yield the photos of a folder and of those in it, but not of hidden ones, of links, and of results."""

    def refuse(error: OSError) -> None:
        raise PhotoError(f"cannot read the folder {one_line(error.filename)}: {cause_of(error)}") from error

    for place, names, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        names[:] = sorted(
            name for name in names if not name.startswith(".") and (here / name).resolve() not in ours
        )
        yield from (here / name for name in sorted(files) if _is_photo(here / name))


def _is_photo(path: Path) -> bool:
    # Hidden ones are other systems' notes on photos, such as ._portrait.jpg.
    return path.suffix.lower() in SUPPORTED_SUFFIXES and not path.name.startswith(".") and path.is_file()
