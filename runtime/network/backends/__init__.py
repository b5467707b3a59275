"""Backends that run the networks of a package, behind one small protocol."""

from runtime.network.backends.batch_size import MEMORY
from runtime.network.backends.choice import (
    AUTO,
    BackendName,
    Provider,
    open_backend,
)
from runtime.network.backends.device import DEVICES, Device, parse_device
from runtime.network.backends.protocol import (
    Backend,
    Batch,
    BatchLostError,
    Move,
    OpensTiles,
    RestoresSideBySide,
)

__all__ = [
    "AUTO",
    "DEVICES",
    "MEMORY",
    "Backend",
    "BackendName",
    "Batch",
    "BatchLostError",
    "Device",
    "Move",
    "OpensTiles",
    "Provider",
    "RestoresSideBySide",
    "open_backend",
    "parse_device",
]
