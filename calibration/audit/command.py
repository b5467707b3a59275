"""`python -m calibration audit PACKAGE --images DIR`: check whether half precision is safe for a package."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from base import command_line, setting
from base.command_line import print_lines
from base.command_parser import CommandParser
from base.errors import SettingsError
from base.files import write_atomically
from base.setting import option
from base.text import one_line
from calibration.audit import report as audit_report
from calibration.audit.audit import audit
from calibration.options import Portraits, limit, samples_of
from engines.package import open_package
from portraits.reading import LEAST, pictures_in
from runtime.commands.overwriting import Source, Target, check_targets

FORMS = {".json": audit_report.as_json, ".png": audit_report.plot}


@dataclass(frozen=True)
class AuditOptions(Portraits):
    """What is audited, and where the findings go."""

    package: str = option(None, "Package folder, or name of a bundled package.", "PACKAGE", nargs=None)
    portraits: int = limit(16)
    output: Path | None = option(
        None,
        "Folder for audit.json and audit.png, or a single .json or .png file.",
        "-o",
        "--output",
        metavar="DIR|FILE",
    )
    overwrite: bool = option(False, "Replace files that exist.")


def add_options(parser: CommandParser) -> None:
    """Declare the command's options."""
    setting.add_options(parser, AuditOptions)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    outputs = _outputs(options.output)
    check_targets(
        [Source(path, "the portrait") for path in pictures_in(options.images, least=LEAST)],
        [Target(path) for path in outputs],
        overwrite=options.overwrite,
    )
    package = open_package(options.package, kind="face")
    with samples_of(options, package.manifest.size, "running portraits") as taken:
        found = audit(package, taken, threads=options.threads or 0)
    Console().print(audit_report.table(found))
    print_lines(*audit_report.summary(found))
    for path in outputs:
        content = FORMS[path.suffix.lower()](found)
        with write_atomically(path) as file:
            file.write(content)
        print_lines(f"written: {path}")
    return command_line.DONE


def _outputs(output: Path | None) -> list[Path]:
    if output is None:
        return []
    if output.suffix.lower() in FORMS and not output.is_dir():
        return [output]
    if output.suffix and not output.is_dir():
        raise SettingsError(f"-o {one_line(output)}: give a folder, or a .json or .png file")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"-o {one_line(output)}: {error.strerror}; give another folder") from error
    return [output / f"audit{suffix}" for suffix in FORMS]
