"""Open networks in ONNX Runtime; all networks of a process are opened here."""

from collections.abc import Sequence
from functools import lru_cache
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
    if _share_memory(onnxruntime):
        options.add_session_config_entry("session.use_env_allocators", "1")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's own exceptions have no common public base
        raise BackendError(f"ONNX Runtime cannot open {what}, {path}: {cause_of(error)}") from error


def free_memory(session: Any, inputs: dict[str, NDArray[np.float32]]) -> None:
    """Return scratch memory that no network uses to the system; to do so, ONNX Runtime has to run one.

    inputs  for the session, which should be a small network
    """
    options = import_onnxruntime("the network").RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    session.run(None, inputs, options)


@lru_cache(maxsize=1)
def _share_memory(onnxruntime: Any) -> bool:
    """Have all networks of this process take scratch memory on the CPU from one place, as they run in turns.

    Otherwise each keeps as much as it ever needed. Returns False if this ONNX Runtime cannot do it.
    """
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    try:
        place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
        onnxruntime.create_and_register_allocator(place, None)
    except Exception:  # no common public base; another part of the program may have done it before
        return False
    return True


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
