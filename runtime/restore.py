"""`python -m runtime.restore PHOTO... -o OUT`: restore the faces of photos."""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import cv2

from engines.command_line import DONE, SOME_FAILED, run
from engines.errors import GpenEdgeError, PhotoError, SettingsError
from runtime.align import TEMPLATES
from runtime.backends import BackendName
from runtime.compare import write_sheet
from runtime.masks_sheet import write_masks_sheet
from runtime.one_line import one_line
from runtime.photo.reader import SUPPORTED_SUFFIXES, Photo, read_photo
from runtime.photo.writer import OUTPUT_SUFFIXES, check_output, write_photo
from runtime.presets import PRESETS, preset
from runtime.regions import parse_weights
from runtime.report import describe_photo, write_report
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings import RestoreSettings, Upscale, parse_faces
from runtime.timing import timed

REPAIRS = ("soften_scratches", "desaturate_fringes", "clamp_ringing", "multiscale_blend")
"""Switches of RestoreSettings that mend a photo's faults."""


@dataclass(frozen=True)
class Job:
    """One photo and where its results go."""

    photo: Path
    output: Path
    sheet: Path | None
    """Where the before/after sheet goes, if one is wanted."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    options = _parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which is dropped
    return run(lambda: _restore(options))


def _parser() -> argparse.ArgumentParser:
    about = "Restore the faces of photos."
    parser = argparse.ArgumentParser(prog="python -m runtime.restore", description=about)
    add = parser.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="photos, or folders of photos")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="a file for one photo, else a folder")
    add("--overwrite", action="store_true", help="replace outputs that exist, even the photo itself")
    add("--max-megapixels", type=float, default=100, metavar="N", help="refuse larger photos and results")

    add = parser.add_argument_group("how much is restored").add_argument
    add("--preset", choices=PRESETS, default="standard", help="settings that go well together")
    add("--degradation-scale", type=float, metavar="S", help="0.3 to 1.2, or 0; more lets the prior do more")
    add("--latent-step-decay", type=float, metavar="ETA", help="0.02 to 0.1; or 1 for one full-strength pass")
    add("--iterations", type=int, metavar="N", help="steps; more go further from the photo to the prior")
    add(
        "--face-mask-weights", metavar="REGION=W,…", help="0 to 2, such as eye=1.3,lip=1.3; 0 keeps the photo"
    )
    switch = argparse.BooleanOptionalAction
    add("--grain", action=switch, help="keep the photo's grain")
    add("--soften-scratches", action=switch, help="fill thin long scratches across faces softly")
    add("--desaturate-fringes", action=switch, help="take the colour out of purple fringes at strong edges")
    add("--clamp-ringing", action=switch, help="keep faces within the photo's range of brightness nearby")
    add("--multiscale-blend", action=switch, help="blend a face's border at several scales")
    add("--budget", type=float, metavar="SECONDS", help="that a face may take")

    add = parser.add_argument_group("which faces, how large").add_argument
    add("--face", default="all", metavar="WHICH", help="all, largest, or indices from 0, the largest: 0,2")
    add("--upscale", type=int, choices=get_args(Upscale), default=1, help="enlarge the photo")
    add("--template", choices=TEMPLATES, default="published", help="how faces lie in the network's crops")
    add("--detector", type=Path, metavar="YUNET.onnx", help="a YuNet face detector in place of CenterFace")

    add = parser.add_argument_group("what is shown").add_argument
    add("--compare", type=Path, metavar="SHEET.png", help="before/after sheet; for many photos a folder")
    add("--masks", type=Path, metavar="SHEET.png", help="sheet of the face regions of one photo")
    add("--report", type=Path, metavar="FILE.json", help="what was found and done")

    add = parser.add_argument_group("what runs it").add_argument
    add("--model", metavar="PACKAGE", help="folder of a model package, in place of the bundled default")
    add("--backend", choices=get_args(BackendName), default="auto", help="what runs the networks")
    add("--threads", type=int, metavar="N", help="CPU threads for the networks, in place of one per core")
    return parser


def _restore(options: argparse.Namespace) -> int:
    settings = _settings(options)
    if options.threads is not None and options.threads < 1:
        raise SettingsError(f"--threads {options.threads}: give 1 or more")
    if options.masks and (len(options.photos) > 1 or options.photos[0].is_dir()):
        raise SettingsError("--masks draws the faces of one photo: name one photo")
    jobs = plan(options.photos, options.output, options.compare)
    _check_outputs(jobs, options)
    with Restorer.open(
        options.model, options.backend, detector=options.detector, threads=options.threads
    ) as restorer:
        entries, failed = _run_jobs(jobs, options, settings, restorer)
        if options.report:
            write_report(options.report, restorer, asdict(settings), entries)
    return SOME_FAILED if failed else DONE


def _settings(options: argparse.Namespace) -> RestoreSettings:
    """Return the preset's settings with what the command line says on top."""
    names = ("degradation_scale", "latent_step_decay", "iterations", "budget", "grain", *REPAIRS)
    said = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.face_mask_weights is not None:
        said["face_mask_weights"] = parse_weights(options.face_mask_weights)
    said |= {
        "faces": parse_faces(options.face),
        "upscale": options.upscale,
        "template": options.template,
    }
    return preset(options.preset, **said)


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
    for path in filter(None, (options.report, options.masks)):
        if path.is_dir() or not path.parent.is_dir():
            raise PhotoError(f"{one_line(path)} cannot be written: name a file in a folder that exists")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoError(f"cannot make the folder {one_line(folder)}: {error.strerror}") from error


def _run_jobs(
    jobs: list[Job], options: argparse.Namespace, settings: RestoreSettings, restorer: Restorer
) -> tuple[list[dict[str, Any]], bool]:
    """Restore photo after photo; return the report's entries and whether one failed.

    A single photo's error goes up; of several, each is named and the others go on.
    """

    def restore(job: Job) -> dict[str, Any]:
        return _restore_one(job, options, settings, restorer)

    if len(jobs) == 1:
        return [restore(jobs[0])], False
    entries, failed = [], False
    for job in _with_progress(jobs):
        try:
            entries.append(restore(job))
        except GpenEdgeError as error:
            _say(f"failed: {error}")
            entries.append({"photo": str(job.photo), "error": str(error)})
            failed = True
    return entries, failed


def _restore_one(
    job: Job, options: argparse.Namespace, settings: RestoreSettings, restorer: Restorer
) -> dict[str, Any]:
    timings: dict[str, float] = {}
    with timed(timings, "read"):
        photo = read_photo(job.photo, max_megapixels=options.max_megapixels)
    _check_size(photo, settings.upscale, options.max_megapixels)
    result = restorer.restore(photo.pixels, settings)
    timings |= result.timings
    with timed(timings, "write"):
        write_photo(job.output, _restored(photo, result), overwrite=options.overwrite)
    if job.sheet:
        write_sheet(job.sheet, photo.pixels, result)
    if options.masks:
        write_masks_sheet(options.masks, [face.aligned for face in result.faces if face.aligned])
    _say_what_matters(job, result)
    return describe_photo(job.photo, job.output, result.faces, timings)


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


def _say_what_matters(job: Job, result: RestoreResult) -> None:
    name = one_line(job.photo.name)
    if not result.faces:
        _say(f"{name}: no face found; the photo was written without a change to its faces")
    for i, face in enumerate(result.faces):
        for warning in face.warnings:
            _say(f"{name}: face {i}: {warning.code}: {warning.sentence}")


def _with_progress(jobs: list[Job]) -> Iterable[Job]:
    from rich.console import Console  # here, as a single photo does not need it
    from rich.progress import track

    return track(jobs, "restoring", console=Console(stderr=True))


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
