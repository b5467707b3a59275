"""Check the files that a run reads and writes, before any work is done."""

import argparse
from pathlib import Path

from base.errors import PhotoError
from base.text import one_line
from runtime.commands.jobs import Job, make_folders
from runtime.commands.options import RunOptions
from runtime.commands.overwriting import Source, Target, check_targets
from runtime.commands.restoring import is_photo_itself
from runtime.photo.suffixes import SUPPORTED_SUFFIXES
from runtime.photo.writer import check_output, check_place
from runtime.settings.face_rules import read_rules


def check_paths(jobs: list[Job], options: argparse.Namespace, wanted: RunOptions) -> None:
    """Raise PhotoError for a file that cannot be written, or would replace another one without --overwrite.

    Makes the folders that several photos are written to.
    """
    sheets = (options.list_faces, options.compare_presets, options.compare_packages, options.masks)
    for path in filter(None, (*sheets, *{job.sheet for job in jobs})):
        check_sheet(path)
    several = len(jobs) > 1 or options.photos[0].is_dir()
    if several and jobs:
        _check_is_folder(options.output, into_folder=options.into_folder)
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
    elif options.into_folder:
        make_folders([options.output])
    for target in targets:
        if target.path in (options.report, options.masks):
            check_file(target.path)
        else:
            (check_place if target.path in copies else check_output)(target.path, overwrite=True)


def _check_is_folder(output: Path, *, into_folder: bool) -> None:
    """Raise PhotoError if the output of several photos is a file, or a new folder named like a photo."""
    looks_like_photo = not into_folder and output.suffix.lower() in SUPPORTED_SUFFIXES
    if not output.is_dir() and (output.exists() or looks_like_photo):
        raise PhotoError(
            f"several photos go into a folder, and {one_line(output)} is the name of a file: name a folder"
        )


def check_sheet(path: Path) -> None:
    """Raise PhotoError if a path is not the name of a sheet."""
    if path.suffix.lower() != ".png":
        raise PhotoError(f"the sheet {one_line(path)} must be a PNG: end its name in .png")


def check_file(path: Path) -> None:
    """Raise PhotoError if no file can be written to a path."""
    if path.is_dir() or not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise PhotoError(f"{one_line(path)} cannot be written: name a file in a folder that exists")


def _sources(jobs: list[Job], options: argparse.Namespace, wanted: RunOptions) -> list[Source]:
    sources = [Source(path) for path in [job.photo for job in jobs] or options.photos]
    others = (
        (options.config, "the config file"),
        (wanted.detector, "the detector"),
        (wanted.recogniser, "the recogniser"),
        (read_rules(wanted.resolved.settings.face).person, "the photo of person=…"),
        (wanted.photo_network, "the photo network"),
    )
    sources += [Source(path, what) for path, what in others if path]
    for package in (wanted.package, wanted.photo_network):
        if package and Path(package).is_dir():
            sources += [Source(path, "the package's file") for path in Path(package).iterdir()]
    return sources


def _targets(jobs: list[Job], options: argparse.Namespace) -> list[Target]:
    kept = options.resume
    targets = []
    for job in jobs:
        of = f" of {one_line(job.name)}" if len(jobs) > 1 else ""
        targets.append(Target(job.output, f"the output{of}", own=job.photo, kept=kept))
        if job.copy and not is_photo_itself(job.copy, job.photo):
            targets.append(Target(job.copy, f"the copy{of}", own=job.photo, kept=kept))
        if job.sheet:
            targets.append(Target(job.sheet, f"the sheet{of}", kept=kept))
    of_the_run = (
        (options.masks, "the sheet of --masks", kept),
        (options.report, "the report", kept),
        (options.list_faces, "the sheet of --list-faces", False),
        (options.compare_presets, "the sheet of --compare-presets", False),
        (options.compare_packages, "the sheet of --compare-packages", False),
    )
    return targets + [Target(path, what, kept=keep) for path, what, keep in of_the_run if path]
