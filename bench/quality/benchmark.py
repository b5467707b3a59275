"""How close restored faces are to the truth, for every degradation, preset, number of passes and measure.

Photos without a truth are measured by `bench/quality/photos.py`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.errors import SettingsError
from base.setting import Range, option
from bench.benchmark import Benchmark, Tick, model
from bench.quality import photos, training_range
from bench.quality.claims import Measured
from bench.quality.passes import methods_by_passes, restored
from bench.quality.report import CONTROLLED, quality_report
from bench.report import Report
from bench.sheet import check_folder, write_sheet
from engines.package import open_package
from portraits.aligned import open_restorer
from portraits.damage import Portrait
from portraits.degradations import NAMES, TEXTURE, Degradation, degrade, named
from portraits.likeness import ground, measure
from portraits.reading import load_portraits, pictures_in
from runtime.commands.overwriting import Source, Target, check_targets

CONTROLLED_EVERY = 4
"""Outside the rows of TEXTURE, methods other than `classic` are measured on one portrait in this many."""
SHEET = "mixed-medium"
"""The degradation whose faces are shown on the sheet, if it is measured."""

Found = dict[str, dict[str, list[dict[str, float]]]]
"""By degradation, method and measure name, a list over portraits."""
Faces = dict[str, Portrait]
"""By method, `input` and `truth` among them."""


@dataclass(frozen=True)
class QualitySettings:
    """What is restored and measured."""

    portraits: Path | None = option(None, "Folder of square, aligned portraits.", "PORTRAITS")
    package: str | None = model()
    first: int = option(
        0,
        "Number of the first portrait by name, to leave out those of the training.",
        range=Range(0),
    )
    photos: Path | None = option(
        None, "Measure the photos in this folder instead, which have no truth.", metavar="FOLDER"
    )
    limit: int | None = option(
        None, "Largest number of portraits or photos, for a quick look.", range=Range(1)
    )
    categories: tuple[str, ...] = option((), "Measure these degradations only: NAME[,NAME].")
    sheet: Path | None = option(None, "Write a PNG of the restored faces, to look at.")
    overwrite: bool = option(False, "Replace a sheet that exists.")


def steps(settings: QualitySettings) -> int:
    """Return how many steps `measure` reports. Raises PhotoError and SettingsError."""
    if (settings.portraits is None) == (settings.photos is None):
        raise SettingsError("give a folder of aligned portraits, or photos without a truth: --photos FOLDER")
    if settings.photos and (settings.first or settings.categories):
        raise SettingsError("--first and --categories are for portraits: leave them out with --photos")
    what = "photo" if settings.photos else "portrait"
    if settings.sheet:
        sources = [Source(path, f"the {what}") for path in _pictures(settings)]
        check_targets(sources, [Target(settings.sheet, "the sheet")], overwrite=settings.overwrite)
        check_folder(settings.sheet)
    if settings.photos:
        return len(_taken(settings))
    return len(_taken(settings)) * (1 + len(_degradations(settings)))


def _pictures(settings: QualitySettings) -> list[Path]:
    if settings.photos:
        return pictures_in(settings.photos, "photos")
    assert settings.portraits
    return pictures_in(settings.portraits)


def _taken(settings: QualitySettings) -> list[Path]:
    return _pictures(settings)[settings.first :][: settings.limit]


def _degradations(settings: QualitySettings) -> tuple[Degradation, ...]:
    return named(settings.categories or NAMES)


def run(settings: QualitySettings, tick: Tick) -> Report:
    """Measure portraits against the truth, or photos without one."""
    if settings.photos:
        return photos.run(_taken(settings), settings.package, settings.sheet, tick)
    return measure_portraits(settings, tick)


def measure_portraits(settings: QualitySettings, tick: Tick) -> Report:
    """Degrade portraits, restore them with every preset and number of passes, measure, and judge the claims.

    Each portrait is a photo of S×S pixels that passes through the whole product, from regions to pasting.
    Raises PhotoError if there are no portraits, SettingsError, PackageError and BackendError.
    """
    degradations = _degradations(settings)
    assert settings.portraits
    package = open_package(settings.package, kind="face")
    by_passes = methods_by_passes(package.manifest)
    more = tuple(dict.fromkeys((*by_passes.values(), *CONTROLLED)))
    size = package.manifest.size
    truths = load_portraits(settings.portraits, first=settings.first, limit=settings.limit, size=size)
    where = ground(size)
    best = [measure(truth, truth, where) for truth in truths]
    first: Found = defaultdict(lambda: defaultdict(list))
    controlled: Found = defaultdict(lambda: defaultdict(list))
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
                faces: Faces = {"input": photo}
                for method in methods:
                    faces[method] = np.asarray(restored(restorer, photo, method).photo, np.uint8)
                values = {method: measure(face, truth, where) for method, face in faces.items()}
                values["truth"] = best[i]
                for method in ("input", "classic"):
                    first[name][method].append(values[method])
                if every:
                    for method in values:
                        controlled[name][method].append(values[method])
                if name == shown:
                    rows.append(faces | {"truth": truth})
                tick()
    if settings.sheet:
        write_sheet(settings.sheet, rows)
    return quality_report(
        package.manifest,
        Measured(_means(first), _means(controlled), model),
        by_passes,
        {
            "portraits": len(truths),
            "first": settings.first,
            "degradations": degradations,
            "controlled_every": CONTROLLED_EVERY,
        },
    )


def _shown(settings: QualitySettings, degradations: Sequence[Degradation]) -> str | None:
    """Return the degradation that the sheet shows; None if no sheet is requested."""
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


BENCHMARK = Benchmark(QualitySettings, steps, run)
