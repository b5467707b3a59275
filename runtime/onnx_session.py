"""Open networks in ONNX Runtime; all networks of a process are opened here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import BackendError
from base.text import cause_of

CPU = "CPUExecutionProvider"


def open_network(
    path: Path,
    threads: int | None = None,
    providers: Sequence[str | tuple[str, dict[str, str]]] = (CPU,),
    what: str = "the network",
    profile: Path | None = None,
) -> Any:
    """Return an `onnxruntime.InferenceSession`.

    threads    number of CPU threads; None is one per core
    providers  in the form that ONNX Runtime expects
    what       description of the network, for errors
    profile    prefix of profile files; None writes none

    Raises BackendError if ONNX Runtime is not installed or cannot open the file.
    """
    onnxruntime = import_onnxruntime(what)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Threads spin while they wait for work within a run, which saves a tenth of a small network's time. They
    # must stop when the run ends, because the next session's threads need the cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's own exceptions have no common public base
        raise BackendError(f"ONNX Runtime cannot open {what}, {path}: {cause_of(error)}") from error


def run_network(
    session: Any, outputs: list[str], inputs: dict[str, NDArray[np.float32]], what: str
) -> list[NDArray[np.float32]]:
    """Return the named outputs of a session for these inputs. Raises BackendError if it fails.

    what  description of the network, for errors
    """
    try:
        return list(session.run(outputs, inputs))
    except Exception as error:  # ONNX Runtime's exceptions have no common public base class
        raise BackendError(f"{what} failed: {cause_of(error)}") from error


def import_onnxruntime(what: str) -> Any:
    """Return the module `onnxruntime`. Raises BackendError if it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"{what} needs ONNX Runtime: pip install 'gpen-edge[cpu]'") from error
    return onnxruntime
