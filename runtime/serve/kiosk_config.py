"""The operator's settings of a kiosk, from kiosk.toml."""

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from base.errors import SettingsError
from base.near_names import near_or_all, unknown
from base.setting import Range
from base.text import cause_of, one_line
from runtime.settings.presets import PRESETS

SHORTEST_PASSWORD = 10


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of kiosk.toml; unknown keys are errors."""


class Phones(Table, frozen=True):
    """Phones of customers, which upload photos and take results home. They reach nothing else."""

    listen: str = "0.0.0.0:8081"
    """Address and port for phones."""
    url: str = ""
    """The URL at which phones reach it, such as `http://192.168.4.1:8081`; empty: this machine's address."""
    minutes: float = 5
    """For how long an upload code is valid."""
    wifi: str = ""
    """The name of the network that phones must join first, for the screen."""

    @property
    def address(self) -> tuple[str, int]:
        """Address and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class Media(Table, frozen=True):
    """Where photos may come from besides an upload."""

    sticks: tuple[Path, ...] = (Path("/media"), Path("/run/media"))
    """Folders below which sticks and cards are mounted."""
    scans: tuple[Path, ...] = ()
    """Folders into which a scanner writes. A customer sees only scans from the current visit."""
    delete_scans: bool = False
    """Delete scans `minutes` after they came in."""


class Paper(Table, frozen=True):
    """A size of paper."""

    name: str
    media: str
    """The printer's name for it, as `lpoptions -l` lists them: `na_index-4x6_4x6in`."""
    width_mm: float
    height_mm: float
    label: str = ""
    """For people."""


class Printing(Table, frozen=True):
    """A printer of CUPS."""

    printer: str
    server: str = ""
    """Socket or host of CUPS; empty: the usual one."""
    copies: int = 3
    """The most copies that one customer may print."""
    resume_seconds: float = 15
    """A printer that CUPS has stopped is started again this often; 0 leaves it to the staff."""
    papers: tuple[Paper, ...] = (
        Paper("4x6", "na_index-4x6_4x6in", 101.6, 152.4, "10 × 15 cm"),
        Paper("5x7", "na_5x7_5x7in", 127, 177.8, "13 × 18 cm"),
    )


class HotFolder(Table, frozen=True, rename={"photos": "in", "output": "out"}):
    """A hot folder that shares the restorer, see docs/hot-folder.md."""

    photos: Path
    output: Path
    preset: str = "standard"


class Admin(Table, frozen=True):
    """The admin page, which is off without a password."""

    password_file: Path | None = None
    """A file with the password, which only the server may read."""


class KioskConfig(Table, frozen=True):
    """The settings; without kiosk.toml these defaults."""

    name: str = "gpen-edge"
    language: str = "en"
    """The language of the first screen."""
    languages: tuple[str, ...] = ()
    """Languages that are offered; empty: all."""
    presets: tuple[str, ...] = ("standard", "early-digital", "film-scan", "low-light")
    """Presets that are offered, the default first."""
    minutes: float = 10
    """Minutes after the last touch when a customer's files are deleted."""
    most_minutes: float = 60
    """Minutes after the start of a visit when they are deleted in any case."""
    idle_seconds: float = 60
    """Seconds without a touch after which the page asks, and then returns to its first screen."""
    take_home_minutes: float = 10
    queue: int = 20
    """Photos that may wait; further customers are told that the kiosk is busy."""
    visits: int = 200
    """Customers at the same time, with phones and pages."""
    prepared: int = 3
    """Photos that are kept ready in memory."""
    max_megabytes: float = 60
    max_megapixels: float = 60
    strip_metadata: bool = False
    """Write results without EXIF with its GPS position, XMP and captions."""
    files: bool = True
    """Customers may open a file dialog on this machine; browsers in kiosk mode show its folders."""
    phones: Phones | None = None
    media: Media = Media()
    printing: Printing | None = None
    hot_folder: HotFolder | None = None
    admin: Admin = Admin()


_LIMITS: dict[type, dict[str, Range]] = {
    KioskConfig: {
        "minutes": Range(0.01, 24 * 60),
        "most_minutes": Range(0.01, 24 * 60),
        "idle_seconds": Range(5, 3600),
        "take_home_minutes": Range(0.01, 24 * 60),
        "queue": Range(1, 1000),
        "visits": Range(1, 10_000),
        "prepared": Range(1, 50),
        "max_megabytes": Range(0.01, 2000),
        "max_megapixels": Range(0.01, 1000),
    },
    Phones: {"minutes": Range(0.01, 24 * 60)},
    Printing: {"copies": Range(1, 1000), "resume_seconds": Range(0, 24 * 3600)},
    Paper: {"width_mm": Range(10, 2000), "height_mm": Range(10, 2000)},
}


def read_kiosk_config(path: Path | None) -> KioskConfig:
    """Read kiosk.toml; None returns the defaults. Raises SettingsError."""
    if path is None:
        return KioskConfig()
    name = one_line(path)
    try:
        config = msgspec.toml.decode(
            path.read_bytes(), type=KioskConfig, dec_hook=lambda kind, value: kind(value)
        )
    except OSError as error:
        raise SettingsError(f"cannot read {name}: {cause_of(error)}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {_plain(str(error))}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{name} is not TOML: {cause_of(error)}") from error
    check_kiosk_config(config, name)
    return config


def check_kiosk_config(config: KioskConfig, name: str, presets: Any = PRESETS) -> None:
    """Check values whose type is not sufficient. Raises SettingsError.

    name     of the file, for the error
    presets  names of all presets there are
    """
    papers = config.printing.papers if config.printing else ()
    tables = [("", config), ("phones.", config.phones), ("printing.", config.printing)]
    for where, table in (*tables, *(("printing.papers.", paper) for paper in papers)):
        for key, allowed in _LIMITS.get(type(table), {}).items():
            value = getattr(table, key)
            if value not in allowed:
                raise SettingsError(f"{name}: {where}{key} is {value:g}: give {allowed}")
    if not config.presets:
        raise SettingsError(f"{name}: presets is empty: name at least one")
    if config.phones and not re.fullmatch(r".+:\d{1,5}", config.phones.listen):
        raise SettingsError(
            f"{name}: phones.listen is {one_line(config.phones.listen)}: give address:port, "
            "such as 0.0.0.0:8081"
        )
    if config.phones and not re.fullmatch(r"(https?://[^\s/]+/?)?", config.phones.url):
        raise SettingsError(f"{name}: phones.url must be an address such as http://192.168.4.1:8081")
    if config.printing and not papers:
        raise SettingsError(f"{name}: printing needs at least one paper")
    wanted = [*config.presets, *([config.hot_folder.preset] if config.hot_folder else [])]
    for preset in wanted:
        if preset not in presets:
            raise SettingsError(f"{name}: {unknown('preset', preset, presets)}")


def read_password(admin: Admin) -> str | None:
    """Return the password of the admin page; None if none is set. Raises SettingsError."""
    file = admin.password_file
    if file is None:
        return None
    name = one_line(file)
    try:
        mode, password = file.stat().st_mode, file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the admin password in {name}: {cause_of(error)}") from error
    if os.name == "posix" and mode & 0o007:
        raise SettingsError(f"others may read the admin password in {name}: chmod 600 it")
    if len(password) < SHORTEST_PASSWORD:
        raise SettingsError(f"the admin password in {name} is too short: give {SHORTEST_PASSWORD} characters")
    return password


def _plain(message: str) -> str:
    """Return msgspec's message with the key as it stands in the file, and a near name for an unknown one."""
    found = re.fullmatch(r"Object contains unknown field `(.*?)`(?: - at `(.*)`)?", message)
    if not found:
        return one_line(message.replace("`$.", "`").replace("`", ""))
    key, place = found[1], (found[2] or "$").removeprefix("$").removeprefix(".")
    tables: dict[str, type[Table]] = {"": KioskConfig, "phones": Phones, "media": Media, "printing": Printing}
    tables |= {"hot_folder": HotFolder, "admin": Admin}
    table = tables.get(place, Paper)
    where = f"{place}.{key}" if place else key
    return f"unknown key {one_line(where)}: {near_or_all(key, table.__struct_encode_fields__)}"
