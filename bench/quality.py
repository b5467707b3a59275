"""How near restored faces are to the truth: every degradation, every preset, every measure."""

import argparse
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from bench import claims, training_range
from bench.degradations import NAMES, TEXTURE, Degradation, degrade, named
from bench.measure import Measure
from bench.measures import TITLES, Ground, ground, measure, psnr
from bench.options import add_output, add_portraits, name_list, positive
from bench.portraits import load_truths, open_restorer
from bench.quality_sheet import write_sheet
from bench.report import Report, Row, Table, measured
from engines import command_line
from engines.errors import PhotoError
from engines.package import open_package
from runtime.compose import compose, face_noise
from runtime.overwriting import Source, Target, check_targets
from runtime.presets import PRESETS, preset
from runtime.regions import region_weights
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.schedule import kappa
from training.degradation import Crop
from training.portraits import portrait_paths

CONTROLLED_EVERY = 4
"""Outside the rows of TEXTURE the controlled presets, of many passes, see one portrait in so many."""
SHEET = "mixed-medium"
"""The degradation whose faces are shown, where it is measured."""
CONTROLLED = tuple(name for name in PRESETS if name != "classic")

Found = dict[str, dict[str, list[dict[str, float]]]]
"""By degradation, method and measure name, a list over portraits."""
Faces = dict[str, Crop]
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
    portraits = portrait_paths(settings.portraits)[settings.first :][: settings.limit]
    return len(portraits) * (1 + len(named(settings.categories)))


def run(settings: QualitySettings, tick: Callable[[], None]) -> Report:
    """Degrade portraits, restore them with every preset, measure, and judge the claims.

    Each portrait is a photo of S×S pixels that goes the product's whole way, from regions to paste.
    Raises PhotoError when there are no portraits, SettingsError, PackageError and BackendError.
    """
    degradations = named(settings.categories)
    if settings.sheet and not settings.sheet.parent.is_dir():  # told now, not when all is measured
        raise PhotoError(f"no folder for the sheet {settings.sheet}: make {settings.sheet.parent} first")
    package = open_package(settings.package)
    size = package.manifest.size
    truths = load_truths(settings.portraits, size, settings.first, settings.limit)
    where = ground(size)
    first: Found = defaultdict(lambda: defaultdict(list))
    controlled: Found = defaultdict(lambda: defaultdict(list))
    blends: Found = defaultdict(lambda: defaultdict(list))
    shown = _shown(settings, degradations)
    rows: list[Faces] = []
    with open_restorer(package) as restorer:
        model = training_range.measure(restorer.backend, truths, tick)
        for degradation in degradations:
            name = degradation.name
            for i, truth in enumerate(truths):
                photo = degrade(truth, degradation, settings.first + i)
                every = name in TEXTURE or name == shown or i % CONTROLLED_EVERY == 0
                results = _restored(restorer, photo, ("classic", *CONTROLLED) if every else ("classic",))
                faces: Faces = {"input": photo}
                faces |= {method: np.asarray(result.photo, np.uint8) for method, result in results.items()}
                values = {method: measure(face, truth, where) for method, face in faces.items()}
                for method in ("input", "classic"):
                    first[name][method].append(values[method])
                if every:
                    for method in faces:
                        controlled[name][method].append(values[method])
                    for method in CONTROLLED:
                        if pair := _blends(photo, results[method], truth, where):
                            blends[name][method].append(pair)
                if name == shown:
                    rows.append(faces | {"truth": truth})
                tick()
    if settings.sheet:
        write_sheet(settings.sheet, rows)
    measured = claims.Measured(_means(first), _means(controlled), _means(blends), model)
    return _report(settings, package.manifest.name, measured, _truth(truths, where))


def _restored(restorer: Restorer, photo: Crop, presets: Iterable[str]) -> dict[str, RestoreResult]:
    """Restore a photo with presets, however long each takes."""
    return {name: restorer.restore(photo, replace(preset(name), budget=math.inf)) for name in presets}


def _blends(photo: Crop, result: RestoreResult, truth: Crop, where: Ground) -> dict[str, float] | None:
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


def _truth(truths: Sequence[Crop], where: Ground) -> dict[str, float]:
    values = [measure(truth, truth, where) for truth in truths]
    return {key: float(np.mean([value[key] for value in values])) for key in TITLES}


def _report(
    settings: QualitySettings, package: str, measured: claims.Measured, truth: dict[str, float]
) -> Report:
    judged = claims.claims(measured)
    held = [claim.holds for claim in judged if claim.holds is not None]
    count = len(portrait_paths(settings.portraits)[settings.first :][: settings.limit])
    model = measured.model
    gain = model["restored"]["psnr"] - model["degraded"]["psnr"]
    held_of = f"{sum(held)} of {len(held)} claims hold"
    return Report(
        name="quality",
        title=f"Quality of {package}: {count} portraits, PSNR in dB by degradation",
        headings=("degraded by", "input", "classic", *(f"{name} − classic" for name in CONTROLLED)),
        rows=tuple(_by_degradation(measured)),
        summary=f"Classic gains {gain:+.2f} dB over the training ranges; {held_of}.",
        figures={
            "package": package,
            "portraits": count,
            "first": settings.first,
            "degradations": msgspec.to_builtins(named(settings.categories)),
            "model": model,
            "by_degradation": measured.first,
            "controlled_every": CONTROLLED_EVERY,
            "controlled": measured.controlled,
            "blends": measured.blends,
            "truth": truth,
            "claims": [asdict(claim) | {"holds": claim.holds} for claim in judged],
        },
        measures=tuple(
            Measure(f"{name}: {method}", values["psnr"], "dB", more_is_better=True)
            for name, methods in measured.controlled.items()
            for method, values in methods.items()
            if method != "input"
        ),
        conditions={"package": package, "portraits": count, "first": settings.first},
        more=(
            Table(
                "Claims, each with its least figure",
                ("claim", "wanted", "measured", "holds"),
                tuple(claims.row(claim) for claim in judged),
            ),
            Table(
                f"Classic on whole crops, {training_range.SEEDS} random degradations of each",
                ("portraits", "PSNR, dB", "SSIM"),
                tuple(
                    (title, f"{model[name]['psnr']:.2f}", f"{model[name]['ssim']:.3f}")
                    for name, title in training_range.TITLES.items()
                ),
            ),
            Table(
                "Every measure, means over " + ", ".join(_texture(measured)),
                ("measure", "input", "classic", *CONTROLLED, "truth"),
                tuple(_by_measure(measured, truth)),
            ),
            *(
                Table(
                    f"{title}: means over the portraits that every preset restored",
                    ("degraded by", "input", "classic", *CONTROLLED),
                    tuple(_of_measure(measured, key)),
                    shown=False,
                )
                for key, title in TITLES.items()
            ),
            Table(
                "Cored hand-back over a plain blend with the same κ, PSNR in dB",
                ("degraded by", *CONTROLLED),
                tuple(_of_blends(measured)),
                shown=False,
            ),
        ),
    )


def _by_degradation(measured: claims.Measured) -> Iterable[Row]:
    for name, methods in measured.first.items():
        together = measured.controlled[name]
        gains = (together[preset]["psnr"] - together["classic"]["psnr"] for preset in CONTROLLED)
        yield (
            name,
            *(f"{methods[method]['psnr']:.2f}" for method in ("input", "classic")),
            *(f"{gain:+.2f}" for gain in gains),
        )


def _texture(measured: claims.Measured) -> list[str]:
    """Return the degradations that the controls are judged by, or what else was measured."""
    return [name for name in measured.controlled if name in TEXTURE] or list(measured.controlled)


def _by_measure(measured: claims.Measured, truth: dict[str, float]) -> Iterable[Row]:
    names = _texture(measured)
    for key, title in TITLES.items():
        cells = (
            _figure(key, float(np.mean([measured.controlled[name][method][key] for name in names])))
            for method in ("input", "classic", *CONTROLLED)
        )
        yield title, *cells, _figure(key, truth[key]) if truth[key] < 90 else "—"


def _of_measure(measured: claims.Measured, key: str) -> Iterable[Row]:
    for name, methods in measured.controlled.items():
        yield name, *(_figure(key, methods[method][key]) for method in ("input", "classic", *CONTROLLED))


def _of_blends(measured: claims.Measured) -> Iterable[Row]:
    for name, presets in measured.blends.items():
        cells = (
            f"{presets[preset]['cored'] - presets[preset]['plain']:+.3f}" if preset in presets else "—"
            for preset in CONTROLLED
        )
        yield name, *cells


def _figure(key: str, value: float) -> str:
    return f"{value:.2f}" if "psnr" in key or key == "variation" else f"{value:.3f}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `python -m bench quality`."""
    add_portraits(parser)
    parser.add_argument(
        "--limit", type=positive, help="measure this many portraits at most, for a quick look"
    )
    parser.add_argument("--categories", type=name_list, help="these degradations only: NAME[,NAME]")
    parser.add_argument("--sheet", type=Path, help="write a PNG of the restored faces, to look at")
    parser.add_argument("--overwrite", action="store_true", help="replace a sheet that exists")
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.sheet:
        sources = [Source(path, "the portrait") for path in portrait_paths(options.portraits)]
        check_targets(sources, [Target(options.sheet, "the sheet")], overwrite=options.overwrite)
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
