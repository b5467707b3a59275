"""Restore the photos of a run, one or many, and show progress on standard error."""

import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from typing import TypeVar

from base.command_line import progress_bar
from base.errors import DeviceLostError, PhotoError
from base.text import cause_of, one_line
from runtime.commands.failure_cause import cause_behind, lost_device
from runtime.commands.jobs import Job
from runtime.commands.pipeline import pipelined
from runtime.commands.restoring import Steps, backend_line
from runtime.settings.resolved import lines

Item = TypeVar("Item")


def run_jobs(jobs: list[Job], steps: Steps) -> None:
    """Restore photos.

    The error of a run's only photo is raised; if one of several photos fails, that is shown and recorded, and
    the others go on, unless the disk is full or the GPU was lost.
    """
    beginning = (*lines(steps.settings), backend_line(steps.restorer))
    if not steps.several:
        for job in jobs:
            remarks = steps.write(job, steps.restore(job, steps.read(job)))
            show(*beginning, *remarks)
        return
    if jobs:
        show(*beginning)
    if sentence := steps.record.other_settings():
        show(sentence)
    try:
        _run_several(jobs, steps)
    except KeyboardInterrupt:
        show(*steps.record.summary(), f"the photos restored so far are complete; {_next_step(steps)}")
        raise
    except PhotoError:
        show(*steps.record.summary())
        raise
    except DeviceLostError:
        show(*steps.record.summary(), f"no photo was lost; {_next_step(steps)}")
        raise
    show(*steps.record.summary())


def _next_step(steps: Steps) -> str:
    if steps.options.overwrite:
        return "the others are unchanged"
    return "run the same command with --resume to continue"


def _run_several(jobs: list[Job], steps: Steps) -> None:
    with closing(pipelined(jobs, steps.read, steps.restore, steps.write)) as outcomes:
        for job, outcome in with_progress(outcomes, "restoring", len(jobs)):
            if isinstance(outcome, Exception):
                failure = _failure(job, outcome)
                steps.record.failed(job, failure)
                show(f"failed: {failure}")
            else:
                show(*outcome)


def _failure(job: Job, error: Exception) -> str:
    """Return the reason why a photo failed. Raises PhotoError or DeviceLostError if all further photos would
    fail for the same reason."""
    if lost := lost_device(error):
        raise lost
    if cause_behind(error, "write") == "disk-full":
        raise PhotoError(f"{error}: free some space, then continue with --resume") from error
    is_named = isinstance(error, PhotoError) and one_line(job.photo) in str(error)
    return str(error) if is_named else f"{one_line(job.name)}: {cause_of(error)}"


def with_progress(items: Iterable[Item], what: str, total: int) -> Iterable[Item]:
    """Yield items, with a progress bar on standard error."""
    with progress_bar(what, total) as tick:
        for item in items:
            yield item
            tick()


def show(*lines: str) -> None:
    """Print lines on standard error. Photos are restored even where nobody can read them."""
    for line in lines:
        with suppress(OSError):
            print(line, file=sys.stderr)  # noqa: T201
