"""Measure faces restored in real, damaged photos without a truth: blur effect, detail, and a sheet to look
at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from base.errors import PhotoError
from base.text import one_line
from bench.quality.passes import restored
from bench.report import Report, table
from bench.sheet import write_sheet
from engines.package import Manifest
from portraits.damage import Portrait
from portraits.likeness import Ground, blur, brightness, detail, ground
from runtime.faces.align import align
from runtime.faces.face import Face
from runtime.photo.reader import read_photo
from runtime.pixels import Pixels
from runtime.restorer import Restorer
from runtime.settings.presets import PRESETS

BEFORE = "before"
METHODS = (BEFORE, "classic", "standard", *(name for name in PRESETS if name not in ("classic", "standard")))
SHOWN = (BEFORE, "classic", "standard")
"""On the sheet."""

TITLES = {
    "blur": "blur effect, 0 sharp to 1 blurred",
    "skin_detail": "finest band of skin, RMS in levels",
    "hair_detail": "finest band of hair, RMS in levels",
    "change": "change, RMS in levels",
    "passes": "passes",
}


@dataclass(frozen=True)
class FaceFigures:
    """One face of one photo."""

    photo: str
    index: int
    """0 is the photo's largest face."""
    width: float
    """In pixels of the photo."""
    values: Mapping[str, Mapping[str, float]]
    """By method, `before` among them, and measure of TITLES."""


def run(
    paths: Sequence[Path], package: str | Path | None, sheet: Path | None, tick: Callable[[], None]
) -> Report:
    """Restore photos with every preset and measure each face, cut out as the network sees it.

    sheet  a PNG of the faces: before, classic, standard

    Raises PhotoError for a photo that cannot be read, or when no face of any was restored; PackageError and
    BackendError.
    """
    faces: list[FaceFigures] = []
    rows: list[dict[str, Portrait]] = []
    left_alone = 0
    with Restorer.open(package) as restorer:
        manifest = restorer.package.manifest
        for path in paths:
            photo = read_photo(path).pixels
            found = restorer.detect(photo)
            results = {name: restored(restorer, photo, name, found) for name in METHODS if name != BEFORE}
            for i, face in enumerate(found):
                if results["standard"].faces[i].loop is None:
                    left_alone += 1
                    continue
                crops = {BEFORE: _cut(photo, face, manifest.size)}
                crops |= {name: _cut(result.photo, face, manifest.size) for name, result in results.items()}
                values = _measured(crops, ground(manifest.size))
                for name, result in results.items():
                    loop = result.faces[i].loop
                    values[name]["passes"] = loop.passes if loop else 0
                faces.append(FaceFigures(path.name, i, face.width, values))
                rows.append({name: crops[name] for name in SHOWN})
            tick()
    if not faces:
        raise PhotoError(
            f"no face was restored in {one_line(paths[0].parent)}: "
            "give photos of faces 24 pixels wide or more"
        )
    if sheet:
        write_sheet(sheet, rows)
    return _report(manifest, len(paths), faces, left_alone)


def _cut(pixels: Pixels, face: Face, size: int) -> Portrait:
    """Return a face as the network would see it, in 8 bits: blur effect depends on the scale."""
    return np.asarray(np.rint(255 * align(pixels, face, size).crop), np.uint8)


def _measured(crops: Mapping[str, Portrait], where: Ground) -> dict[str, dict[str, float]]:
    """Return the figures of one face by method."""
    before = crops[BEFORE][where.inside].astype(np.float64)
    found: dict[str, dict[str, float]] = {}
    for name, crop in crops.items():
        inside = crop[where.inside]
        light = brightness(inside)
        found[name] = {
            "blur": blur(inside),
            "skin_detail": detail(light, where.skin),
            "hair_detail": detail(light, where.hair),
            "change": float(np.sqrt(np.mean((inside - before) ** 2))),
            "passes": 0,
        }
    return found


def _report(package: Manifest, photos: int, faces: Sequence[FaceFigures], left_alone: int) -> Report:
    means = {
        name: {key: float(np.mean([face.values[name][key] for face in faces])) for key in TITLES}
        for name in METHODS
    }
    columns: dict[str, Callable[[str], str]] = {"restored by": str}
    columns |= {title: _mean_cell(means, key) for key, title in TITLES.items()}
    blurs: dict[str, Callable[[FaceFigures], str]] = {
        "photo, face": lambda face: f"{face.photo}, {face.index}",
        "pixels wide": lambda face: f"{face.width:.0f}",
    }
    blurs |= {name: _blur_cell(name) for name in METHODS}
    return Report(
        name="quality-photos",
        tables=(
            table(
                f"Faces in real photos, restored by {package.name}: means over {len(faces)}", METHODS, columns
            ),
            table("Blur effect of each face", faces, blurs, shown=False),
        ),
        summary=f"Standard takes the mean blur effect from {means[BEFORE]['blur']:.3f} to "
        f"{means['standard']['blur']:.3f}; faces left alone: {left_alone}.",
        figures={
            "loop": package.loop_kind,
            "left_alone": left_alone,
            "means": means,
            "faces": [
                {"photo": f.photo, "face": f.index, "width": f.width, "values": f.values} for f in faces
            ],
        },
        conditions={"package": package.name, "photos": photos},
    )


def _mean_cell(means: Mapping[str, Mapping[str, float]], key: str) -> Callable[[str], str]:
    return lambda name: f"{means[name][key]:.{3 if key == 'blur' else 2}f}"


def _blur_cell(name: str) -> Callable[[FaceFigures], str]:
    return lambda face: f"{face.values[name]['blur']:.3f}"
