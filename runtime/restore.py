"""`python -m runtime.restore PHOTO... -o OUT`: restore the faces of photos."""

import argparse
import sys
from dataclasses import replace

from base.command_line import DONE, SOME_FAILED, print_lines, run
from base.files import sweep
from base.text import one_line
from runtime.commands.batch import run_jobs, show, with_progress
from runtime.commands.jobs import Job, plan, remaining
from runtime.commands.options import RunOptions, checked_run_options, open_restorer, parser, provenance_of
from runtime.commands.paths import check_paths
from runtime.commands.report import Header, describe_backend, describe_run
from runtime.commands.report_journal import Earlier, read_earlier
from runtime.commands.restoring import Steps, read
from runtime.commands.run_record import RunRecord
from runtime.restorer import Restorer
from runtime.settings.config_file import Config
from runtime.settings.resolved import as_json
from runtime.sheets.numbered_faces import face_table, write_face_sheet
from runtime.sheets.presets import (
    candidates,
    faces_to_show,
    for_comparison,
    write_packages_sheet,
    write_presets_sheet,
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return run(lambda: _restore(parser().parse_args(arguments)))


def _restore(options: argparse.Namespace) -> int:
    wanted = checked_run_options(options)
    earlier = read_earlier(options.report) if options.resume and options.report else Earlier()
    jobs = _planned(options, earlier)
    check_paths(jobs, options, wanted)
    provenance = provenance_of(options, wanted.package)
    left = _left(jobs, options)
    with open_restorer(wanted) as restorer:
        if options.list_faces or options.compare_presets or options.compare_packages:
            _show_choices(options, wanted, restorer)
        if not jobs:
            return DONE
        waiting = set(left)
        done = [job for job in jobs if job not in waiting]
        header = _header(options, wanted, restorer)
        with RunRecord(jobs, done, options.report, header, earlier) as record:
            begun_on = describe_backend(restorer)
            steps = Steps(options, wanted.resolved, restorer, record, provenance, len(jobs) > 1, begun_on)
            run_jobs(left, steps)
    return SOME_FAILED if record.some_failed else DONE


def _planned(options: argparse.Namespace, earlier: Earlier) -> list[Job]:
    """Return all photos of the run; none if only the choices are to be shown."""
    if options.output is None:
        return []
    return plan(
        options.photos,
        options.output,
        options.compare,
        into_folder=options.into_folder,
        recursive=options.recursive,
        earlier=earlier.outputs,
        resume=options.resume,
        show=show,
    )


def _left(jobs: list[Job], options: argparse.Namespace) -> list[Job]:
    """Return the photos that are still to be restored; a resumed run first removes stale temporary files."""
    if not options.resume:
        return jobs
    outputs = [options.report, options.masks, *(path for job in jobs for path in (job.output, job.sheet))]
    if stale := sweep({path.parent for path in outputs if path}):
        show(f"{stale} temporary files of an earlier run were removed")
    left = remaining(jobs)
    if len(left) < len(jobs):
        unknown = "" if options.report else " (their settings are known only with --report)"
        show(f"{len(jobs) - len(left)} of {len(jobs)} photos are already restored{unknown}")
    return left


def _header(options: argparse.Namespace, wanted: RunOptions, restorer: Restorer) -> Header:
    return describe_run(
        restorer,
        as_json(wanted.resolved),
        detector=wanted.detector.name if wanted.detector else None,
        recogniser=wanted.recogniser.name if wanted.recogniser else None,
        strip_metadata=options.strip_metadata,
        provenance=options.provenance or bool(options.sign),
        accept_damaged=options.accept_damaged,
    )


def _show_choices(options: argparse.Namespace, wanted: RunOptions, restorer: Restorer) -> None:
    """Show what a user chooses from: the faces of the photo, and the photo with each preset."""
    (path,) = options.photos
    photo = read(path, options).pixels
    found = restorer.detect(photo)
    resolved = wanted.resolved
    chosen = restorer.choose(photo, resolved.settings, resolved.by_face, found=found)
    shown = faces_to_show(chosen.settings)
    if not shown:
        show(f"{one_line(path.name)}: no face found that would be restored")
    if options.list_faces:
        print_lines(*face_table(found, wanted.resolved.settings))
        write_face_sheet(options.list_faces, photo, found)
    if options.compare_presets and shown:
        compared = candidates(wanted.config, wanted.resolved, shown)
        steps = with_progress(compared.items(), "comparing", len(compared))
        write_presets_sheet(options.compare_presets, restorer, photo, found, steps)
    if options.compare_packages and shown:
        resolved = for_comparison(wanted.resolved, shown)
        packages = with_progress(options.packages, "comparing", len(options.packages))

        def opened(package: str) -> Restorer:
            return open_restorer(replace(wanted, config=Config(), package=package))

        write_packages_sheet(options.compare_packages, opened, photo, found, resolved, packages)


if __name__ == "__main__":
    sys.exit(main())
