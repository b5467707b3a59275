"""Restore one photo of a run: read it, restore it, write it. Each step may have a thread of its own."""

import argparse
import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeGuard

from base.files import vanishing
from base.text import one_line
from runtime.commands.grouped_warnings import OF_SETTINGS, shared_warnings
from runtime.commands.jobs import Job
from runtime.commands.output_names import keeps_name
from runtime.commands.overwriting import check_new
from runtime.commands.pages import restore_pages
from runtime.commands.remarks import file_remarks, remarks
from runtime.commands.report import describe_backend, describe_photo
from runtime.commands.restored_photo import check_size, restored
from runtime.commands.run_record import RunRecord
from runtime.photo.reader import Photo, read_photo
from runtime.photo.writer import write_photo
from runtime.provenance import Provenance
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.resolved import ResolvedSettings
from runtime.sheets.before_after import write_sheet
from runtime.sheets.labelled_faces import labelled_faces
from runtime.sheets.paper import FACE
from runtime.sheets.regions import write_masks_sheet
from runtime.timing import timed


@dataclass(frozen=True)
class Read:
    """A photo that was read."""

    photo: Photo
    timings: dict[str, float]
    """Milliseconds of each stage."""


@dataclass(frozen=True)
class Restored:
    """A photo that was restored, and is to be written."""

    original: Photo
    result: RestoreResult
    timings: dict[str, float]
    """Milliseconds of each stage."""
    backend: str
    """What ran its networks at the end, in words."""
    on: dict[str, str]
    """The same for the report."""


@dataclass(frozen=True)
class Steps:
    """The three steps of every photo of a run."""

    options: argparse.Namespace
    settings: ResolvedSettings
    restorer: Restorer
    record: RunRecord
    provenance: Provenance | None
    """Records the processing in the results; None records nothing."""
    several: bool
    """Whether the run has more than one photo."""
    begun_on: dict[str, str]
    """What ran the networks when the run began, as in the report."""
    shown: set[str] = field(default_factory=set)
    """Warnings that follow from the settings alone, and the line about another backend: shown once."""

    def read(self, job: Job) -> Read:
        """Read a photo. Raises PhotoError."""
        timings: dict[str, float] = {}
        with timed(timings, "read"):
            photo = read(job.photo, self.options)
        check_size(photo, self.settings.settings.upscale, self.options.max_megapixels)
        return Read(photo, timings)

    def restore(self, job: Job, read: Read) -> Restored:
        """Restore a photo. Raises GpenEdgeError."""
        result = restore_pages(
            lambda pixels, resolved: self.restorer.restore(
                pixels, resolved.settings, resolved.by_face, identify=self.options.report is not None
            ),
            read.photo,
            self.settings,
        )
        line, on = backend_line(self.restorer), describe_backend(self.restorer)
        return Restored(read.photo, result, read.timings | result.timings, line, on)

    def write(self, job: Job, restoration: Restored) -> list[str]:
        """Write a photo's sheets, then its result, so that a result never lacks its sheets.

        Returns the lines to show. Raises PhotoError.
        """
        result, timings = restoration.result, dict(restoration.timings)
        photo = restored(restoration.original, result, strip_metadata=self.options.strip_metadata)
        if self.provenance:
            photo = self.provenance.written(photo, restoration.original, result, self.settings)
        if job.copy and keeps_name(photo):
            job = replace(job, output=job.copy)
        other = {} if restoration.on == self.begun_on else restoration.on
        self.record.begin(job, describe_photo(job.photo, job.output, result.every_face, timings) | other)
        with ExitStack() as unless_failed:
            if self._is_missing(job.sheet):
                write_sheet(job.sheet, restoration.original.pixels, result)
                unless_failed.enter_context(vanishing(Path(os.path.realpath(job.sheet))))
            if self._is_missing(self.options.masks):
                faces = labelled_faces(restoration.original.pixels, result, FACE)
                write_masks_sheet(self.options.masks, faces)
                unless_failed.enter_context(vanishing(Path(os.path.realpath(self.options.masks))))
            with timed(timings, "write"):
                if not (job.output == job.copy and is_photo_itself(job.copy, job.photo)):
                    write_photo(job.output, photo, overwrite=self.options.overwrite)
        self.record.done(job, describe_photo(job.photo, job.output, result.every_face, timings) | other)
        return self._lines(job, result, photo, [restoration.backend] if other else [])

    def _is_missing(self, sheet: Path | None) -> TypeGuard[Path]:
        """Return whether a sheet has to be written; a resumed run keeps the sheets that exist.

        Raises PhotoError for one that has appeared since the run began.
        """
        if sheet is None or (self.options.resume and sheet.exists()):
            return False
        if not self.options.overwrite:
            check_new(sheet, "the sheet")
        return True

    def _lines(self, job: Job, result: RestoreResult, photo: Photo, of_run: list[str]) -> list[str]:
        """Return the remarks about a photo; those that follow from the settings are shown once a run.

        of_run  lines that are not about this photo, also shown once
        """
        general = {}
        if self.several:
            general = {
                str(each): f"{each.code}: {each.sentence}"
                for each in shared_warnings(result.faces)
                if each.code in OF_SETTINGS
            }
        found = [*remarks(result, self.settings), *file_remarks(photo, job.output)]
        lines = [general.get(each) or f"{one_line(job.name)}: {each}" for each in found]
        new = [line for line in [*of_run, *lines] if line not in self.shown]
        self.shown.update(general.values(), of_run)
        return new


def backend_line(restorer: Restorer) -> str:
    """Return the line that states what runs the networks."""
    backend = restorer.backend
    return f"backend: {backend.name} on {backend.device} ({backend.why})"


def read(path: Path, options: argparse.Namespace) -> Photo:
    """Read a photo within the limits of the command line. Raises PhotoError."""
    return read_photo(path, max_megapixels=options.max_megapixels, accept_damaged=options.accept_damaged)


def is_photo_itself(copy: Path, photo: Path) -> bool:
    """Return whether a photo's copy would have the photo's own path, with results among the originals."""
    return copy.exists() and copy.samefile(photo)
