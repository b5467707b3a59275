"""Photo in, restored photo out.

with Restorer.open() as restorer:
    result = restorer.restore(pixels, RestoreSettings())

All errors are GpenEdgeErrors, whose message is one line: what was given, what was expected and what to do.
"""

from base.errors import (
    BackendError,
    EngineError,
    GpenEdgeError,
    PackageError,
    PhotoError,
    PixelsError,
    SettingsError,
)
from runtime.face_warnings import FaceWarning
from runtime.restorer import Restorer
from runtime.result import FaceResult, RestoreResult
from runtime.settings.config_file import read_settings
from runtime.settings.presets import preset
from runtime.settings.settings import SETTINGS, RestoreSettings

__all__ = [
    "SETTINGS",
    "BackendError",
    "EngineError",
    "FaceResult",
    "FaceWarning",
    "GpenEdgeError",
    "PackageError",
    "PhotoError",
    "PixelsError",
    "RestoreResult",
    "RestoreSettings",
    "Restorer",
    "SettingsError",
    "preset",
    "read_settings",
]
