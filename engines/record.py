"""The key that identifies an engine, and the record stored beside it (design §5)."""

import hashlib
import re
from dataclasses import dataclass

import msgspec

from engines.construction import METHOD
from engines.layers import EngineLayer
from engines.package import GraphName

SCHEMA = 1
"""Version of the record's format; engines whose record has another version are rebuilt."""


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """Everything that an engine depends on: engines with equal keys are interchangeable."""

    graph: GraphName
    graph_sha256: str
    runtime: str
    """`tensorrt`, `rtx`, or a backend that compiles models."""
    version: str
    """Of the runtime."""
    target: str
    """Target hardware; for NVIDIA GPUs see `engines.targets`."""
    precision: str
    """Of the package: fp32, fp16 or int8."""
    max_batch: int
    method: int = METHOD

    @property
    def stem(self) -> str:
        """Name of its files without suffix: readable, and different for different keys."""
        digest = hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:8]
        target = re.sub(r"[^a-z0-9_+]+", "-", self.target.lower()).strip("-")
        return (
            f"{self.graph}-{self.graph_sha256[:8]}-{self.precision}-b{self.max_batch}-{target}-"
            f"{self.runtime}-{self.version}-{digest}"
        )


@dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """The JSON file beside an engine, with its hash and what is known about it."""

    schema: int = SCHEMA
    key: EngineKey
    sha256: str
    """Of the engine."""
    size: int
    """Of the engine, bytes."""
    package: str
    """Name of the package that it was first built for."""
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
    """Parse a record from JSON; return None if it is damaged or has another format."""
    try:
        record = msgspec.json.decode(content, type=EngineRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record if record.schema == SCHEMA else None
