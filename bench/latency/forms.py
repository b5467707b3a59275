"""The network in the forms that are compared, each opened by name.

A form's own libraries are imported when it is opened, so that a process which holds one pays for that alone.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from engines.gpu import find_gpu

Array: TypeAlias = NDArray[np.float32]
Form: TypeAlias = Callable[[Array], Array]
"""B×3×S×S crops in [−1, 1] to restored ones."""


@dataclass(frozen=True)
class Way:
    """One way to run the network."""

    open: Callable[[Path, int], Form]
    """From a checkpoint, an ONNX file or a package, with so many CPU threads."""
    why_not: Callable[[], str | None] = lambda: None
    """Say why it cannot run here, if so."""
    builds_engines: bool = False
    """When it is first opened; later they are in the cache."""


def _torch(
    checkpoint: Path, threads: int, *, device: str = "cpu", precision: str = "float32", compiled: bool = False
) -> Form:
    import torch

    from export.gpen.checkpoint import load_checkpoint
    from export.gpen.network import Gpen

    torch.set_num_threads(threads)
    loaded = load_checkpoint(checkpoint)
    place = {"device": device, "dtype": getattr(torch, precision)}
    network: Any = Gpen.from_state(loaded.layout, loaded.state).to(**place)
    if compiled:
        network = torch.compile(network)

    def restore(crops: Array) -> Array:
        with torch.inference_mode():
            return cast(Array, network(torch.from_numpy(crops).to(**place)).float().cpu().numpy())

    return restore


def _static_torch(checkpoint: Path, threads: int) -> Form:
    import torch

    from export.gpen import static
    from export.gpen.checkpoint import load_checkpoint
    from export.gpen.network import Gpen

    torch.set_num_threads(threads)
    loaded = load_checkpoint(checkpoint)
    net = static.fold(Gpen.from_state(loaded.layout, loaded.state))

    def restore(crops: Array) -> Array:
        with torch.inference_mode():
            return cast(Array, static.restore(net, torch.from_numpy(crops)).numpy())

    return restore


def _onnxruntime(graph: Path, threads: int) -> Form:
    from runtime.onnx_session import open_network

    session = open_network(graph, threads)
    name = session.get_inputs()[0].name
    return lambda crops: cast(Array, session.run(None, {name: crops})[0])


def _openvino(graph: Path, threads: int) -> Form:
    # It would report each import to its maker; what is not there it does without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    opened: dict[int, Any] = {}

    def restore(crops: Array) -> Array:
        batch = len(crops)
        if batch not in opened:  # it is quicker where it knows all lengths
            model = core.read_model(graph)
            model.reshape(list(crops.shape))
            opened[batch] = core.compile_model(model, "CPU", options)
        return np.array(opened[batch](crops)[0])

    return restore


def _package(
    folder: Path,
    threads: int,
    *,
    backend: str = "onnxruntime",
    device: str = "cpu",
    provider: str | None = None,
) -> Form:
    from engines.package import open_package
    from runtime.network.backends import BackendName, Provider, open_backend

    opened = open_backend(
        cast(BackendName, backend),
        open_package(folder),
        device=device,
        provider=cast("Provider | None", provider),
        threads=threads,
    )

    def restore(crops: Array) -> Array:
        restored = []
        for start in range(0, len(crops), opened.max_batch):
            state = opened.encode(crops[start : start + opened.max_batch])
            opened.generate(state)
            restored.append(opened.restored(state))
            opened.release(state)
        return np.concatenate(restored)

    return restore


def _without_gpu() -> str | None:
    return None if find_gpu() else "no NVIDIA GPU was found"


def _without_torch_gpu() -> str | None:
    if without := _without_gpu():
        return without
    import torch

    return None if torch.cuda.is_available() else "this PyTorch cannot use the GPU: install one for CUDA"


def _without_compiler() -> str | None:
    from shutil import which

    return None if which("g++") or which("clang++") else "torch.compile finds no C++ compiler: install g++"


def _without_provider(provider: str) -> str | None:
    if without := _without_gpu():
        return without
    import onnxruntime

    if provider in onnxruntime.get_available_providers():
        return None
    return f"this ONNX Runtime has no {provider}: pip install 'gpen-edge[gpu]'"


def _without_openvino() -> str | None:
    return None if find_spec("openvino") else "OpenVINO is not installed: pip install openvino"


def _without_engines(module: str, extra: str) -> str | None:
    if without := _without_gpu():
        return without
    missing = [name for name in (module, "pycuda") if not find_spec(name)]
    return f"{' and '.join(missing)} not installed: pip install 'gpen-edge[{extra}]'" if missing else None


WAYS: dict[str, Way] = {
    "torch": Way(_torch),
    "torch-compile": Way(partial(_torch, compiled=True), _without_compiler),
    "torch-gpu-compile": Way(partial(_torch, compiled=True, device="cuda"), _without_torch_gpu),
    **{
        f"torch-gpu-{short}": Way(partial(_torch, device="cuda", precision=precision), _without_torch_gpu)
        for short, precision in (("fp32", "float32"), ("fp16", "float16"), ("bf16", "bfloat16"))
    },
    "torch-static": Way(_static_torch),
    "onnxruntime": Way(_onnxruntime),
    "openvino": Way(_openvino, _without_openvino),
    "package": Way(_package),
    "package-cuda": Way(
        partial(_package, device="cuda:0", provider="cuda"),
        partial(_without_provider, "CUDAExecutionProvider"),
    ),
    "package-tensorrt-provider": Way(
        partial(_package, device="cuda:0", provider="tensorrt"),
        partial(_without_provider, "TensorrtExecutionProvider"),
    ),
    "package-tensorrt": Way(
        partial(_package, backend="tensorrt", device="cuda:0"),
        partial(_without_engines, "tensorrt", "tensorrt"),
        builds_engines=True,
    ),
    "package-tensorrt-rtx": Way(
        partial(_package, backend="tensorrt-rtx", device="cuda:0"),
        partial(_without_engines, "tensorrt_rtx", "tensorrt-rtx"),
        builds_engines=True,
    ),
}
