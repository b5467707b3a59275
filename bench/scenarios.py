"""Sheets that show what the presets are for: typically damaged photos, and their restorations."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from base import command_line, setting
from base.command_line import print_lines, progress_bar
from base.errors import PhotoError
from base.setting import option
from bench.benchmark import model
from bench.scenario_photos import SCENARIOS
from bench.sheet import write_sheet
from portraits.damage import Portrait
from runtime.commands.overwriting import Source, Target, check_targets
from runtime.faces.face import Face
from runtime.photo.reader import read_photo
from runtime.restorer import Restorer
from runtime.settings.presets import preset

SIDE = 320
"""Side of a face on the sheets, in pixels."""
AROUND = 1.25
"""Side of the shown square, as a multiple of the face's longer side."""


@dataclass(frozen=True)
class ScenarioSettings:
    """The portraits to use, and the package that restores them."""

    portraits: tuple[Path, ...] = option(
        (), "Square photos of one face, in place of an astronaut.", "portraits", nargs="*"
    )
    output: Path = option(Path("scenarios"), "Folder to write the sheets to.", "-o", "--output")
    package: str | None = model()


def steps(settings: ScenarioSettings) -> int:
    """Return how many steps `write_scenarios` reports."""
    return len(SCENARIOS) * max(1, len(settings.portraits))


def write_scenarios(settings: ScenarioSettings, tick: Callable[[], None]) -> tuple[Path, ...]:
    """Write a sheet for each scenario, a row for each portrait; return their paths.

    Raises PhotoError for a portrait that cannot be read, is not square, or has no face.
    """
    portraits = [_read(path) for path in settings.portraits] or [_astronaut()]
    settings.output.mkdir(parents=True, exist_ok=True)
    sheets = {scenario: settings.output / f"{scenario.name}.jpg" for scenario in SCENARIOS}
    targets = [Target(sheet, "the sheet") for sheet in sheets.values()]
    check_targets([Source(path) for path in settings.portraits], targets, overwrite=True)
    with Restorer.open(settings.package) as restorer:
        faces = [_face(restorer, portrait) for portrait in portraits]
        for scenario, sheet in sheets.items():
            rows = []
            for number, (portrait, face) in enumerate(zip(portraits, faces, strict=True)):
                photo = scenario.damage(portrait, face, np.random.default_rng(number))
                pictures = {"as it came": photo} | {
                    name: np.asarray(restorer.restore(photo, preset(name)).photo, np.uint8)
                    for name in ("classic", scenario.preset)
                }
                rows.append({title: _around(face, picture) for title, picture in pictures.items()})
                tick()
            write_sheet(sheet, rows, SIDE)
    return tuple(sheets.values())


def _astronaut() -> Portrait:
    from skimage.data import astronaut  # Eileen Collins, NASA, public domain

    return np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]


def _read(path: Path) -> Portrait:
    pixels = read_photo(path).pixels
    height, width = pixels.shape[:2]
    if height != width or pixels.dtype != np.uint8:
        raise PhotoError(f"{path} is {width}×{height}, {pixels.dtype}: give a square photo of 8 bits")
    return np.asarray(pixels, np.uint8)


def _face(restorer: Restorer, portrait: Portrait) -> Face:
    found = restorer.detect(portrait)
    if not found:
        raise PhotoError("no face is found in a portrait: give photos of one good face")
    return found[0]


def _around(face: Face, picture: Portrait) -> Portrait:
    """Return the square around the face, as far as the picture goes, SIDE×SIDE."""
    x0, y0, x1, y1 = face.box
    side = min(len(picture), round(AROUND * max(x1 - x0, y1 - y0)))
    left, top = (
        int(np.clip(middle - side / 2, 0, len(picture) - side)) for middle in ((x0 + x1) / 2, (y0 + y1) / 2)
    )
    cut = picture[top : top + side, left : left + side]
    return np.asarray(cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    setting.add_options(parser, ScenarioSettings)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = setting.options_of(options, ScenarioSettings)
    with progress_bar("scenarios", steps(settings)) as tick:
        sheets = write_scenarios(settings, tick)
    print_lines(*sheets)
    return command_line.DONE
