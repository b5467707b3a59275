"""The photos that a run restores, and where each result goes."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, replace
from pathlib import Path

from base.errors import PhotoError
from base.text import cause_of, one_line
from runtime.commands.output_names import output_name
from runtime.commands.same_file import folding_for
from runtime.hotfolder.names import first_free, numbered
from runtime.photo.suffixes import OTHER_PICTURES, SUPPORTED_SUFFIXES

_LONGEST_NAME = 255
"""Bytes of a file's name."""


@dataclass(frozen=True)
class Job:
    """One photo and where its results go."""

    photo: Path
    output: Path
    sheet: Path | None = None
    """Where the before/after sheet goes, if one was asked for."""
    name: str = ""
    """The name of the photo in messages: its path relative to the input folder."""
    copy: Path | None = None
    """Where the photo is copied to if nothing is restored in it and the output has another suffix."""

    @property
    def result(self) -> Path:
        """Where the result is, once it is written."""
        return self.copy if self.copy and self.copy.is_file() else self.output


def plan(
    photos: list[Path],
    output: Path,
    sheet: Path | None,
    *,
    into_folder: bool = False,
    recursive: bool = False,
    earlier: Mapping[Path, Path] | None = None,
    resume: bool = False,
    show: Callable[[str], None] = lambda _: None,
) -> list[Job]:
    """Return the photos to restore, sorted by name within each folder, and the paths of their results.

    A single photo goes to the file `output`, or into it if it is a folder; several photos, or a folder of
    them, go into the folder `output`. With `recursive`, subfolders count too and are mirrored in `output`. If
    several results would have the same name, the photo of that name gets it, and the others are numbered in
    their order: photo-2.jpg. A sheet has the name of its photo with a suffix added: photo.jpg.png. A photo
    that is given twice is restored once.

    into_folder  `output` is a folder even if it does not exist
    earlier      the results of the run to resume, by the absolute paths of their photos; they stay there
    resume       results and sheets that such a run has put among the photos are left out
    show         called with a line about those, and about pictures of kinds that cannot be read

    Raises PhotoError if a folder holds no photo or cannot be read.
    """
    if len(photos) == 1 and not photos[0].is_dir():
        return [_single(photos[0], output, sheet, into_folder)]
    found = _without_repeats(_found(photos, output, sheet, recursive, show))
    if resume:
        found = _without_results(found, output, sheet, earlier or {}, show)
    found = _named_apart(found)
    outputs = _outputs(found, output, earlier or {})
    sheets = _sheets(found, sheet) if sheet else [None] * len(found)
    return [
        _with_copy(Job(each.photo, target, before_after, each.name))
        for each, target, before_after in zip(found, outputs, sheets, strict=True)
    ]


def remaining(jobs: list[Job]) -> list[Job]:
    """Return the jobs whose result does not exist yet.

    Results appear whole, so nothing is left to do for the others. A job whose output would be the photo
    itself is returned, to be refused.
    """
    return [
        job for job in jobs if not any(_is_done(path, job.photo) for path in (job.output, job.copy) if path)
    ]


def _is_done(result: Path, photo: Path) -> bool:
    return result.is_file() and not _is_same(result, photo)


def _with_copy(job: Job) -> Job:
    suffix = job.photo.suffix
    if suffix.lower() == job.output.suffix.lower():
        return job
    return replace(job, copy=job.output.with_suffix(suffix))


def make_folders(folders: Iterable[Path]) -> None:
    """Make the folders that do not exist. Raises PhotoError."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PhotoError(f"cannot make the folder {one_line(folder)}: {cause_of(error)}") from error


@dataclass(frozen=True)
class _Found:
    """A photo, its folder relative to the input folder, and its name in messages."""

    photo: Path
    inside: Path
    name: str


def _single(photo: Path, output: Path, sheet: Path | None, into_folder: bool) -> Job:
    if sheet and sheet.is_dir():
        sheet = sheet / _sheet_name(photo)
    if into_folder or output.is_dir():
        return _with_copy(Job(photo, output / output_name(photo), sheet, photo.name))
    return Job(photo, output, sheet, photo.name)


def _found(
    photos: list[Path], output: Path, sheet: Path | None, recursive: bool, show: Callable[[str], None]
) -> Iterator[_Found]:
    ours = [folder for folder in (output, sheet) if folder and folder.is_dir()]
    for photo in photos:
        if not photo.is_dir():
            yield _Found(photo, Path(), photo.name)
            continue
        pictures = list(_in_tree(photo, ours)) if recursive else _in_folder(photo)
        paths = [path for path in pictures if not _is_other(path)]
        if others := [path for path in pictures if _is_other(path)]:
            kinds = ", ".join(sorted({path.suffix.lower() for path in others}))
            show(
                f"{one_line(others[0].relative_to(photo))}{_and_more(others)}: left out, since such files "
                f"({kinds}) cannot be read: save them as JPEG or PNG"
            )
        if not paths:
            raise PhotoError(_empty(photo, recursive, ours))
        for path in paths:
            inside = path.relative_to(photo)
            yield _Found(path, inside.parent, str(inside if len(photos) == 1 else path))


def _without_repeats(found: Iterable[_Found]) -> list[_Found]:
    first: dict[Path, _Found] = {}
    for each in found:
        first.setdefault(_absolute(each.photo), each)
    return list(first.values())


def _without_results(
    found: list[_Found],
    output: Path,
    sheet: Path | None,
    earlier: Mapping[Path, Path],
    show: Callable[[str], None],
) -> list[_Found]:
    """Leave out the results and sheets of an earlier run that wrote them among its photos."""
    results = set()
    for each in found:
        wanted = output / each.inside / output_name(each.photo)
        result = _place(earlier.get(_absolute(each.photo), wanted))
        results |= {result} - {_place(each.photo)}
        if sheet:
            results.add(_place(sheet / each.inside / _sheet_name(each.photo)))
    left_out: list[_Found] = []
    kept: list[_Found] = []
    for each in found:
        is_result = _place(each.photo) in results and _absolute(each.photo) not in earlier
        (left_out if is_result else kept).append(each)
    if left_out:
        more = _and_more(left_out)
        show(f"{one_line(left_out[0].name)}{more}: results of an earlier run, which are not restored again")
    return kept


def _and_more(several: Sized) -> str:
    return f" and {len(several) - 1} more" if len(several) > 1 else ""


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100


def _place(path: Path) -> Path:
    """Return the path with the links of its folder resolved, but not a link that it is itself."""
    return Path(os.path.realpath(path.parent)) / path.name


def _named_apart(found: list[_Found]) -> list[_Found]:
    """Name photos by their whole paths if their names would otherwise be the same."""
    counts = Counter(each.name for each in found)
    return [replace(each, name=str(each.photo)) if counts[each.name] > 1 else each for each in found]


def _outputs(found: list[_Found], folder: Path, earlier: Mapping[Path, Path]) -> list[Path]:
    wanted = [folder / each.inside / output_name(each.photo) for each in found]
    claimed: dict[int, Path] = {}
    key = folding_for(wanted)
    taken: set[str] = set()

    def claim(i: int, path: Path) -> None:
        if i not in claimed and key(str(path)) not in taken:
            claimed[i] = path
            taken.add(key(str(path)))

    for i, each in enumerate(found):
        before = earlier.get(_absolute(each.photo))
        if before and before.parent == _absolute(wanted[i].parent):
            claim(i, wanted[i].with_name(before.with_suffix(wanted[i].suffix).name))  # `before` may be a copy
    for i, each in enumerate(found):
        if wanted[i].name == each.photo.name:
            claim(i, wanted[i])
    for i, path in enumerate(wanted):
        claim(i, _first_free(path, taken, key) if i not in claimed else path)
    return [claimed[i] for i in range(len(found))]


def _sheets(found: list[_Found], folder: Path) -> list[Path]:
    wanted = [folder / each.inside / _sheet_name(each.photo) for each in found]
    key = folding_for(wanted)
    taken: set[str] = set()
    sheets = []
    for path in wanted:
        sheets.append(_first_free(path, taken, key))
        taken.add(key(str(sheets[-1])))
    return sheets


def _sheet_name(photo: Path) -> str:
    name = f"{photo.name}.png"
    return name if len(os.fsencode(name)) <= _LONGEST_NAME else numbered(Path(name), 1).name


def _first_free(path: Path, taken: set[str], key: Callable[[str], str]) -> Path:
    def name(number: int) -> Path:
        return path if number == 1 else numbered(path, number)

    return name(first_free(lambda number: key(str(name(number))) not in taken))


def _empty(folder: Path, recursive: bool, ours: list[Path]) -> str:
    sentence = f"the folder {one_line(folder)} holds no photo"
    if not recursive and not all(map(_is_other, _in_tree(folder, ours))):
        return f"{sentence}, but its subfolders do: add --recursive"
    return f"{sentence}: name another folder, or photos"


def _in_folder(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _is_picture(path))
    except OSError as error:
        raise PhotoError(f"cannot read the folder {one_line(folder)}: {cause_of(error)}") from error


def _in_tree(folder: Path, ours: list[Path]) -> Iterator[Path]:
    """Yield the pictures in a folder and its subfolders, except hidden ones, links and folders of results."""

    def refuse(error: OSError) -> None:
        raise PhotoError(f"cannot read the folder {one_line(error.filename)}: {cause_of(error)}") from error

    for place, names, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        names[:] = sorted(
            name for name in names if not name.startswith(".") and not _is_any(here / name, ours)
        )
        yield from (here / name for name in sorted(files) if _is_picture(here / name))


def _is_any(folder: Path, ours: list[Path]) -> bool:
    return any(_is_same(folder, each) for each in ours)


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them is gone
        return False


def _is_picture(path: Path) -> bool:
    # Hidden files are other systems' notes about photos, such as ._portrait.jpg.
    is_named_so = path.suffix.lower() in SUPPORTED_SUFFIXES | OTHER_PICTURES
    return is_named_so and not path.name.startswith(".") and path.is_file()


def _is_other(path: Path) -> bool:
    return path.suffix.lower() in OTHER_PICTURES
