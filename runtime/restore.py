"""`python -m runtime.restore PHOTO... -o OUT`: restore the faces of photos."""

import argparse
import sys
import warnings
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from engines.command_line import DONE, SOME_FAILED, run
from engines.errors import PhotoError
from runtime.atomic import sweep
from runtime.causes import cause_behind
from runtime.compare import write_sheet
from runtime.face_list import face_table, write_face_sheet
from runtime.in_force import InForce, as_json, lines
from runtime.jobs import Job, make_folders, plan, remaining
from runtime.masks_sheet import write_masks_sheet
from runtime.one_line import cause_of, one_line, utf8
from runtime.one_photo import check_megapixels, check_size, remarks, restored
from runtime.options import Wanted, open_restorer, parser, what_is_wanted
from runtime.photo.reader import Photo, read_photo
from runtime.photo.writer import check_output, write_photo
from runtime.pipeline import pipelined
from runtime.presets_sheet import candidates, faces_to_show, write_presets_sheet
from runtime.report import describe_photo, write_report
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.timing import timed

Step = TypeVar("Step")


@dataclass(frozen=True)
class Work:
    """A photo on its way: what was read, then what was made of it."""

    photo: Photo
    timings: dict[str, float]
    """Milliseconds of each stage."""
    result: RestoreResult | None = None


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which is dropped
    return run(lambda: _restore(parser().parse_args(arguments)))


def _restore(options: argparse.Namespace) -> int:
    check_megapixels(options.max_megapixels)
    wanted = what_is_wanted(options)
    jobs = _jobs(options) if options.output else []
    _check_outputs(jobs, options)
    with open_restorer(wanted) as restorer:
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
        steps = _with_progress(compared.items(), "comparing", len(compared))
        write_presets_sheet(options.compare_presets, restorer, photo, found, steps)


def _jobs(options: argparse.Namespace) -> list[Job]:
    jobs = plan(options.photos, options.output, options.compare, recursive=options.recursive)
    if not options.resume:
        return jobs
    outputs = [options.report, options.masks, *(path for job in jobs for path in (job.output, job.sheet))]
    if stale := sweep({path.parent for path in outputs if path}):
        _say(f"{stale} temporary files of an earlier run were removed")
    left = remaining(jobs)
    if len(left) < len(jobs):
        _say(f"{len(jobs) - len(left)} of {len(jobs)} photos are restored already")
    return left


def _check_outputs(jobs: list[Job], options: argparse.Namespace) -> None:
    """Refuse what cannot be written before any work is done."""
    if len(jobs) > 1 or options.photos[0].is_dir():
        make_folders({path.parent for job in jobs for path in (job.output, job.sheet) if path})
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


def _run_jobs(
    jobs: list[Job], options: argparse.Namespace, force: InForce, restorer: Restorer
) -> tuple[list[dict[str, Any]], bool]:
    """Restore photo after photo; return the report's entries, if one is wanted, and whether a photo failed.

    A single photo's error goes up; of several, each is named and the others go on, unless the disk is full.
    """

    def read(job: Job) -> Work:
        timings: dict[str, float] = {}
        with timed(timings, "read"):
            photo = read_photo(job.photo, max_megapixels=options.max_megapixels)
        check_size(photo, force.settings.upscale, options.max_megapixels)
        return Work(photo, timings)

    def work(job: Job, read: Work) -> Work:
        result = restorer.restore(read.photo.pixels, force.settings, force.by_face)
        return replace(read, timings=read.timings | result.timings, result=result)

    def write(job: Job, work: Work) -> tuple[dict[str, Any], list[str]]:
        return _write(job, work, options, force)

    backend = restorer.backend
    said = (*lines(force), f"backend: {backend.name} on {backend.device} ({backend.why})")
    if not jobs:
        return [], False
    if len(jobs) == 1:
        entry, sentences = write(jobs[0], work(jobs[0], read(jobs[0])))
        _say(*said, *sentences)
        return [entry], False
    _say(*said)
    entries: list[dict[str, Any]] = []
    failed = False
    with closing(pipelined(jobs, read, work, write)) as outcomes:
        for job, outcome in _with_progress(outcomes, "restoring", len(jobs)):
            if isinstance(outcome, Exception):
                failed = True
                _say(f"failed: {_one_failure(job, outcome)}")
                entry = {"photo": utf8(job.photo), "error": str(outcome)}
            else:
                entry, sentences = outcome
                _say(*sentences)
            if options.report:
                entries.append(entry)
    return entries, failed


def _one_failure(job: Job, error: Exception) -> str:
    """Say why a photo failed; raise PhotoError when it would be the same with all that follow."""
    if cause_behind(error, "write") == "disk-full":
        raise PhotoError(f"{error}: make room, and go on with --resume") from error
    named = isinstance(error, PhotoError)
    return str(error) if named else f"{one_line(job.photo)}: {cause_of(error)}"


def _write(
    job: Job, work: Work, options: argparse.Namespace, force: InForce
) -> tuple[dict[str, Any], list[str]]:
    """Write a photo's results; return its entry of the report, and what is to be said."""
    result = work.result
    assert result is not None
    timings = dict(work.timings)
    with timed(timings, "write"):
        photo = restored(work.photo, result, strip_metadata=options.strip_metadata)
        write_photo(job.output, photo, overwrite=options.overwrite)
    if job.sheet:
        write_sheet(job.sheet, work.photo.pixels, result)
    if options.masks:
        write_masks_sheet(options.masks, [face.aligned for face in result.faces if face.aligned])
    entry = describe_photo(job.photo, job.output, result.faces, timings)
    return entry, [f"{one_line(job.photo.name)}: {remark}" for remark in remarks(result, force)]


def _with_progress(steps: Iterable[Step], what: str, total: int) -> Iterable[Step]:
    from rich.console import Console  # here, as a single photo does not need it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(steps, total, description=what)


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
