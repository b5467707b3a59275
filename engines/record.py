"""What identifies an engine, and what is kept beside it (design §5)."""

import hashlib
import re
from dataclasses import dataclass

import msgspec

from engines.construction import METHOD
from engines.layers import EngineLayer
from engines.package import GraphName
from engines.tensorrt_api import RuntimeName

SCHEMA = 1
"""Version of the record's form; records of another are not read, their engines rebuilt."""


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """All that an engine depends on: two engines with one key can stand for each other."""

    graph: GraphName
    graph_sha256: str
    runtime: RuntimeName
    version: str
    """Of the runtime."""
    target: str
    """See targets."""
    precision: str
    """The package's: fp32, fp16, int8."""
    max_batch: int
    method: int = METHOD

    @property
    def stem(self) -> str:
        """Its files' name without suffix: readable, and different for different keys."""
        digest = hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:8]
        target = re.sub(r"[^a-z0-9_+]+", "-", self.target.lower()).strip("-")
        return (
            f"{self.graph}-{self.graph_sha256[:8]}-{self.precision}-b{self.max_batch}-{target}-"
            f"{self.runtime}-{self.version}-{digest}"
        )


@dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """The JSON file beside an engine, which vouches for it."""

    schema: int = SCHEMA
    key: EngineKey
    sha256: str
    """Of the engine."""
    size: int
    """Of the engine, bytes."""
    package: str
    """Name of the package it was first built for."""
    built: str
    """When, UTC, ISO 8601."""
    seconds: float
    """That building took."""
    activation_bytes: int | None = None
    weights_bytes: int | None = None
    layers: tuple[EngineLayer, ...] = ()


def encode_record(record: EngineRecord) -> bytes:
    """Return a record as JSON."""
    return msgspec.json.encode(record) + b"\n"


def decode_record(content: bytes) -> EngineRecord | None:
    """Return the record that JSON holds, or None when it is damaged or of another form."""
    try:
        record = msgspec.json.decode(content, type=EngineRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record if record.schema == SCHEMA else None
