"""Measurements that are taken once on a machine and stored in the folder of the engine cache."""

import hashlib
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from base.errors import GpenEdgeError
from base.files import write_json
from base.parallel import cores
from engines.cache import EngineCache
from engines.package import REQUIRED, Package

SUFFIX = ".measured"
Figures = Mapping[str, float]
Key = Mapping[str, str | int | None]
"""Everything that the figures depend on."""


class _Record(msgspec.Struct):
    key: dict[str, str | int | None]
    figures: dict[str, float]


def recall(what: str, key: Key) -> Figures | None:
    """Return the stored measurement for a key; None if there is none or its file is damaged."""
    try:
        record = msgspec.json.decode(_file(what, key).read_bytes(), type=_Record)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record.figures if record.key == dict(key) else None


def remember(what: str, key: Key, figures: Figures) -> None:
    """Store figures for the next start; if the folder cannot be written, they are measured again then."""
    file = _file(what, key)
    with suppress(OSError, GpenEdgeError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(file, _Record(dict(key), dict(figures)))


def key_of(package: Package, **others: str | int | None) -> Key:
    """Return a key made of a package's graphs, this machine's processor, and any further values."""
    graphs = package.manifest.graphs
    digest = hashlib.sha256("".join(graphs[name].sha256 for name in REQUIRED).encode())
    return {"package": digest.hexdigest(), "processor": processor(), "cores": cores(), **others}


def installed(*distributions: str) -> str | None:
    """Return the version of the first distribution that is installed."""
    for name in distributions:
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return None


def processor() -> str:
    """Return the processor's name, as its system writes it."""
    information = Path("/proc/cpuinfo")
    with suppress(OSError):
        for line in information.read_text(errors="replace").splitlines():
            if line.lower().startswith(("model name", "cpu model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file(what: str, key: Key) -> Path:
    digest = hashlib.sha256(msgspec.json.encode(dict(sorted(key.items())))).hexdigest()[:16]
    return EngineCache(limit_mib=0).folder / f"{what}-{digest}{SUFFIX}"
