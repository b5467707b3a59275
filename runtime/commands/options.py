"""The options of `python -m runtime.restore`, and what they and the config file ask for together."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from base.errors import SettingsError
from base.text import one_line
from engines.package import Manifest
from runtime.commands.build_progress import told_when_building
from runtime.network.backends import BackendName, Provider
from runtime.restorer import Restorer
from runtime.settings.config_file import Changes, Config, check_run, read_config
from runtime.settings.presets import PRESETS
from runtime.settings.resolved import InForce, in_force, written
from runtime.settings.setting import Setting
from runtime.settings.settings import SETTINGS, of_scope


@dataclass(frozen=True)
class Wanted:
    """What a run is to do: the options and the config file taken together."""

    config: Config
    force: InForce
    package: str | None
    """Folder or name of the model package; None is the bundled default."""
    backend: BackendName
    device: str | None
    provider: Provider | None
    detector: Path | None
    threads: int | None


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    A setting that is not given is None, so that the config file has its say.
    """
    about = "Restore the faces of photos."
    parser = argparse.ArgumentParser(prog="python -m runtime.restore", description=about)
    add = parser.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="photos, or folders of photos")
    add("-o", "--output", type=Path, metavar="OUT", help="a file for one photo, else a folder")
    add("--overwrite", action="store_true", help="replace files that exist, and a photo by its own result")
    add("--recursive", action="store_true", help="photos of the folders in a folder too")
    add("--resume", action="store_true", help="go on with an earlier run, also in its report")
    add("--max-megapixels", type=float, default=100, metavar="N", help="refuse larger photos and results")
    add_accept_damaged(parser)
    add_privacy(parser)
    add("--config", type=Path, metavar="FILE", help="TOML or JSON; the command line wins over it")
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
        _add_setting(group, SETTINGS[name])
    group = parser.add_argument_group("which faces, how large, how long")
    for name in of_scope("photo"):
        _add_setting(group, SETTINGS[name])
    group.add_argument(
        "--detector",
        type=Path,
        metavar="YUNET.onnx",
        help="Find faces with this YuNet model instead of the bundled CenterFace.",
    )


def _add_setting(group: "argparse._ArgumentGroup", setting: Setting) -> None:
    text = f"{setting.help} {_in_brackets(setting)}".rstrip().replace("%", "%%")
    if setting.kind == "switch":
        group.add_argument(
            setting.flag, dest=setting.name, default=None, action=argparse.BooleanOptionalAction, help=text
        )
        return
    metavar = "|".join(map(str, setting.choices)) or setting.metavar
    group.add_argument(setting.flag, dest=setting.name, type=setting.read, metavar=metavar, help=text)


def _in_brackets(setting: Setting) -> str:
    """Return the limits and the default of a setting as its help shows them."""
    if setting.kind == "switch":
        return ""
    limits = "" if setting.choices else setting.limits
    default = f"default: {written(setting.default)}"
    return f"({limits}; {default})" if limits else f"({default})"


def add_accept_damaged(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what becomes of damaged files."""
    said = "restore what can be read of a damaged or cut photo, with a remark, in place of refusing it"
    parser.add_argument("--accept-damaged", action="store_true", help=said)


def add_privacy(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what results tell beside the picture."""
    said = "write no EXIF (with its GPS position), XMP, captions or comments; the colour profile stays"
    parser.add_argument("--strip-metadata", action="store_true", help=said)


def _add_sheets(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is shown").add_argument
    add(
        "--list-faces", type=Path, metavar="SHEET.png", help="list the faces of one photo, boxed and numbered"
    )
    add("--compare-presets", type=Path, metavar="SHEET.png", help="sheet of one photo with every preset")
    add("--compare", type=Path, metavar="SHEET.png", help="before/after sheet; for many photos a folder")
    add("--masks", type=Path, metavar="SHEET.png", help="sheet of the face regions of one photo")
    add("--report", type=Path, metavar="FILE.json", help="what was found and done")


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what runs the networks, and where."""
    add = parser.add_argument_group("what runs it").add_argument
    add("--model", metavar="PACKAGE", help="folder of a model package, in place of the bundled default")
    add("--backend", choices=get_args(BackendName), help="what runs the networks")
    add("--device", metavar="DEVICE", help="where they run: cpu, or cuda:0")
    add("--provider", choices=get_args(Provider), help="what ONNX Runtime uses on a GPU (cuda)")
    add("--threads", type=int, metavar="N", help="CPU threads for the networks, in place of one per core")


def what_is_wanted(options: argparse.Namespace) -> Wanted:
    """Take the command line and the config file it names together. Raises GpenEdgeError."""
    _check_sheets(options)
    return wanted_by(options)


def wanted_by(options: argparse.Namespace) -> Wanted:
    """Take the settings and the machine's options together with the config file. Raises GpenEdgeError."""
    config = read_config(options.config) if options.config else Config()
    run: dict[str, Any] = dict(config.run)
    for name in ("backend", "device", "provider", "detector", "threads"):
        if getattr(options, name) is not None:
            run[name] = getattr(options, name)
    check_run(options.device, options.threads)
    return Wanted(
        config,
        in_force(config, said(options), options.preset),
        options.model or run.get("model_path"),
        run.get("backend", "auto"),
        run.get("device"),
        run.get("provider"),
        Path(run["detector"]) if "detector" in run else None,
        run.get("threads"),
    )


def said(options: argparse.Namespace) -> Changes:
    """Return the settings that the command line names."""
    return {name: value for name in SETTINGS if (value := getattr(options, name, None)) is not None}


def open_restorer(wanted: Wanted) -> Restorer:
    """Open what a run wants, once the config file agrees with the package. Raises GpenEdgeError."""
    with told_when_building() as watch:
        restorer = Restorer.open(
            wanted.package,
            wanted.backend,
            device=wanted.device,
            provider=wanted.provider,
            detector=wanted.detector,
            threads=wanted.threads,
            watch=watch,
        )
    try:
        check_package(wanted.config, restorer.package.manifest)
    except BaseException:
        restorer.close()
        raise
    return restorer


def _check_sheets(options: argparse.Namespace) -> None:
    """Refuse what does not go together before any work is done."""
    alone = [name for name in ("list_faces", "compare_presets") if getattr(options, name)]
    if options.output is None and not alone:
        raise SettingsError("there is nowhere to write to: give -o OUT (or --list-faces, --compare-presets)")
    if options.resume and options.overwrite:
        raise SettingsError("--resume leaves outputs that exist, --overwrite replaces them: give one")
    for name in ("compare", "masks", "report") if options.output is None else ():
        if getattr(options, name):
            raise SettingsError(f"--{name} shows what was restored: give -o OUT as well")
    if len(options.photos) > 1 or options.photos[0].is_dir():
        of_one = next((name for name in (*alone, "masks") if getattr(options, name)), None)
        if of_one:
            raise SettingsError(f"--{of_one.replace('_', '-')} shows one photo: name one photo")


def check_package(config: Config, manifest: Manifest) -> None:
    """Compare what the config file says of the network with the package. Raises SettingsError."""
    for name in ("size", "channel_multiplier"):
        given, has = config.run.get(name), {"size": manifest.size, **manifest.network}.get(name)
        if given is not None and has is not None and given != has:
            raise SettingsError(
                f"{config.file}: {name} is {given}, but the package {one_line(manifest.name)} has {has}: "
                f"name the package that is meant (model_path), or leave {name} out"
            )
