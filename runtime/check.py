"""`python -m runtime.check BEFORE AFTER`: the three quick checks of a restoration."""

import argparse
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from base.command_line import DONE, run
from base.errors import PhotoError, SettingsError
from base.files import write_json
from base.text import one_line
from runtime.commands.overwriting import Source, Target, check_targets
from runtime.commands.restored_photo import check_megapixels
from runtime.faces.align import TEMPLATES, Pixels, align, cut_out, scaled
from runtime.network.backends import BackendName
from runtime.photo.reader import read_photo
from runtime.quick_checks import SIDE, Finding, check_face, find_places
from runtime.restorer import Restorer
from runtime.settings.presets import preset
from runtime.settings.settings import RestoreSettings, Upscale, parse_faces
from runtime.sheets.quick_checks import CheckedFace, write_check_sheet

PATIENCE = 600.0
"""Seconds that the classic restoration may take: there is nothing to compare with when it is cut short."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, which is dropped
    return run(lambda: _check(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    about = "Look closely at a restored photo: hair transitions, skin highlights, pupils."
    parser = argparse.ArgumentParser(prog="python -m runtime.check", description=about)
    add = parser.add_argument
    add("before", type=Path, metavar="BEFORE", help="the photo")
    add(
        "after", type=Path, metavar="AFTER", help="its restoration, of the same size or 2 or 4 times as large"
    )
    add("-o", "--output", type=Path, metavar="SHEET.png", help="annotated sheet")
    add("--json", type=Path, metavar="FILE.json", help="all figures")
    add("--overwrite", action="store_true", help="replace a sheet and figures that exist")
    add("--face", default="all", metavar="WHICH", help="all, largest, or indices from 0, the largest: 0,2")
    add("--template", choices=TEMPLATES, help="how faces lie in the network's crops (as the package says)")
    add("--detector", type=Path, metavar="YUNET.onnx", help="a YuNet face detector in place of CenterFace")
    add("--max-megapixels", type=float, default=100, metavar="N", help="refuse larger photos (100)")
    add("--model", metavar="PACKAGE", help="package of the classic restoration, in place of the default")
    add("--backend", choices=get_args(BackendName), default="auto", help="what runs the networks")
    add("--threads", type=int, metavar="N", help="CPU threads for the networks, in place of one per core")
    return parser


def _check(options: argparse.Namespace) -> int:
    check_megapixels(options.max_megapixels)
    if options.threads is not None and options.threads < 1:
        raise SettingsError(f"--threads {options.threads}: give 1 or more")
    chosen = parse_faces(options.face)
    _check_targets(options)
    for path in filter(None, (options.output, options.json)):
        if path.is_dir() or not path.parent.is_dir():
            raise PhotoError(f"{one_line(path)} cannot be written: name a file in a folder that exists")
    before = read_photo(options.before, max_megapixels=options.max_megapixels).pixels
    after = read_photo(options.after, max_megapixels=options.max_megapixels).pixels
    factor = upscale_of(before, after)
    settings = preset("classic", face=chosen, upscale=factor, template=options.template, budget=PATIENCE)
    with Restorer.open(
        options.model, options.backend, detector=options.detector, threads=options.threads
    ) as restorer:
        faces = check_photo(restorer, before, after, settings)
    if not faces:
        raise PhotoError(
            f"no face that is large enough was found in {one_line(options.before)}: there is nothing to check"
        )
    _say(faces)
    if options.output:
        write_check_sheet(options.output, faces)
    if options.json:
        described = {
            "before": str(options.before),
            "after": str(options.after),
            "upscale": factor,
            "faces": [{"index": face.index, "checks": _described(face.findings)} for face in faces],
        }
        write_json(options.json, described)
    return DONE


def _check_targets(options: argparse.Namespace) -> None:
    sources = [Source(options.before), Source(options.after), Source(options.detector, "the detector")]
    targets = [Target(options.output, "the sheet"), Target(options.json, "the file of --json")]
    check_targets(
        [source for source in sources if source.path],
        [target for target in targets if target.path],
        overwrite=options.overwrite,
    )


def upscale_of(before: Pixels, after: Pixels) -> Upscale:
    """Return how many times larger one photo is than the other. Raises PhotoError unless it is 1, 2 or 4."""
    height, width = before.shape[:2]
    for factor in get_args(Upscale):
        if after.shape[:2] == (height * factor, width * factor):
            return factor  # type: ignore[no-any-return]
    raise PhotoError(
        f"AFTER is {after.shape[1]}×{after.shape[0]}, BEFORE {width}×{height}: "
        "give a restoration of the same size, or 2 or 4 times as large"
    )


def check_photo(
    restorer: Restorer, before: Pixels, after: Pixels, settings: RestoreSettings
) -> list[CheckedFace]:
    """Check the faces of a photo.

    before, after  H×W×3 and kH×kW×3 uint8 or uint16 RGB, k the upscaling of the settings
    settings       of the restoration to compare with
    """
    result = restorer.restore(before, settings)
    template = settings.template or restorer.package.manifest.template
    faces = []
    for i, face in enumerate(result.faces):
        if face.aligned is None:
            continue
        aligned = align(before, face.face, SIDE, template)
        large = scaled(aligned, settings.upscale).to_photo
        crops = (aligned.crop, cut_out(after, large, SIDE), cut_out(result.photo, large, SIDE))
        places = find_places(aligned)
        findings = check_face(places, crops, aligned.scale)
        faces.append(CheckedFace(i, crops, places, findings))
    return faces


def _described(findings: dict[str, Finding]) -> dict[str, Any]:
    return {
        check: {
            "verdict": finding.verdict,
            "good": finding.good,
            "figures": {name: asdict(figure) for name, figure in finding.figures.items()},
        }
        for check, finding in findings.items()
    }


def _say(faces: list[CheckedFace]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("face", "check", "measure", "before", "after", "classic", "verdict")
    for face in faces:
        for check, finding in face.findings.items():
            for i, (name, figure) in enumerate(finding.figures.items()):
                values = (f"{value:.2f}" for value in (figure.before, figure.after, figure.classic))
                head = (str(face.index), check) if i == 0 else ("", "")
                table.add_row(*head, name, *values, finding.verdict if i == 0 else "")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
