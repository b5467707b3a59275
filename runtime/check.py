"""`python -m runtime.check BEFORE AFTER`: run three quick checks on a restoration."""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from base.command_line import DONE, print_lines, run
from base.command_parser import CommandParser
from base.errors import PhotoError
from base.files import write_json
from base.setting import add_options
from base.text import one_line, utf8
from runtime.commands.options import add_detector, add_setting
from runtime.commands.overwriting import Source, Target, check_targets
from runtime.commands.paths import check_file, check_sheet
from runtime.commands.photo_options import PhotoOptions
from runtime.faces.align import align, cut_out, inverted, joined, scaled
from runtime.faces.iris import IrisNetwork
from runtime.network.backends import BackendName
from runtime.photo.reader import read_photo
from runtime.pixels import Pixels
from runtime.quick_checks import SIDE, Finding, check_face, find_places
from runtime.restorer import Restorer
from runtime.settings.config_file import check_run
from runtime.settings.presets import preset
from runtime.settings.settings import SETTINGS, RestoreSettings, Upscale
from runtime.sheets.quick_checks import CheckedFace, write_check_sheet

POOR = 1
"""Exit status of --strict if a check is poor."""

PATIENCE = 600.0
"""Time limit in seconds for the classic restoration, high because a result cut short could not be compared.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    return run(lambda: _check(parser().parse_args(arguments)))


def parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="python -m runtime.check",
        description="Look closely at a restored photo: hair transitions, skin highlights and pupils. Each "
        "face is compared with the photo and with a classic restoration.",
    )
    add = parser.add_argument
    add("before", type=Path, metavar="BEFORE", help="The photo.")
    add("after", type=Path, metavar="AFTER", help="The restored photo; it may be enlarged 2 or 4 times.")
    add("-o", "--output", type=Path, metavar="SHEET.png", help="Write an annotated sheet.")
    add("--json", type=Path, metavar="FILE.json", help="Write all figures.")
    add("--overwrite", action="store_true", help="Replace an existing sheet and file of figures.")
    add("--strict", action="store_true", help="End with exit status 1 if any check is poor, for scripts.")
    for name in ("face", "template"):
        add_setting(parser, SETTINGS[name])
    add_detector(parser)
    add_options(parser, PhotoOptions, only=["max_megapixels"])
    add("--model", metavar="PACKAGE", help="Package for the classic restoration. (default: the bundled one)")
    add(
        "--backend",
        choices=get_args(BackendName),
        default="auto",
        metavar="NAME",
        help=f"Backend that runs the networks: {', '.join(get_args(BackendName))}.",
    )
    add("--threads", type=int, metavar="N", help="CPU threads for the networks. (default: one per core)")
    return parser


def _check(options: argparse.Namespace) -> int:
    check_run(None, options.threads, None)
    chosen = options.face or "all"
    _check_targets(options)
    if options.output:
        check_sheet(options.output)
    for path in filter(None, (options.output, options.json)):
        check_file(path)
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
            f"no sufficiently large face was found in {one_line(options.before)}: there is nothing to check"
        )
    print_lines(*check_lines(faces, shutil.get_terminal_size().columns))
    if options.output:
        write_check_sheet(options.output, faces)
    if options.json:
        described = {
            "before": utf8(options.before),
            "after": utf8(options.after),
            "upscale": factor,
            "faces": [
                {"index": face.index, "untouched": face.untouched, "checks": _described(face.findings)}
                for face in faces
            ],
        }
        write_json(options.json, described)
    return POOR if options.strict and any(map(is_poor, faces)) else DONE


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
    settings       of the classic restoration to compare with
    """
    result = restorer.restore(before, settings)
    template = settings.template or restorer.package.manifest.template
    faces, eyes = [], IrisNetwork()
    for i, face in enumerate(result.faces):
        if face.aligned is None:
            continue
        aligned = align(before, face.aligned.face, SIDE, template)
        large = scaled(aligned, settings.upscale).to_photo
        crops = (aligned.crop, cut_out(after, large, SIDE), cut_out(result.photo, large, SIDE))
        irises = None
        if face.aligned.mesh:
            mesh = face.aligned.mesh.moved(joined(inverted(aligned.to_photo), face.aligned.to_photo))
            aligned, irises = replace(aligned, mesh=mesh), eyes.find(aligned.crop, mesh)
        places = find_places(aligned, irises)
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


def check_lines(faces: Sequence[CheckedFace], width: int) -> list[str]:
    """Return the findings in lines of at most this width: a block for each face, then the verdict."""
    lines = []
    for face in faces:
        state = " (untouched: every pixel is the photo's own)" if face.untouched else ""
        lines.append(f"face {face.index}{state}")
        for check, finding in face.findings.items():
            mark = {True: "ok", False: "poor", None: "-"}[finding.good]
            verdict = finding.verdict.removeprefix("good: ")
            lines += _hanging(f"  {check:<11}{mark:<6}{verdict}", 19, width)
            for name, figure in finding.figures.items():
                values = f"{figure.before:.2f} → {figure.after:.2f} (classic {figure.classic:.2f})"
                lines += _hanging(f"{'':19}{name}: {values}", 21, width)
        lines.append("")
    return [*lines, *textwrap.wrap(_overall(faces), width)]


def _hanging(text: str, indent: int, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=" " * indent, drop_whitespace=True)


def _overall(faces: Sequence[CheckedFace]) -> str:
    """Return one line about all faces: how many checks are good, and where to look."""
    touched = [face for face in faces if not face.untouched]
    if not touched:
        return "overall: untouched, every face is the photo's own"
    judged = [f for face in touched for f in face.findings.values() if f.good is not None]
    good = sum(bool(finding.good) for finding in judged)
    poor = [f"face {face.index} ({', '.join(_poor_checks(face))})" for face in touched if is_poor(face)]
    look = f"; look at {', '.join(poor)}" if poor else ""
    return f"overall: {'poor' if poor else 'good'}, {good} of {len(judged)} checks are good{look}"


def is_poor(face: CheckedFace) -> bool:
    """Return whether any check of a face is poor; one that could not be judged does not count."""
    return not face.untouched and bool(_poor_checks(face))


def _poor_checks(face: CheckedFace) -> list[str]:
    return [check for check, finding in face.findings.items() if finding.good is False]


if __name__ == "__main__":
    sys.exit(main())
