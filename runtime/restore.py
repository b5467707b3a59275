"""`python -m runtime.restore PHOTO... -o OUT`: restore the faces of photos."""

import argparse
import os
import sys
import warnings
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeGuard, TypeVar

from base.command_line import DONE, SOME_FAILED, run
from base.errors import PhotoError
from base.files import sweep, vanishing
from base.text import cause_of, one_line
from runtime.commands.failure_cause import cause_behind
from runtime.commands.grouped_warnings import OF_SETTINGS, shared_warnings
from runtime.commands.jobs import Job, make_folders, plan, remaining
from runtime.commands.one_photo import (
    check_megapixels,
    check_size,
    file_remarks,
    keeps_name,
    remarks,
    restored,
)
from runtime.commands.options import Wanted, open_restorer, parser, what_is_wanted
from runtime.commands.overwriting import Source, Target, check_new, check_targets
from runtime.commands.pages import restore_pages
from runtime.commands.pipeline import pipelined
from runtime.commands.report import Header, describe_photo, describe_run
from runtime.commands.report_journal import Earlier, read_earlier
from runtime.commands.run_record import RunRecord
from runtime.photo.reader import Photo, read_photo
from runtime.photo.writer import check_output, check_place, write_photo
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.resolved import InForce, as_json, lines
from runtime.sheets.before_after import write_sheet
from runtime.sheets.numbered_faces import face_table, write_face_sheet
from runtime.sheets.presets import candidates, faces_to_show, write_presets_sheet
from runtime.sheets.regions import write_masks_sheet
from runtime.timing import timed

Step = TypeVar("Step")


@dataclass(frozen=True)
class Work:
    """A photo on its way: what was read, then what was made of it."""

    photo: Photo
    timings: dict[str, float]
    """Milliseconds of each stage."""
    result: RestoreResult | None = None


@dataclass(frozen=True)
class Run:
    """What is done with each photo, in three steps that may have threads of their own."""

    options: argparse.Namespace
    force: InForce
    restorer: Restorer
    several: bool
    """Whether more than one photo is named."""
    said: set[str] = field(default_factory=set)
    """Warnings about the settings, which are said once."""

    def read(self, job: Job) -> Work:
        """Read a photo. Raises PhotoError."""
        timings: dict[str, float] = {}
        with timed(timings, "read"):
            photo = _read(job.photo, self.options)
        check_size(photo, self.force.settings.upscale, self.options.max_megapixels)
        return Work(photo, timings)

    def work(self, job: Job, read: Work) -> Work:
        """Restore a photo. Raises GpenEdgeError."""
        result = restore_pages(
            lambda pixels, force: self.restorer.restore(pixels, force.settings, force.by_face),
            read.photo,
            self.force,
        )
        return replace(read, timings=read.timings | result.timings, result=result)

    def write(self, job: Job, work: Work, record: RunRecord) -> list[str]:
        """Write a photo's results, its sheets first: if the photo exists, they do. Return what is to be said.

        Raises PhotoError.
        """
        result = work.result
        assert result is not None
        timings = dict(work.timings)
        photo = restored(work.photo, result, strip_metadata=self.options.strip_metadata)
        if job.copy and keeps_name(photo):
            job = replace(job, output=job.copy)
        record.begin(job, describe_photo(job.photo, job.output, result.every_face, timings))
        with ExitStack() as unless_failed:
            if self._is_wanted(job.sheet):
                write_sheet(job.sheet, work.photo.pixels, result)
                unless_failed.enter_context(vanishing(Path(os.path.realpath(job.sheet))))
            if self._is_wanted(self.options.masks):
                faces = [face.aligned for face in result.faces if face.aligned]
                write_masks_sheet(self.options.masks, faces)
                unless_failed.enter_context(vanishing(Path(os.path.realpath(self.options.masks))))
            with timed(timings, "write"):
                if job.output != job.copy or not _is_itself(job.copy, job.photo):
                    write_photo(job.output, photo, overwrite=self.options.overwrite)
        record.done(job, describe_photo(job.photo, job.output, result.every_face, timings))
        return self._remarks(job, result, photo)

    def _is_wanted(self, sheet: Path | None) -> TypeGuard[Path]:
        """Return whether a sheet is to be written: when a run is resumed, one that exists is kept.

        Raises PhotoError for one that has appeared since the run began.
        """
        if sheet is None or (self.options.resume and sheet.exists()):
            return False
        if not self.options.overwrite:
            check_new(sheet, "the sheet")
        return True

    def _remarks(self, job: Job, result: RestoreResult, photo: Photo) -> list[str]:
        """Return what is to be said of a photo; of several, what follows from the settings is said once."""
        said = [*remarks(result, self.force), *file_remarks(photo, job.output)]
        general = {}
        if self.several:
            found = shared_warnings(result.faces)
            general = {
                str(each): f"{each.code}: {each.sentence}" for each in found if each.code in OF_SETTINGS
            }
        sentences = [general.get(each) or f"{one_line(job.name)}: {each}" for each in said]
        new = [each for each in sentences if each not in self.said]
        self.said.update(general.values())
        return new


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which is dropped
    return run(lambda: _restore(parser().parse_args(arguments)))


def _restore(options: argparse.Namespace) -> int:
    check_megapixels(options.max_megapixels)
    wanted = what_is_wanted(options)
    earlier = read_earlier(options.report) if options.resume and options.report else Earlier()
    jobs = _jobs(options, earlier)
    _check_paths(jobs, options, wanted)
    left = _left(jobs, options)
    with open_restorer(wanted) as restorer:
        if options.list_faces or options.compare_presets:
            _look(options, wanted, restorer)
        if not jobs:
            return DONE
        done = [job for job in jobs if job not in set(left)]
        record = RunRecord(jobs, done, options.report, _header(options, wanted, restorer), earlier)
        with record:
            _run_jobs(left, record, Run(options, wanted.force, restorer, len(jobs) > 1))
    return SOME_FAILED if record.some_failed else DONE


def _look(options: argparse.Namespace, wanted: Wanted, restorer: Restorer) -> None:
    """Show what a user chooses from: the faces of the photo, and how it looks with each preset."""
    (path,) = options.photos
    photo = _read(path, options).pixels
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


def _read(path: Path, options: argparse.Namespace) -> Photo:
    return read_photo(path, max_megapixels=options.max_megapixels, accept_damaged=options.accept_damaged)


def _is_itself(copy: Path, photo: Path) -> bool:
    """Return whether a photo's copy would be the photo: results beside the originals, nothing restored."""
    return copy.exists() and copy.samefile(photo)


def _jobs(options: argparse.Namespace, earlier: Earlier) -> list[Job]:
    if options.output is None:
        return []
    return plan(
        *(options.photos, options.output, options.compare),
        recursive=options.recursive,
        earlier=earlier.outputs,
        resume=options.resume,
        say=_say,
    )


def _left(jobs: list[Job], options: argparse.Namespace) -> list[Job]:
    """Return what an earlier run has left to do, if one is resumed, once its temporary files are removed."""
    if not options.resume:
        return jobs
    outputs = [options.report, options.masks, *(path for job in jobs for path in (job.output, job.sheet))]
    if stale := sweep({path.parent for path in outputs if path}):
        _say(f"{stale} temporary files of an earlier run were removed")
    left = remaining(jobs)
    if len(left) < len(jobs):
        unknown = "" if options.report else " (only a --report would tell with which settings)"
        _say(f"{len(jobs) - len(left)} of {len(jobs)} photos are restored already{unknown}")
    return left


def _check_paths(jobs: list[Job], options: argparse.Namespace, wanted: Wanted) -> None:
    """Refuse what cannot be written, or would replace a file unasked, before any work is done."""
    sheets = (options.list_faces, options.compare_presets, options.masks)
    for path in filter(None, (*sheets, *{job.sheet for job in jobs})):
        if path.suffix.lower() != ".png":
            raise PhotoError(f"the sheet {one_line(path)} is a PNG: end its name in .png")
    several = len(jobs) > 1 or options.photos[0].is_dir()
    targets = _targets(jobs, options)
    copies = {job.copy for job in jobs}
    check_targets(
        _sources(jobs, options, wanted),
        targets,
        overwrite=options.overwrite,
        resumable=several and bool(jobs),
    )
    if several:
        make_folders({path.parent for job in jobs for path in (job.output, job.sheet) if path})
    for target in targets:
        if target.path in (options.report, options.masks):
            _check_folder(target.path)
        else:
            (check_place if target.path in copies else check_output)(target.path, overwrite=True)


def _check_folder(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise PhotoError(f"{one_line(path)} cannot be written: name a file in a folder that exists")


def _sources(jobs: list[Job], options: argparse.Namespace, wanted: Wanted) -> list[Source]:
    photos = [job.photo for job in jobs] or options.photos
    found = [Source(path) for path in photos]
    found += [Source(path, what) for path, what in _other_sources(options, wanted) if path]
    if wanted.package and Path(wanted.package).is_dir():
        found += [Source(path, "the package's file") for path in Path(wanted.package).iterdir()]
    return found


def _other_sources(options: argparse.Namespace, wanted: Wanted) -> list[tuple[Path | None, str]]:
    return [(options.config, "the config file"), (wanted.detector, "the detector")]


def _targets(jobs: list[Job], options: argparse.Namespace) -> list[Target]:
    kept = options.resume
    several = len(jobs) > 1
    found = []
    for job in jobs:
        of = f" of {one_line(job.name)}" if several else ""
        found.append(Target(job.output, f"the output{of}", own=job.photo, kept=kept))
        if job.copy and not _is_itself(job.copy, job.photo):
            found.append(Target(job.copy, f"the copy{of}", own=job.photo, kept=kept))
        if job.sheet:
            found.append(Target(job.sheet, f"the sheet{of}", kept=kept))
    single = (
        *((options.masks, "the sheet of --masks", kept), (options.report, "the report", kept)),
        *((options.list_faces, "the sheet of --list-faces", False),),
        *((options.compare_presets, "the sheet of --compare-presets", False),),
    )
    return found + [Target(path, what, kept=keep) for path, what, keep in single if path]


def _header(options: argparse.Namespace, wanted: Wanted, restorer: Restorer) -> Header:
    detector = wanted.detector.name if wanted.detector else None
    other = {
        "detector": detector,
        "strip_metadata": options.strip_metadata,
        "accept_damaged": options.accept_damaged,
    }
    return describe_run(restorer, as_json(wanted.force), **other)


def _run_jobs(jobs: list[Job], record: RunRecord, run: Run) -> None:
    """Restore photo after photo, and tell the record.

    A single photo's error goes up; of several, each is named and the others go on, unless the disk is full.
    """
    backend = run.restorer.backend
    said = (*lines(run.force), f"backend: {backend.name} on {backend.device} ({backend.why})")
    if not run.several:
        for job in jobs:
            sentences = run.write(job, run.work(job, run.read(job)), record)
            _say(*said, *sentences)
        return
    if jobs:
        _say(*said)
    if sentence := record.other_settings():
        _say(sentence)
    try:
        _run_several(jobs, record, run)
    except KeyboardInterrupt:
        again = (
            "the same command with --resume goes on"
            if not run.options.overwrite
            else "the others are as they were"
        )
        _say(*record.summary(), f"what is done is whole; {again}")
        raise
    except PhotoError:
        _say(*record.summary())
        raise
    _say(*record.summary())


def _run_several(jobs: list[Job], record: RunRecord, run: Run) -> None:
    def write(job: Job, work: Work) -> list[str]:
        return run.write(job, work, record)

    with closing(pipelined(jobs, run.read, run.work, write)) as outcomes:
        for job, outcome in _with_progress(outcomes, "restoring", len(jobs)):
            if isinstance(outcome, Exception):
                failure = _one_failure(job, outcome)
                record.failed(job, failure)
                _say(f"failed: {failure}")
            else:
                _say(*outcome)


def _one_failure(job: Job, error: Exception) -> str:
    """Say why a photo failed; raise PhotoError when it would be the same with all that follow."""
    if cause_behind(error, "write") == "disk-full":
        raise PhotoError(f"{error}: make room, and go on with --resume") from error
    named = isinstance(error, PhotoError) and one_line(job.photo) in str(error)
    return str(error) if named else f"{one_line(job.name)}: {cause_of(error)}"


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
