"""A labelled sheet of one photo restored in several ways, to choose from: presets, or model packages."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from base.text import one_line
from runtime.faces.align import AlignedFace, cut_out, joined, resizing
from runtime.faces.face import Face
from runtime.pixels import Pixels
from runtime.prepared import PreparedPhoto
from runtime.restorer import Restorer
from runtime.result import RestoreResult
from runtime.settings.config_file import Config
from runtime.settings.per_face import WHOLE_PHOTO
from runtime.settings.resolved import ResolvedSettings, whole_photo, worth_saying
from runtime.settings.settings import RestoreSettings
from runtime.sheets.paper import FACE, INK, LABEL, MARGIN, PAPER, Tile, fitted, label_font, write_png

LARGEST_FACE = 512
"""Largest side of a face; that of the largest face's crop in the photo, between FACE and this."""
MAX_FACES = 6
"""Rows of faces; if there are more, the largest are shown."""
IN_A_ROW = 8
"""Pictures side by side; the first is always the original photo."""
SMALL, LINE = 13, 17
"""Size of the letters that show the settings, and of their lines."""


@dataclass(frozen=True)
class Column:
    """One way of restoring the photo, as a column of the sheet."""

    name: str
    remarks: tuple[str, ...]
    """What the settings are."""
    photo: Tile
    faces: tuple[Tile, ...]
    labels: tuple[str, ...]
    """The text above each face."""


def candidates(
    config: Config, resolved: ResolvedSettings, faces: tuple[int, ...]
) -> dict[str, ResolvedSettings]:
    """Return the settings to compare, by label: every preset, and the current settings if they match none.

    Settings for the whole photo are the current ones, except that nothing is enlarged and no time limit
    applies: a preset cut short would not show what it can do.

    faces  the indices of the faces that are shown; at least one
    """
    asked = for_comparison(resolved, faces)
    common = whole_photo(asdict(asked.settings))
    found = {
        name: ResolvedSettings(RestoreSettings(**(changes | common)))
        for name, changes in config.presets.items()
    }
    return found if asked in found.values() else found | {"as asked": asked}


def for_comparison(resolved: ResolvedSettings, faces: tuple[int, ...]) -> ResolvedSettings:
    """Return the current settings for these faces, not enlarged and without a time limit."""
    common: dict[str, Any] = {"upscale": 1, "budget": inf, "face": faces}
    by_face = {i: own and replace(own, **common) for i, own in resolved.by_face.items() if i in faces}
    return ResolvedSettings(replace(resolved.settings, **common), by_face)


def faces_to_show(chosen: Iterable[int]) -> tuple[int, ...]:
    """Return the indices of the faces that the sheet shows: the largest of those that are restored."""
    return tuple(sorted(chosen)[:MAX_FACES])


_Way: TypeAlias = tuple[str, tuple[str, ...], RestoreResult]
"""A way to restore the photo: its name, the lines below it, and the result."""


def write_presets_sheet(
    path: Path,
    restorer: Restorer,
    photo: Pixels,
    found: tuple[Face, ...],
    compared: Iterable[tuple[str, ResolvedSettings]],
) -> None:
    """Restore a photo with each of several settings, and write them side by side as a PNG.

    photo     H×W×3 uint8 or uint16 RGB
    found     its faces
    compared  the result of `candidates`, as pairs: at least one, with at least one face
    """

    def ways() -> Iterator[_Way]:
        prepared: PreparedPhoto | None = None
        for name, resolved in compared:
            prepared = prepared or restorer.prepare(photo, resolved.settings, resolved.by_face, found=found)
            yield name, _remarks(resolved), prepared.restore(resolved.settings, resolved.by_face)

    _write(path, photo, ways())


def write_packages_sheet(
    path: Path,
    open_package: Callable[[str], Restorer],
    photo: Pixels,
    found: tuple[Face, ...],
    resolved: ResolvedSettings,
    packages: Iterable[str],
) -> None:
    """Restore a photo with each of several model packages, and write them side by side as a PNG.

    open_package  opens a package by its name or folder; one is open at a time
    photo, found  H×W×3 uint8 or uint16 RGB, and its faces
    resolved      settings for all packages, from `for_comparison`
    packages      at least one
    """

    def ways() -> Iterator[_Way]:
        for package in packages:
            with open_package(package) as restorer:
                result = restorer.restore(photo, resolved.settings, resolved.by_face, found=found)
                yield Path(package).name, _about(restorer), result

    _write(path, photo, ways())


def _about(restorer: Restorer) -> tuple[str, ...]:
    """Return what distinguishes a package from others, and the backend that runs it."""
    manifest = restorer.package.manifest
    mebibytes = sum(file.stat().st_size for file in restorer.package.folder.iterdir()) / 2**20
    backend = restorer.backend
    return (
        f"{manifest.size} px, {manifest.precision}, {mebibytes:.1f} MiB",
        f"{backend.name} on {backend.device}",
    )


def _write(path: Path, photo: Pixels, ways: Iterable[_Way]) -> None:
    """Write a PNG of a photo restored in each way, beside the original.

    The whole photo is shown small, its faces below, large enough to judge.
    """
    columns: list[Column] = []
    for name, remarks, result in ways:
        shown = {i: face for i, face in enumerate(result.faces) if face.aligned}
        aligned = {i: face.aligned for i, face in shown.items() if face.aligned}
        if not columns:
            side = _face_side(aligned.values())
            columns.append(
                Column("photo", (), *_tiles(photo, aligned, side), tuple(f"face {i}" for i in shown))
            )
        codes = tuple(", ".join(warning.code for warning in face.warnings) for face in shown.values())
        columns.append(Column(name, remarks, *_tiles(result.photo, aligned, side), codes))
    write_png(path, _drawn(columns, side))


def _face_side(faces: Iterable[AlignedFace]) -> int:
    return round(min(max([FACE, *(len(face.crop) * face.scale for face in faces)]), LARGEST_FACE))


def _tiles(photo: Pixels, faces: Mapping[int, AlignedFace], side: int) -> tuple[Tile, tuple[Tile, ...]]:
    """Return the whole photo, and each face cut out of it, both at the size of the sheet."""
    crops = []
    for face in faces.values():
        to_crop = resizing(len(face.crop) / side, len(face.crop) / side)
        crop = cut_out(photo, joined(face.to_photo, to_crop), side)
        crops.append(np.asarray(np.rint(255 * crop), np.uint8))
    return fitted(photo, side), tuple(crops)


def _remarks(resolved: ResolvedSettings) -> tuple[str, ...]:
    """Return the settings that differ, and whether single faces have others."""
    besides = [
        line.replace(",", ", ")
        for line in worth_saying(resolved.settings)
        if line.split()[0] not in WHOLE_PHOTO
    ]
    return (*besides, *(["settings of single faces"] if resolved.by_face else []))


def _drawn(columns: list[Column], side: int) -> Image.Image:
    """Place the columns side by side, in as many bands as needed, each beginning with the photo."""
    first, rest = columns[0], columns[1:]
    bands = [[first, *rest[i : i + IN_A_ROW - 1]] for i in range(0, len(rest), IN_A_ROW - 1)]
    pictures = [_drawn_band(band, side) for band in bands]
    sheet = Image.new("RGB", (pictures[0].width, sum(picture.height for picture in pictures)), PAPER)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


def _drawn_band(band: list[Column], side: int) -> Image.Image:
    font, small = label_font(), ImageFont.load_default(SMALL)
    letters = int(side / small.getlength("n"))
    texts = [
        [line for remark in column.remarks for line in textwrap.wrap(remark, letters)] for column in band
    ]
    heads = LABEL + max(map(len, texts)) * LINE + MARGIN
    whole = band[0].photo.shape[0] + MARGIN
    row = LABEL + side + MARGIN
    size = MARGIN + len(band) * (side + MARGIN), MARGIN + heads + whole + row * len(band[0].faces) + MARGIN
    picture = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(picture)
    for k, (column, lines) in enumerate(zip(band, texts, strict=True)):
        left, top = MARGIN + k * (side + MARGIN), MARGIN
        pen.text((left, top), _cut(column.name, 2 * letters // 3), INK, font)
        for i, line in enumerate(lines):
            pen.text((left, top + LABEL + i * LINE), line, INK, small)
        picture.paste(Image.fromarray(column.photo), (left, top + heads))
        for i, (face, label) in enumerate(zip(column.faces, column.labels, strict=True)):
            y = top + heads + whole + i * row
            pen.text((left, y), label, INK, small)
            picture.paste(Image.fromarray(face), (left, y + LABEL))
    return picture


def _cut(name: str, most: int) -> str:
    printable = one_line(name)
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"
