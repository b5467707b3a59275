"""How near restored faces are to the truth: every degradation, preset, number of passes and measure.

Photos without a truth are measured by `bench/quality/photos.py`.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from base import command_line
from base.errors import SettingsError
from bench.options import add_output, add_portraits, name_list, positive
from bench.quality import photos as quality_photos
from bench.quality import training_range
from bench.quality.claims import Measured
from bench.quality.passes import methods_by_passes, restored
from bench.quality.photos import PhotosSettings
from bench.quality.report import CONTROLLED, quality_report
from bench.report import Report, measured
from bench.sheet import check_folder, write_sheet
from engines.package import open_package
from portraits.aligned import open_restorer
from portraits.damage import Portrait
from portraits.degradations import NAMES, TEXTURE, Degradation, degrade, named
from portraits.likeness import Ground, ground, measure, psnr
from portraits.reading import load_portraits, pictures_in
from runtime.commands.overwriting import Source, Target, check_targets
from runtime.faces.regions import region_weights
from runtime.finish.compose import compose, face_noise
from runtime.network.schedule import kappa
from runtime.result import RestoreResult

CONTROLLED_EVERY = 4
"""Outside the rows of TEXTURE all methods but `classic`, of many passes, see one portrait in so many."""
SHEET = "mixed-medium"
"""The degradation whose faces are shown, where it is measured."""

Found = dict[str, dict[str, list[dict[str, float]]]]
"""By degradation, method and measure name, a list over portraits."""
Faces = dict[str, Portrait]
"""By method, `input` and `truth` among them."""


@dataclass(frozen=True)
class QualitySettings:
    """What is restored."""

    portraits: Path
    """Folder of square portraits, aligned with the published template."""
    package: Path | None = None
    first: int = 0
    """Portraits before this one, in the order of their names, are left out: those that training saw."""
    limit: int | None = None
    """Portraits at most."""
    categories: tuple[str, ...] = NAMES
    """Degradations, by name."""
    sheet: Path | None = None
    """A PNG of the faces to look at."""


def steps(settings: QualitySettings) -> int:
    """Return how often `measure` ticks. Raises PhotoError and SettingsError."""
    portraits = pictures_in(settings.portraits)[settings.first :][: settings.limit]
    return len(portraits) * (1 + len(named(settings.categories)))


def run(settings: QualitySettings, tick: Callable[[], None]) -> Report:
    """Degrade portraits, restore them with every preset and number of passes, measure, and judge the claims.

    Each portrait is a photo of S×S pixels that goes the product's whole way, from regions to paste.
    Raises PhotoError when there are no portraits, SettingsError, PackageError and BackendError.
    """
    degradations = named(settings.categories)
    check_folder(settings.sheet)
    package = open_package(settings.package)
    by_passes = methods_by_passes(package.manifest)
    more = tuple(dict.fromkeys((*by_passes.values(), *CONTROLLED)))
    size = package.manifest.size
    truths = load_portraits(settings.portraits, first=settings.first, limit=settings.limit, size=size)
    where = ground(size)
    best = [measure(truth, truth, where) for truth in truths]
    first: Found = defaultdict(lambda: defaultdict(list))
    controlled: Found = defaultdict(lambda: defaultdict(list))
    blends: Found = defaultdict(lambda: defaultdict(list))
    shown = _shown(settings, degradations)
    rows: list[Faces] = []
    with open_restorer(package) as restorer:
        model = training_range.measure(package.manifest, restorer.backend, truths, tick)
        for degradation in degradations:
            name = degradation.name
            for i, truth in enumerate(truths):
                photo = degrade(truth, degradation, settings.first + i)
                every = name in TEXTURE or name == shown or i % CONTROLLED_EVERY == 0
                methods = ("classic", *more) if every else ("classic",)
                results = {method: restored(restorer, photo, method) for method in methods}
                faces: Faces = {"input": photo}
                faces |= {method: np.asarray(result.photo, np.uint8) for method, result in results.items()}
                values = {method: measure(face, truth, where) for method, face in faces.items()}
                values["truth"] = best[i]
                for method in ("input", "classic"):
                    first[name][method].append(values[method])
                if every:
                    for method in values:
                        controlled[name][method].append(values[method])
                    for method in CONTROLLED:
                        if pair := _blends(photo, results[method], truth, where):
                            blends[name][method].append(pair)
                if name == shown:
                    rows.append(faces | {"truth": truth})
                tick()
    if settings.sheet:
        write_sheet(settings.sheet, rows)
    return quality_report(
        package.manifest,
        Measured(_means(first), _means(controlled), _means(blends), model),
        by_passes,
        {
            "portraits": len(truths),
            "first": settings.first,
            "degradations": degradations,
            "controlled_every": CONTROLLED_EVERY,
        },
    )


def _blends(
    photo: Portrait, result: RestoreResult, truth: Portrait, where: Ground
) -> dict[str, float] | None:
    """Return the PSNR of what the network made, cored and as a plain blend; None where grain is kept."""
    settings, (face,) = result.settings, result.faces
    if settings.grain or face.aligned is None or face.loop is None:
        return None
    rho = region_weights(face.aligned, settings.face_mask_weights)
    left = kappa(settings.latent_step_decay, rho, face.loop.steps)
    own = photo.astype(np.float32) / np.float32(255)
    found = {}
    for name, sigma in (("cored", face_noise(photo, face.aligned)), ("plain", 0.0)):
        blend = np.clip(compose(own, face.loop.restored, left, sigma), 0, 1)
        pixels = np.asarray(np.rint(255 * blend), np.uint8)
        found[name] = psnr(pixels[where.inside], truth[where.inside])
    return found


def _shown(settings: QualitySettings, degradations: Sequence[Degradation]) -> str | None:
    """Return the degradation that the sheet shows; None where no sheet is asked for."""
    if not settings.sheet:
        return None
    names = [degradation.name for degradation in degradations]
    return SHEET if SHEET in names else names[0]


def _means(found: Found) -> dict[str, dict[str, dict[str, float]]]:
    return {
        name: {
            method: {key: float(np.mean([value[key] for value in values])) for key in values[0]}
            for method, values in methods.items()
        }
        for name, methods in found.items()
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench quality`."""
    add_portraits(parser, optional=True)
    parser.add_argument(
        "--photos", type=Path, metavar="FOLDER", help="measure real photos, which have no truth, instead"
    )
    parser.add_argument(
        "--limit", type=positive, help="measure this many portraits or photos at most, for a quick look"
    )
    parser.add_argument("--categories", type=name_list, help="these degradations only: NAME[,NAME]")
    parser.add_argument("--sheet", type=Path, help="write a PNG of the restored faces, to look at")
    parser.add_argument("--overwrite", action="store_true", help="replace a sheet that exists")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if (options.portraits is None) == (options.photos is None):
        raise SettingsError("give a folder of aligned portraits, or photos without a truth: --photos FOLDER")
    if options.photos and (options.first or options.categories):
        raise SettingsError("--first and --categories are for portraits: leave them out with --photos")
    if options.sheet:
        paths = pictures_in(options.photos, "photos") if options.photos else pictures_in(options.portraits)
        sources = [Source(path, "the photo" if options.photos else "the portrait") for path in paths]
        check_targets(sources, [Target(options.sheet, "the sheet")], overwrite=options.overwrite)
    if options.photos:
        photos = PhotosSettings(options.photos, options.package, options.sheet, options.limit)
        measured("photos", quality_photos.steps(photos), partial(quality_photos.run, photos), options.output)
        return command_line.DONE
    settings = QualitySettings(
        portraits=options.portraits,
        package=options.package,
        first=options.first,
        limit=options.limit,
        categories=options.categories or NAMES,
        sheet=options.sheet,
    )
    measured("quality", steps(settings), partial(run, settings), options.output)
    return command_line.DONE
