"""Choose the backend that runs the networks, and report why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from base.errors import BackendError, DeviceLostError, GpenEdgeError, SettingsError
from engines.builder import Watch
from engines.gpu import find_gpu
from engines.package import Package
from runtime.network.backends.batch_size import GB, IN_ONNXRUNTIME, IN_OPENVINO, MEMORY, Footprint, too_much
from runtime.network.backends.device import Device, DeviceKind, parse_device
from runtime.network.backends.fastest import fastest, may_measure
from runtime.network.backends.lost_devices import check_not_lost
from runtime.network.backends.measured import installed, key_of
from runtime.network.backends.openvino_graph import METHOD
from runtime.network.backends.protocol import Backend, OpensTiles
from runtime.network.backends.spare import SparedBackend

BackendName = Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime", "openvino"]
AUTO = (
    "auto takes TensorRT, else TensorRT-RTX, else ONNX Runtime on CUDA, else on the CPU ONNX Runtime or, "
    "where it is installed and was measured to be faster, OpenVINO"
)
"""The order in which `auto` tries backends, in words."""
Provider = Literal["cuda", "tensorrt", "tensorrt-rtx"]
"""Execution provider that ONNX Runtime uses on a GPU."""


@dataclass(frozen=True)
class Request:
    """The networks to open, and the user's options."""

    package: Package
    device: Device | None
    """None selects the device on which the backend is fastest."""
    provider: Provider | None
    threads: int | None
    memory: float | None
    """None is the default bound, which does not exclude anything."""
    watch: Watch | None

    @property
    def bound(self) -> float:
        """Return the bound on memory in GB."""
        return MEMORY if self.memory is None else self.memory


@dataclass(frozen=True)
class Row:
    """A backend's entry in the table."""

    title: str
    """Its official name."""
    kinds: tuple[DeviceKind, ...]
    """The kinds of devices it supports."""
    places: str
    """The same in words, for errors."""
    open: Callable[[Request, Device, str], Backend]
    """Opens it on a device, given the reason for choosing it; imports its dependencies only then."""
    distributions: tuple[str, ...] = ()
    """Any of these packages provides it; if none is installed, `auto` does not consider it on a CPU."""
    method: int = 0
    """Version of how it prepares graphs: its speed is measured again after a change."""
    footprint: Footprint | None = None
    """What it needs on a CPU."""


def open_backend(
    name: BackendName,
    package: Package,
    *,
    device: str | None = None,
    provider: Provider | None = None,
    threads: int | None = None,
    memory: float | None = None,
    watch: Watch | None = None,
) -> Backend:
    """Open a package's networks.

    The arguments are those of `Restorer.open`. If `auto` was left to choose the device too and a GPU is lost
    later, the CPU goes on.

    Raises BackendError or EngineError if the backend is unknown, not installed, cannot use the device or does
    not support the package; SettingsError if the device is malformed, or a face takes more than `memory`.
    """
    if name not in get_args(BackendName):
        raise BackendError(f"no backend {name!r}: there are {', '.join(get_args(BackendName))}")
    _check_loop(package)
    where = None if device is None else parse_device(device)
    if provider is not None and (name != "onnxruntime" or (where and where.kind != "cuda")):
        raise BackendError(
            f"provider {provider} belongs to ONNX Runtime on a GPU: add --backend onnxruntime --device cuda:0"
        )
    rows: Mapping[BackendName, Row] = BACKENDS if name == "auto" else {name: BACKENDS[name]}
    request = Request(package, where, provider, threads, memory, watch)
    if where is not None and not any(where.kind in row.kinds for row in rows.values()):
        raise BackendError(_elsewhere(name, rows, where))
    backend = _opened(rows, request)
    if name == "auto" and where is None and isinstance(backend, OpensTiles):
        return SparedBackend(backend, partial(_on_cpu, rows, request))
    return backend


def _elsewhere(name: BackendName, rows: Mapping[BackendName, Row], where: Device) -> str:
    usual = BACKENDS["onnxruntime"]
    others = [other for other, row in BACKENDS.items() if where.kind in row.kinds]
    other = "onnxruntime" if where.kind in usual.kinds else next(iter(others), None)
    places = " and ".join(dict.fromkeys(row.places for row in rows.values()))
    add = f", or add --backend {other}" if other else ""
    return f"{name} runs on {places}: leave --device {where} out{add}"


def _check_loop(package: Package) -> None:
    manifest = package.manifest
    if manifest.loop_kind != "renewed" and not manifest.moves_latent:
        raise BackendError(
            f"package {package.folder} was exported with --loop renewed, and its manifest says "
            f"{manifest.loop_kind}: export its checkpoint again"
        )


def _opened(rows: Mapping[BackendName, Row], request: Request) -> Backend:
    """Open the first usable backend, on a GPU unless the user asked for another device."""
    where = request.device
    if len(rows) == 1:
        (row,) = rows.values()
        if len(row.kinds) == 1 or request.provider is not None:  # its own error says what is missing
            return row.open(request, where or Device(row.kinds[0]), "requested")
    why = "the CPU was requested" if where else "requested"
    if where is None or where.kind == "cuda":
        with_cuda = [row for row in rows.values() if "cuda" in row.kinds]
        if with_cuda:
            found = _on_nvidia(with_cuda, request, where or Device("cuda"))
            if not isinstance(found, str):
                return found
            why = found
    if where is not None and where.kind == "gpu":
        row = next(row for row in rows.values() if "gpu" in row.kinds)
        return row.open(request, where, "requested")
    return _on_cpu(rows, request, why)


def _on_nvidia(rows: list[Row], request: Request, where: Device) -> Backend | str:
    """Open the first backend that can use a GPU; return why none can, if no GPU was asked for."""
    named = request.device is not None
    try:
        check_not_lost(str(where))
    except DeviceLostError as error:
        if named:
            raise
        return str(error)
    if find_gpu(where.index) is None:
        why = "no NVIDIA GPU with a working driver" + (f" is {where}" if named else " was found")
        if named:
            raise BackendError(f"{why}: check its driver, or use --device cpu")
        return why
    missing: list[str] = []
    for row in rows:
        try:
            backend = row.open(request, where, "")
        except GpenEdgeError as error:
            place = " on CUDA" if len(row.kinds) > 1 else ""
            missing.append(f"{row.title}{place}: {error}")
        else:
            backend.why = "; ".join([*filter(None, [backend.why]), *missing]) or "requested"
            return backend
    if named:
        raise BackendError(f"nothing can use {where}: {'; '.join(missing)}")
    return "; ".join(missing)


def _on_cpu(rows: Mapping[BackendName, Row], request: Request, why: str) -> Backend:
    """Open the backend that is fastest on the CPU, as far as that may be measured, else the first.

    Those that need more than the bound on memory are left out if another one fits.
    """
    where, notice = Device("cpu"), (request.watch or Watch()).notice
    usable = {name: row for name, row in rows.items() if "cpu" in row.kinds}
    first = next(iter(usable))
    versions: dict[str, str | int | None] = {
        name: installed(*row.distributions) for name, row in usable.items()
    }
    usable = {name: row for name, row in usable.items() if name == first or versions[name]}
    usable, left_out = _within_bound(usable, request, notice)
    why = "; ".join([*filter(None, [why]), *left_out])
    row, *_ = usable.values()
    if len(usable) == 1 or not may_measure():
        return row.open(request, where, why)
    methods = {f"{name}_method": each.method for name, each in usable.items() if each.method}
    used = {name: versions[name] for name in usable}
    key = key_of(request.package, threads=request.threads, **used, **methods)
    ways = {each.title: partial(each.open, request, where, "") for each in usable.values()}
    need = sum(each.footprint.bytes_of(request.package) for each in usable.values() if each.footprint)
    return fastest(ways, request.package, key, why, notice, at_once=need <= request.bound * GB)


def _within_bound(
    rows: Mapping[BackendName, Row], request: Request, notice: Callable[[str], None]
) -> tuple[dict[BackendName, Row], list[str]]:
    """Return the backends whose need for one face is within the bound on memory, and why not the others.

    If no backend's is, all are returned, with a notice.

    Raises SettingsError instead if the user set the bound.
    """
    needs = {
        name: row.footprint and too_much(request.package, row.footprint, request.bound)
        for name, row in rows.items()
    }
    fitting = {name: row for name, row in rows.items() if not needs[name]}
    if fitting:
        return fitting, [f"{rows[name].title} takes about {need} GB" for name, need in needs.items() if need]
    over = {row.title: needs[name] or 0.0 for name, row in rows.items()}
    takes = f"a face of {request.package.manifest.name} takes about " + " or ".join(
        f"{need} GB in {title}" for title, need in over.items()
    )
    if request.memory is not None:
        least = min(over.values())
        raise SettingsError(
            f"memory is {request.memory:g}: {takes}: give {least} or more, or a package for smaller crops"
        )
    most = max(over.values())
    notice(
        f"{takes}, more than the default of {MEMORY:g}: give --memory {most}, or a package for smaller crops"
    )
    return dict(rows), []


def _tensorrt(name: Literal["tensorrt", "tensorrt-rtx"], request: Request, where: Device, _: str) -> Backend:
    from runtime.network.backends.tensorrt import TensorRtBackend

    return TensorRtBackend(request.package, name=name, index=where.index, watch=request.watch)


def _onnxruntime(request: Request, where: Device, why: str) -> Backend:
    from runtime.network.backends.onnxruntime import OnnxRuntimeBackend

    return OnnxRuntimeBackend(
        request.package,
        device=str(where),
        provider=request.provider,
        threads=request.threads,
        memory=request.bound,
        why=why,
    )


def _openvino(request: Request, where: Device, why: str) -> Backend:
    from runtime.network.backends.openvino import OpenVinoBackend

    return OpenVinoBackend(
        request.package, device=where, threads=request.threads, memory=request.bound, why=why
    )


BACKENDS: dict[BackendName, Row] = {
    "tensorrt": Row("TensorRT", ("cuda",), "NVIDIA GPUs", partial(_tensorrt, "tensorrt")),
    "tensorrt-rtx": Row("TensorRT-RTX", ("cuda",), "NVIDIA GPUs", partial(_tensorrt, "tensorrt-rtx")),
    "onnxruntime": Row(
        "ONNX Runtime",
        ("cuda", "cpu"),
        "NVIDIA GPUs and CPUs",
        _onnxruntime,
        ("onnxruntime", "onnxruntime-gpu"),
        footprint=IN_ONNXRUNTIME,
    ),
    "openvino": Row(
        "OpenVINO",
        ("cpu", "gpu"),
        "CPUs and Intel GPUs",
        _openvino,
        ("openvino",),
        METHOD,
        IN_OPENVINO,
    ),
}
"""All backends; `auto` prefers the earlier one."""
