"""`python -m runtime.restore PHOTO... -o OUT`: restore the faces of photos."""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2

from engines.command_line import DONE, SOME_FAILED, run
from engines.errors import GpenEdgeError, PhotoError
from runtime.building import told_when_building
from runtime.compare import write_sheet
from runtime.face_list import face_table, write_face_sheet
from runtime.in_force import InForce, as_json, lines
from runtime.masks_sheet import write_masks_sheet
from runtime.one_line import one_line
from runtime.options import Wanted, check_package, parser, what_is_wanted
from runtime.photo.reader import SUPPORTED_SUFFIXES, Photo, read_photo
from runtime.photo.writer import OUTPUT_SUFFIXES, check_output, write_photo
from runtime.presets_sheet import candidates, faces_to_show, write_presets_sheet
from runtime.report import describe_photo, write_report
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.timing import timed

Step = TypeVar("Step")


@dataclass(frozen=True)
class Job:
    """One photo and where its results go."""

    photo: Path
    output: Path
    sheet: Path | None
    """Where the before/after sheet goes, if one is wanted."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which is dropped
    return run(lambda: _restore(parser().parse_args(arguments)))


def _restore(options: argparse.Namespace) -> int:
    wanted = what_is_wanted(options)
    jobs = plan(options.photos, options.output, options.compare) if options.output else []
    _check_outputs(jobs, options)
    with told_when_building() as watch:
        restorer = Restorer.open(
            wanted.package,
            wanted.backend,
            device=wanted.device,
            provider=wanted.provider,
            detector=wanted.detector,
            threads=wanted.threads,
            watch=watch,
        )
    with restorer:
        check_package(wanted.config, restorer.package.manifest)
        if options.list_faces or options.compare_presets:
            _look(options, wanted, restorer)
        entries, failed = _run_jobs(jobs, options, wanted.force, restorer)
        if options.report:
            write_report(options.report, restorer, as_json(wanted.force), entries)
    return SOME_FAILED if failed else DONE


def _look(options: argparse.Namespace, wanted: Wanted, restorer: Restorer) -> None:
    """Show what a user chooses from: the faces of the photo, and how it looks with each preset."""
    (path,) = options.photos
    photo = read_photo(path, max_megapixels=options.max_megapixels).pixels
    found = restorer.detect(photo)
    shown = faces_to_show(found, wanted.force)
    if not shown:
        _say(f"{one_line(path.name)}: no face found that would be restored")
    if options.list_faces:
        for line in face_table(found, wanted.force.settings):
            print(line)  # noqa: T201
        write_face_sheet(options.list_faces, photo, found)
    if options.compare_presets and shown:
        compared = candidates(wanted.config, wanted.force, shown)
        steps = _with_progress(list(compared.items()), "comparing")
        write_presets_sheet(options.compare_presets, restorer, photo, found, steps)


def plan(photos: list[Path], output: Path, sheet: Path | None) -> list[Job]:
    """Return what is to be done: each photo, in the order of their names within a folder, and its outputs.

    One photo goes to the file `output`, or into it if it is a folder; a folder, or several photos, into the
    folder `output`, which is made. Raises PhotoError when a folder holds no photo, or two would get one name.
    """
    found = [path for photo in photos for path in (_in_folder(photo) if photo.is_dir() else [photo])]
    if len(photos) == 1 and not photos[0].is_dir():
        target = output / _output_name(photos[0]) if output.is_dir() else output
        return [Job(photos[0], target, sheet)]
    jobs = [
        Job(path, output / _output_name(path), sheet / f"{path.stem}.png" if sheet else None)
        for path in found
    ]
    counts = Counter(job.output for job in jobs)
    twice = next((path for path, count in counts.items() if count > 1), None)
    if twice:
        raise PhotoError(f"two photos would become {one_line(twice)}: restore them in separate runs")
    return jobs


def _in_folder(folder: Path) -> list[Path]:
    photos = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUPPORTED_SUFFIXES and p.is_file())
    if not photos:
        raise PhotoError(f"the folder {one_line(folder)} holds no photo: name another, or photos")
    return photos


def _output_name(photo: Path) -> str:
    return photo.name if photo.suffix.lower() in OUTPUT_SUFFIXES else f"{photo.stem}.png"


def _check_outputs(jobs: list[Job], options: argparse.Namespace) -> None:
    """Refuse what cannot be written before any work is done."""
    if len(jobs) > 1 or options.photos[0].is_dir():
        for folder in filter(None, (options.output, options.compare)):
            _make_folder(folder)
    for job in jobs:
        check_output(job.output, source=job.photo, overwrite=options.overwrite)
        if job.sheet:
            check_output(job.sheet, overwrite=True)
    for path in filter(None, (options.list_faces, options.compare_presets)):
        check_output(path, source=options.photos[0], overwrite=options.overwrite)
        if path.suffix.lower() != ".png":
            raise PhotoError(f"the sheet {one_line(path)} is a PNG: end its name in .png")
    for path in filter(None, (options.report, options.masks)):
        if path.is_dir() or not path.parent.is_dir():
            raise PhotoError(f"{one_line(path)} cannot be written: name a file in a folder that exists")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"cannot make the folder {one_line(folder)}: {error.strerror}") from error


def _run_jobs(
    jobs: list[Job], options: argparse.Namespace, force: InForce, restorer: Restorer
) -> tuple[list[dict[str, Any]], bool]:
    """Restore photo after photo; return the report's entries and whether one failed.

    A single photo's error goes up; of several, each is named and the others go on.
    """

    def restore(job: Job) -> tuple[dict[str, Any], list[str]]:
        return _restore_one(job, options, force, restorer)

    backend = restorer.backend
    said = (*lines(force), f"backend: {backend.name} on {backend.device} ({backend.why})")
    if not jobs:
        return [], False
    if len(jobs) == 1:
        entry, remarks = restore(jobs[0])
        _say(*said, *remarks)
        return [entry], False
    _say(*said)
    entries: list[dict[str, Any]] = []
    failed = False
    for job in _with_progress(jobs, "restoring"):
        try:
            entry, remarks = restore(job)
            _say(*remarks)
            entries.append(entry)
        except GpenEdgeError as error:
            _say(f"failed: {error}")
            entries.append({"photo": str(job.photo), "error": str(error)})
            failed = True
    return entries, failed


def _restore_one(
    job: Job, options: argparse.Namespace, force: InForce, restorer: Restorer
) -> tuple[dict[str, Any], list[str]]:
    """Return the photo's entry of the report, and what is to be said."""
    timings: dict[str, float] = {}
    with timed(timings, "read"):
        photo = read_photo(job.photo, max_megapixels=options.max_megapixels)
    _check_size(photo, force.settings.upscale, options.max_megapixels)
    result = restorer.restore(photo.pixels, force.settings, force.by_face)
    timings |= result.timings
    with timed(timings, "write"):
        write_photo(job.output, _restored(photo, result), overwrite=options.overwrite)
    if job.sheet:
        write_sheet(job.sheet, photo.pixels, result)
    if options.masks:
        write_masks_sheet(options.masks, [face.aligned for face in result.faces if face.aligned])
    entry = describe_photo(job.photo, job.output, result.faces, timings)
    return entry, [f"{one_line(job.photo.name)}: {remark}" for remark in _remarks(result, force)]


def _check_size(photo: Photo, upscale: int, max_megapixels: float) -> None:
    height, width = photo.pixels.shape[:2]
    megapixels = height * width * upscale**2 / 1e6
    if megapixels > max_megapixels:
        raise PhotoError(
            f"--upscale {upscale} would make {megapixels:.4g} megapixels, "
            f"more than the {max_megapixels:g} allowed: "
            "take a smaller factor, or raise --max-megapixels"
        )


def _restored(photo: Photo, result: RestoreResult) -> Photo:
    alpha, (height, width) = photo.alpha, result.photo.shape[:2]
    if alpha is not None and alpha.shape != (height, width):
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LANCZOS4)
    return replace(photo, pixels=result.photo, alpha=alpha)


def _remarks(result: RestoreResult, force: InForce) -> Iterable[str]:
    """Say what the user should know of a photo's restoration."""
    if not result.faces:
        yield "no face found; the photo was written without a change to its faces"
        return
    for i, face in enumerate(result.faces):
        for warning in face.warnings:
            yield f"face {i}: {warning.code}: {warning.sentence}"
    for i in force.by_face:
        if i >= len(result.faces):
            yield f"face {i}, which has settings of its own, is not there"


def _with_progress(steps: list[Step], what: str) -> Iterable[Step]:
    from rich.console import Console  # here, as a single photo does not need it
    from rich.progress import track

    return track(steps, what, console=Console(stderr=True))


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
