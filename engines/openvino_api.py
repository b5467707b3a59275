"""Importing OpenVINO."""

import sys
from typing import Any

from base.errors import BackendError


def import_openvino() -> Any:
    """Return the module `openvino`. Raises BackendError if it is not installed."""
    # With this module it would report every import to its maker; it also works without it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise BackendError("this backend needs OpenVINO: pip install 'gpen-edge[openvino]'") from error
    return openvino
