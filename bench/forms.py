"""The forms of the network that are compared. Each is opened from a file and maps B×3×S×S to B×3×S×S.

A form's own libraries are imported when it is opened, so that a process which holds one pays for that alone.
"""

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]
Form: TypeAlias = Callable[[Array], Array]
FormName: TypeAlias = Literal["published", "static", "winograd"]


def open_form(name: FormName, file: Path, threads: int) -> Form:
    """Open the published form of a checkpoint, in PyTorch, or a fused graph, in ONNX Runtime."""
    return (_published if name == "published" else _static)(file, threads)


def random_crop(size: int) -> Array:
    """Return noise, 1×3×S×S in [−1, 1], always the same."""
    return np.random.default_rng(0).uniform(-1, 1, (1, 3, size, size)).astype(np.float32)


def _published(checkpoint: Path, threads: int) -> Form:
    import torch

    from export.checkpoint import load_checkpoint
    from export.network import Gpen

    torch.set_num_threads(threads)
    loaded = load_checkpoint(checkpoint)
    network = Gpen.from_state(loaded.layout, loaded.state)

    def restore(crop: Array) -> Array:
        with torch.inference_mode():
            restored: Array = network(torch.from_numpy(crop)).numpy()
        return restored

    return restore


def _static(graph: Path, threads: int) -> Form:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda crop: session.run(None, {name: crop})[0]


def peak_memory() -> float:
    """Return the largest resident size this process has had, in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent held when it started this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":  # python -m bench.forms FORM FILE THREADS SIZE: print the peak of one restoration
    form, path, count, side = sys.argv[1:]
    open_form(form, Path(path), int(count))(random_crop(int(side)))  # type: ignore[arg-type]
    print(peak_memory())  # noqa: T201
