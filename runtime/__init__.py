"""Photo in, restored photo out.

with Restorer.open() as restorer:
    result = restorer.restore(pixels, RestoreSettings())      # arrays
    photo, result = restore_photo(restorer, read_photo("old.jpg"), preset("film-scan"))
    write_photo("restored.jpg", photo)                        # files, or bytes with encode_photo

All errors are GpenEdgeErrors, whose message is one line: what was given, what was expected and what to do.
"""

from base.errors import (
    BackendError,
    DeviceLostError,
    EngineError,
    GpenEdgeError,
    PackageError,
    PhotoError,
    PixelsError,
    SettingsError,
)
from runtime.face_warnings import FaceWarning
from runtime.photo.reader import Photo, read_photo
from runtime.photo.writer import encode_photo, write_photo
from runtime.prepared import PreparedPhoto
from runtime.restorer import Restorer
from runtime.result import FaceResult, RestoreResult
from runtime.settings.config_file import read_settings
from runtime.settings.presets import PRESETS, preset
from runtime.settings.settings import SETTINGS, RestoreSettings
from runtime.whole_photo import restore_photo

__all__ = [
    "PRESETS",
    "SETTINGS",
    "BackendError",
    "DeviceLostError",
    "EngineError",
    "FaceResult",
    "FaceWarning",
    "GpenEdgeError",
    "PackageError",
    "Photo",
    "PhotoError",
    "PixelsError",
    "PreparedPhoto",
    "RestoreResult",
    "RestoreSettings",
    "Restorer",
    "SettingsError",
    "encode_photo",
    "preset",
    "read_photo",
    "read_settings",
    "restore_photo",
    "write_photo",
]
