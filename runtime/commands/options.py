"""The options of `python -m runtime.restore`, and what they and the config file ask for together."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from base.command_parser import CommandParser
from base.errors import PackageError, SettingsError
from base.setting import Setting, add_options
from base.text import one_line
from engines.licences import without_grant
from engines.package import Manifest, Package, open_package
from runtime.commands.build_progress import told_when_building
from runtime.commands.photo_options import PhotoOptions
from runtime.content_credentials import open_key
from runtime.network.backends import AUTO, DEVICES, MEMORY, BackendName, Provider
from runtime.provenance import Provenance
from runtime.restorer import Restorer
from runtime.settings.config_file import Changes, Config, check_run, read_config
from runtime.settings.face_rules import read_rules
from runtime.settings.presets import PRESETS
from runtime.settings.resolved import ResolvedSettings, resolve_settings, written
from runtime.settings.settings import SETTINGS, of_scope

_PATHS = ("detector", "recogniser", "photo_network")
_RUN = (*_PATHS, "backend", "device", "provider", "threads", "memory")
"""Options that the config file may give instead."""


@dataclass(frozen=True)
class RunOptions:
    """The options of a run, from the command line and the config file together."""

    config: Config
    resolved: ResolvedSettings
    package: str | None
    """Folder or name of the model package; None is the bundled default."""
    backend: BackendName = "auto"
    device: str | None = None
    provider: Provider | None = None
    detector: Path | None = None
    recogniser: Path | None = None
    threads: int | None = None
    memory: float | None = None
    commercial: bool = False
    """Only accept a package whose licences grant commercial use."""
    photo_network: Path | None = None
    """Restores the rest of a photo; None is the bundled one."""


class _Output(argparse.Action):
    """Store OUT as a path, and whether it ends in a slash: then it is a folder, even if it does not exist."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: Any = None) -> None:
        namespace.output = Path(values)
        namespace.into_folder = values.endswith(("/", os.sep))


class _Packages(argparse.Action):
    """Store the path of the sheet, and the packages that it compares."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: Any = None) -> None:
        sheet, *packages = values
        if not packages:
            raise argparse.ArgumentError(self, "name the packages to compare after the sheet")
        namespace.compare_packages, namespace.packages = Path(sheet), packages


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    A setting that is not given is None, so that the config file's value applies.
    """
    parser = CommandParser(
        prog="python -m runtime.restore",
        usage="%(prog)s PHOTO [PHOTO ...] -o OUT [OPTION ...]",
        description="Restore the faces of photos.",
    )
    add = parser.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="Photos, or folders of photos.")
    add(
        "-o",
        "--output",
        action=_Output,
        metavar="OUT",
        help="Where the result goes: a file for one photo, a folder for several. A name that ends in / is a "
        "folder, which is made if it does not exist.",
    )
    add("--overwrite", action="store_true", help="Replace files that exist, and a photo by its own result.")
    add("--recursive", action="store_true", help="Also restore photos in subfolders; OUT gets the same ones.")
    add(
        "--resume",
        action="store_true",
        help="Continue an earlier run: skip photos whose result exists, keep its sheets, add to its report.",
    )
    parser.set_defaults(into_folder=False, packages=[])
    add_options(parser, PhotoOptions)
    add_provenance(parser)
    add_config(parser)
    add_settings(parser)
    _add_sheets(parser)
    add_machine(parser)
    return parser


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting of the restoration, and the preset."""
    group = parser.add_argument_group("how much is restored")
    group.add_argument(
        "--preset",
        metavar="NAME",
        help=f"Start from settings that go well together: {', '.join(PRESETS)}, or a preset of the config "
        "file. (default: standard)",
    )
    for name in of_scope("loop", "face"):
        add_setting(group, SETTINGS[name])
    group = parser.add_argument_group("which faces, how large, how long")
    for name in of_scope("photo"):
        add_setting(group, SETTINGS[name])
    add_detector(group)
    add_recogniser(group)
    about = (
        "Restore the rest of a photo with this network in place of the bundled one (--scope photo). It takes "
        "and returns RGB in [0, 1], at 1, 2 or 4 times the size. A package of the kind photo works too."
    )
    group.add_argument("--photo-network", type=Path, metavar="FILE.onnx", help=about)


def add_detector(group: "argparse._ActionsContainer") -> None:
    """Add the option that names another face detector."""
    about = "Find faces with this YuNet model instead of the bundled CenterFace."
    group.add_argument("--detector", type=Path, metavar="YUNET.onnx", help=about)


def add_recogniser(group: "argparse._ActionsContainer") -> None:
    """Add the option that names another face recogniser."""
    about = "Tell faces apart with this SFace model instead of the bundled descriptor of dlib."
    group.add_argument("--recogniser", type=Path, metavar="SFACE.onnx", help=about)


def add_setting(group: "argparse._ActionsContainer", setting: Setting) -> None:
    """Add the option of a setting; it is None where it is not given."""
    text = f"{setting.help} {_in_brackets(setting)}".rstrip().replace("%", "%%")
    if setting.kind == "switch":
        group.add_argument(
            setting.flag, dest=setting.name, default=None, action=argparse.BooleanOptionalAction, help=text
        )
        return
    metavar = "|".join(map(str, setting.choices)) or setting.metavar
    bare = {"nargs": "?", "const": setting.bare} if setting.bare is not None else {}
    group.add_argument(setting.flag, dest=setting.name, type=setting.read, metavar=metavar, help=text, **bare)


def _in_brackets(setting: Setting) -> str:
    """Return the limits and the default of a setting as its help shows them."""
    if setting.kind == "switch":
        return ""
    limits = "" if setting.choices else setting.limits
    default = f"default: {written(setting.default, setting.name)}"
    return f"({limits}; {default})" if limits else f"({default})"


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a config file."""
    about = "Read settings from a TOML or JSON file. The command line wins over the file."
    parser.add_argument("--config", type=Path, metavar="FILE", help=about)


def add_provenance(parser: argparse.ArgumentParser) -> None:
    """Add the options that record the processing in the results."""
    about = (
        "Write what was done into the result: an entry in its XMP history with the program, the package and "
        "its hash, the settings, and the faces. A photo in which nothing is restored stays as it is."
    )
    parser.add_argument("--provenance", action="store_true", help=about)
    about = (
        "Also sign it as a C2PA manifest (content credentials), with a private key and its chain of "
        "certificates. Needs the extra `c2pa`."
    )
    parser.add_argument("--sign", nargs=2, type=Path, metavar=("KEY.pem", "CERTIFICATES.pem"), help=about)


def provenance_of(options: argparse.Namespace, package: str | Path | None) -> Provenance | None:
    """Return the writer of provenance for results; None if it was not requested.

    Raises PackageError, SettingsError for a key that does not sign, and GpenEdgeError without the extra.
    """
    if not (options.provenance or options.sign):
        return None
    return Provenance(open_package(package), open_key(*options.sign) if options.sign else None)


_SHOWN = {
    "--list-faces": "List the faces of one photo and number them on a sheet. Needs no OUT.",
    "--compare-presets": "Show one photo restored with every preset side by side. Needs no OUT.",
    "--compare": "Write a before/after sheet; for several photos, a folder of them.",
    "--masks": "Write a sheet of the face regions of one photo.",
    "--report": "Write what was found and done: each face with its warnings, the milliseconds of each stage, "
    "and which results need a look.",
}


def _add_sheets(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is shown").add_argument
    for flag, about in _SHOWN.items():
        add(flag, type=Path, metavar="FILE.json" if flag == "--report" else "SHEET.png", help=about)
    about = "Show one photo restored with each of these model packages side by side. Needs no OUT."
    metavar = ("SHEET.png", "PACKAGE")
    add("--compare-packages", nargs="+", action=_Packages, metavar=metavar, help=about)


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what runs the networks, and where."""
    add = parser.add_argument_group("what runs the networks").add_argument
    add(
        "--model",
        metavar="PACKAGE",
        help="The folder of a model package, or the name of a bundled one. (default: the bundled one)",
    )
    add(
        "--backend",
        choices=get_args(BackendName),
        metavar="NAME",
        help=f"What runs the networks: {', '.join(get_args(BackendName))}. {AUTO}, and reports which "
        "and why. (default: auto)",
    )
    add("--device", metavar="DEVICE", help=f"Where they run: {DEVICES}. (default: the first that works)")
    add(
        "--provider",
        choices=get_args(Provider),
        metavar="NAME",
        help=f"What ONNX Runtime uses on a GPU: {', '.join(get_args(Provider))}. (default: cuda)",
    )
    add("--threads", type=int, metavar="N", help="CPU threads for the networks. (default: one per core)")
    add(
        "--memory",
        type=float,
        metavar="GB",
        help="Memory for the networks and a batch of faces, except in TensorRT: larger batches are divided. "
        f"(default: {MEMORY:g}, or what one face takes)",
    )
    add(
        "--licence-check",
        choices=("commercial",),
        help="Refuse a model package unless the licence of its weights grants commercial use.",
    )


def checked_run_options(options: argparse.Namespace) -> RunOptions:
    """Take the command line and the config file it names together. Raises GpenEdgeError."""
    _check_sheets(options)
    return run_options(options)


def run_options(options: argparse.Namespace) -> RunOptions:
    """Take the settings and the machine's options together with the config file. Raises GpenEdgeError."""
    config = read_config(options.config) if options.config else Config()
    run: dict[str, Any] = dict(config.run)
    run |= {name: given for name in _RUN if (given := getattr(options, name, None)) is not None}
    run |= {name: Path(run[name]) for name in _PATHS if name in run}
    check_run(options.device, options.threads, options.memory)
    return RunOptions(
        config,
        resolve_settings(config, given_settings(options), options.preset),
        options.model or run.get("model_path"),
        commercial=options.licence_check == "commercial",
        **{name: run[name] for name in _RUN if name in run},
    )


def given_settings(options: argparse.Namespace) -> Changes:
    """Return the settings that the command line names."""
    return {name: value for name in SETTINGS if (value := getattr(options, name, None)) is not None}


def open_restorer(wanted: RunOptions) -> Restorer:
    """Open the package of a run, after checking that it agrees with the config file. Raises GpenEdgeError."""
    if wanted.commercial:
        check_licence(open_package(wanted.package))
    with told_when_building() as watch:
        restorer = Restorer.open(
            wanted.package,
            wanted.backend,
            device=wanted.device,
            provider=wanted.provider,
            detector=wanted.detector,
            recogniser=wanted.recogniser,
            photo_network=wanted.photo_network,
            threads=wanted.threads,
            memory=wanted.memory,
            watch=watch,
        )
        try:
            check_package(wanted.config, restorer.package.manifest)
            if person := read_rules(wanted.resolved.settings.face).person:
                restorer.person(person)  # so that a wrong photo is refused before any work
            if wanted.resolved.settings.scope == "photo":  # so that nothing is left to build for photos
                restorer.photo_network()
        except BaseException:
            restorer.close()
            raise
    return restorer


def _check_sheets(options: argparse.Namespace) -> None:
    """Reject contradictory options before any work is done."""
    alone = [name for name in ("list_faces", "compare_presets", "compare_packages") if getattr(options, name)]
    if options.output is None and not alone:
        raise SettingsError("there is nowhere to write to: give -o OUT (or --list-faces, --compare-…)")
    if options.resume and options.overwrite:
        raise SettingsError("--resume leaves outputs that exist, --overwrite replaces them: give one")
    for name in ("compare", "masks", "report") if options.output is None else ():
        if getattr(options, name):
            raise SettingsError(f"--{name} shows what was restored: give -o OUT as well")
    if len(options.photos) > 1 or options.photos[0].is_dir():
        of_one = next((name for name in (*alone, "masks") if getattr(options, name)), None)
        if of_one:
            raise SettingsError(f"--{of_one.replace('_', '-')} shows one photo: name one photo")


def check_licence(package: Package) -> None:
    """Raise PackageError unless the licences of a package's weights grant commercial use."""
    if withheld := without_grant(package):
        raise PackageError(
            f"package {one_line(package.folder)} has no licence that is known to grant commercial use "
            f"({one_line('; '.join(withheld))}): use other weights, or, if you have a grant, export the "
            "checkpoint again and name its licence with --licence"
        )


def check_package(config: Config, manifest: Manifest) -> None:
    """Check the package against the network sizes in the config file. Raises SettingsError."""
    for name in ("size", "channel_multiplier"):
        given, has = config.run.get(name), {"size": manifest.size, **manifest.network}.get(name)
        if given is not None and has is not None and given != has:
            raise SettingsError(
                f"{config.file}: {name} is {given}, but the package {one_line(manifest.name)} has {has}: "
                f"name the package that is meant (model_path), or leave {name} out"
            )
