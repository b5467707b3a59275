"""Restore an archive, or estimate how long that takes."""

import argparse
import math
import time
from collections.abc import Sequence

import matplotlib  # noqa: F401  the summary page needs it, at the end of a run

from base.command_line import DONE, SOME_FAILED, print_lines
from base.files import sweep
from base.parallel import cores
from engines.package import Package, open_package
from runtime.archive.cluster import (
    SPARE,
    Actors,
    OpenWorker,
    cluster_cpus,
    count_rows,
    restore_all,
    restore_sample,
    started,
)
from runtime.archive.estimate import Estimate, estimate
from runtime.archive.listing import OWN, Listed, check_names, list_photos, sample_of
from runtime.archive.place import place_of
from runtime.archive.progress import progress
from runtime.archive.record import alone_in, check_record, record_of, write_record
from runtime.archive.summary import PAGE, write_summary
from runtime.archive.worker import Work, Worker
from runtime.commands.batch import show
from runtime.commands.options import RunOptions, check_licence, check_package, run_options
from runtime.settings.resolved import lines


def archive(options: argparse.Namespace, open_worker: OpenWorker = Worker) -> int:
    """Run the command; return its exit status.

    open_worker  opens what an actor works with, in the actor

    Raises GpenEdgeError.
    """
    wanted = run_options(options)
    package = _package(wanted)
    work = Work(
        place_of(options.source),
        place_of(options.output),
        wanted,
        options.max_megapixels,
        options.accept_damaged,
        options.strip_metadata,
    )
    record = record_of(work, package)
    if not options.dry_run:
        check_record(work, record)  # before the first file in a folder that holds something else
    photos = list_photos(work.source, work.sink)[: options.limit]
    if not options.dry_run:
        check_names(photos, work.sink)
    begin = time.perf_counter()
    most = options.actors[1] if options.actors else max(1, math.floor(cores() / options.cpus))
    with started(options.address, most * options.cpus):
        if options.address and not options.actors:
            most = max(1, math.floor((cluster_cpus() - SPARE) / options.cpus))
        least = options.actors[0] if options.actors else most
        actors = Actors(min(least, len(photos)), min(most, len(photos)), options.cpus, options.gpus)
        if options.dry_run:
            sample = sample_of(photos, options.sample)
            print_lines(*measured(photos, sample, work, actors, begin, open_worker).lines(least, most))
            return DONE
        with alone_in(work.sink):
            continues = check_record(work, record)  # again, since another run may have begun in the meantime
            left = len(photos) - (count_rows(work.sink) if continues else 0)
            doing = f"{left} are left in" if continues else "results go to"
            show(f"{len(photos)} photos; {doing} {work.sink.shown}", *lines(wanted.resolved))
            write_record(work, record)
            return _restore(photos, max(0, left), work, actors, open_worker)


def measured(
    photos: Sequence[Listed],
    sample: Sequence[Listed],
    work: Work,
    actors: Actors,
    begin: float,
    open_worker: OpenWorker = Worker,
) -> Estimate:
    """Restore a sample of photos and return the estimate for all. Raises GpenEdgeError.

    begin  when Ray was started, by `time.perf_counter`
    """
    all_at_once = Actors(actors.most, actors.most, actors.cpus, actors.gpus)
    with progress("sample", len(sample)) as report:
        rows = restore_sample(sample, work, all_at_once, report, open_worker)
    return estimate(photos, rows, time.perf_counter() - begin, actors.most)


def _restore(photos: Sequence[Listed], left: int, work: Work, actors: Actors, open_worker: OpenWorker) -> int:
    try:
        with progress("restoring", left) as report:
            restore_all(photos, work, actors, report, open_worker)
    except KeyboardInterrupt:
        show("the photos restored so far are complete; run the same command again to continue")
        raise
    if work.sink.local is not None:  # killed actors may have left temporary files
        sweep({(work.sink.local / photo.output).parent for photo in photos})
    counts = write_summary(work.source, work.sink)
    total = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    show(f"{sum(counts.values())} photos: {total}", f"rows: {OWN}/status, summary: {PAGE}")
    return SOME_FAILED if counts.get("failed") else DONE


def _package(wanted: RunOptions) -> Package:
    """Return the package, after the checks that need no networks. Raises GpenEdgeError."""
    package = open_package(wanted.package)
    check_package(wanted.config, package.manifest)
    if wanted.commercial:
        check_licence(package)
    return package
