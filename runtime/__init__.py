"""Photo in, restored photo out.

with Restorer.open() as restorer:
    result = restorer.restore(pixels, RestoreSettings())
"""

from runtime.presets import preset
from runtime.restorer import Restorer
from runtime.result import FaceResult, RestoreResult
from runtime.settings import RestoreSettings
from runtime.warnings import FaceWarning

__all__ = ["FaceResult", "FaceWarning", "RestoreResult", "RestoreSettings", "Restorer", "preset"]
