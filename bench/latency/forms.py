"""The network in the forms that are compared, each opened by name.

A form's libraries are imported when it is opened, so that each process bears only the cost of its own form.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from engines.gpu import find_gpu

Array: TypeAlias = NDArray[np.float32]
Form: TypeAlias = Callable[[Array], Array]
"""B×3×S×S crops in [−1, 1] to restored ones."""


@dataclass(frozen=True)
class Explained:
    """A form that reports its backend."""

    form: Form
    backend: str
    """The backend, its device, and why it was taken."""

    def __call__(self, crops: Array) -> Array:
        """Restore crops."""
        return self.form(crops)


def _torch(
    checkpoint: Path, threads: int, *, device: str = "cpu", precision: str = "float32", compiled: str = ""
) -> Form:
    import torch

    from export.architectures import load_restoring

    torch.set_num_threads(threads)
    place = {"device": device, "dtype": getattr(torch, precision)}
    network: Any = load_restoring(checkpoint)[1].module.to(**place)
    if compiled:
        network = torch.compile(network)

    def restore(crops: Array) -> Array:
        with torch.inference_mode():
            return cast(Array, network(torch.from_numpy(crops).to(**place)).float().cpu().numpy())

    return restore


def _static_torch(checkpoint: Path, threads: int) -> Form:
    import torch

    from export.architectures import load_restoring

    torch.set_num_threads(threads)
    parts = load_restoring(checkpoint)[1].constant("exact")

    def restore(crops: Array) -> Array:
        with torch.inference_mode():
            return cast(Array, parts.restore(torch.from_numpy(crops)).numpy())

    return restore


def _onnxruntime(graph: Path, threads: int) -> Form:
    from runtime.onnx_session import open_network

    session = open_network(graph, threads)
    name = session.get_inputs()[0].name
    return lambda crops: cast(Array, session.run(None, {name: crops})[0])


def _openvino(graph: Path, threads: int, *, precision: str = "f32") -> Form:
    from engines.openvino_api import import_openvino
    from runtime.network.backends.openvino_graph import rewritten

    core = import_openvino().Core()
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    opened: dict[int, Any] = {}

    def restore(crops: Array) -> Array:
        batch = len(crops)
        if batch not in opened:  # it is faster if it knows all sizes
            model = core.read_model(graph)
            model.reshape(list(crops.shape))
            opened[batch] = core.compile_model(rewritten(model), "CPU", options)
        return np.array(opened[batch](crops)[0])

    return restore


def _package(
    folder: Path,
    threads: int,
    *,
    backend: str = "onnxruntime",
    device: str | None = "cpu",
    provider: str | None = None,
) -> Explained:
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

    return Explained(restore, f"{opened.name} on {opened.device}: {opened.why}")


def _auto(folder: Path, threads: int) -> Explained:
    return _package(folder, threads, backend="auto", device=None)


OPEN: dict[str, Callable[..., Form]] = {
    "torch": _torch,
    "torch-static": _static_torch,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "package": _package,
    "auto": _auto,
}


@dataclass(frozen=True)
class Way:
    """One way to run the network: a form, and how it is opened."""

    form: str
    """One of OPEN."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further arguments of the form's function: device, precision, compiled; backend, provider."""

    def open(self, path: Path, threads: int) -> Form:
        """Open a checkpoint, an ONNX file or a package, to compute with so many CPU threads."""
        return OPEN[self.form](path, threads, **self.options)

    @property
    def builds_engines(self) -> bool:
        """Return whether engines are built when it is first opened; later they are in the cache."""
        return self.options.get("backend", "").startswith("tensorrt")

    def why_not(self) -> str | None:
        """Return why it cannot run here; None if it can."""
        if "openvino" in (self.form, self.options.get("backend")):
            return self._why_not_in_openvino()
        if "device" not in self.options:
            compilers = which("g++") or which("clang++")
            missing = "compiled" in self.options and not compilers
            return "torch.compile finds no C++ compiler: install g++" if missing else None
        return self._why_not_on_gpu() if find_gpu() else "no NVIDIA GPU was found"

    def _why_not_in_openvino(self) -> str | None:
        if not find_spec("openvino"):
            return "OpenVINO is not installed: pip install 'gpen-edge[openvino]'"
        if self.options.get("precision") != "bf16":
            return None
        from engines.openvino_api import import_openvino

        able = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return None if "BF16" in able else "this processor has no bf16"

    def _why_not_on_gpu(self) -> str | None:
        if self.form == "torch":
            import torch

            usable = torch.cuda.is_available()
            return None if usable else "this PyTorch cannot use the GPU: install one for CUDA"
        if self.builds_engines:
            extra = self.options["backend"]
            missing = [name for name in (extra.replace("-", "_"), "pycuda") if not find_spec(name)]
            lacks = f"{' and '.join(missing)} not installed: pip install 'gpen-edge[{extra}]'"
            return lacks if missing else None
        import onnxruntime

        names = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
        provider = names[self.options["provider"]]
        if provider in onnxruntime.get_available_providers():
            return None
        return f"this ONNX Runtime has no {provider}: pip install 'gpen-edge[gpu]'"
