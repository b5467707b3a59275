"""Choose the backend that runs the networks, and report why."""

from collections.abc import Callable
from typing import get_args

from base.errors import BackendError, GpenEdgeError
from engines.builder import Watch
from engines.gpu import find_gpu
from engines.package import Package
from runtime.network.backends import Backend, BackendName, Provider, device_index

_CPU_TOO = "the CPU was asked for"


def choose(
    name: BackendName,
    package: Package,
    *,
    device: str | None,
    provider: Provider | None,
    threads: int | None,
    watch: Watch | None,
) -> Backend:
    """Open a backend; see `open_backend`."""
    if name not in get_args(BackendName):
        raise BackendError(f"no backend {name!r}: there are {', '.join(get_args(BackendName))}")
    manifest = package.manifest
    if manifest.loop_kind != "renewed" and not manifest.moves_latent:
        raise BackendError(
            f"package {package.folder} was exported with --loop renewed, and its manifest says "
            f"{manifest.loop_kind}: export its checkpoint again"
        )
    index = 0 if device is None else device_index(device)
    if provider is not None and (name != "onnxruntime" or index is None):
        raise BackendError(
            f"provider {provider} belongs to ONNX Runtime on a GPU: add --backend onnxruntime --device cuda:0"
        )
    if name in ("tensorrt", "tensorrt-rtx"):
        if index is None:
            raise BackendError(
                f"{name} runs on NVIDIA GPUs: leave --device cpu out, or add --backend onnxruntime"
            )
        return _tensorrt(name, package, index, watch)
    if index is None:
        return _onnxruntime(package, None, None, threads, _CPU_TOO)
    if name == "onnxruntime" and provider is not None:
        return _onnxruntime(package, index, provider, threads, "asked for")
    # Try what is installed, fastest first; a named device rules out what cannot use it.
    ways: list[tuple[str, Callable[[], Backend]]] = [
        ("TensorRT", lambda: _tensorrt("tensorrt", package, index, watch)),
        ("TensorRT-RTX", lambda: _tensorrt("tensorrt-rtx", package, index, watch)),
        ("ONNX Runtime on CUDA", lambda: _onnxruntime(package, index, "cuda", threads, "")),
    ]
    if name == "onnxruntime":
        del ways[:2]
    gpu = find_gpu(index)
    if gpu is None:
        why = "no NVIDIA GPU with a working driver" + (f" is {device}" if device else " was found")
        if device is not None:
            raise BackendError(f"{why}: check its driver, or use --device cpu")
        return _onnxruntime(package, None, None, threads, why)
    missing: list[str] = []
    for what, opened in ways:
        try:
            backend = opened()
        except GpenEdgeError as error:
            missing.append(f"{what}: {error}")
        else:
            backend.why = "; ".join([*filter(None, [backend.why]), *missing]) or "asked for"
            return backend
    if device is not None:
        raise BackendError(f"nothing can use {device}: {'; '.join(missing)}")
    return _onnxruntime(package, None, None, threads, "; ".join(missing))


def _tensorrt(name: BackendName, package: Package, index: int, watch: Watch | None) -> Backend:
    from runtime.network.backends.tensorrt import TensorRtBackend

    return TensorRtBackend(
        package, name="tensorrt-rtx" if name == "tensorrt-rtx" else "tensorrt", index=index, watch=watch
    )


def _onnxruntime(
    package: Package, index: int | None, provider: Provider | None, threads: int | None, why: str
) -> Backend:
    from runtime.network.backends.onnxruntime import OnnxRuntimeBackend

    device = "cpu" if index is None else f"cuda:{index}"
    return OnnxRuntimeBackend(package, device=device, provider=provider, threads=threads, why=why)
