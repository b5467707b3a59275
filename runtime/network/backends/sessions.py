"""How every ONNX Runtime session of a process begins, on a GPU or beside it."""

from typing import Any


def session_options(threads: int | None = None) -> Any:
    """Return the options of a session that computes with so many threads; None is one per core.

    Raises ImportError where ONNX Runtime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Threads that wait for work within a run spin, which saves a tenth of a small network's time. Once the
    # run is over they must not: the cores belong to the next session's threads.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options
