"""Open the bundled photo network or a user's own."""

import importlib.util
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from base.errors import BackendError, GpenEdgeError, PackageError
from base.text import cause_of, one_line
from engines.openvino_api import import_openvino
from engines.package import PHOTO, Package, open_package
from engines.portrait import portraits
from runtime.network.backends import Backend, BatchLostError, OpensTiles
from runtime.network.backends.onnxruntime import CUDA, cuda_provider, place
from runtime.onnx_session import CPU, import_onnxruntime, open_network
from runtime.rest.network import ALIGNED, Factor, PhotoNetwork, Tile

TILE = 256
"""Edge of a tile of a user's network that takes pictures of any size."""
LEAST_TILE = 16
"""A network of fixed input size must leave at least this many pixels without the overlap."""
SEES = 1 / 1024
"""A smaller change of the result, in [0, 1], counts as none."""
FURTHEST = 128
"""The largest distance that a user's network may see."""
ALIKE = 0.1
"""If a network's result differs from its input by more than this on average, it is not the same picture."""
PROBE = 2 * FURTHEST + 64


def open_photo_network(
    where: str | Path | None, backend: Backend, threads: int | None = None, *, fastest: bool = False
) -> PhotoNetwork:
    """Open a photo network in the backend that runs the faces' networks, if it can.

    where    a package of the kind `photo`, or an ONNX file with one input and one output, RGB in [0, 1],
             1×3×H×W to 1×3×fH×fW with f = 1, 2 or 4; None is the bundled network
    threads  number of CPU threads; None is one per core
    fastest  whether a package may run in OpenVINO instead, where the CPU has bf16

    Raises PackageError or BackendError, in one line, for anything else.
    """
    if where is None or Path(where).is_dir() or str(where) == PHOTO:
        package = open_package(where or PHOTO, kind=PHOTO)
        in_openvino = backend.name == "openvino" or (fastest and backend.device == "cpu" and _has_bf16())
        return _of_package(package, backend, threads, in_openvino=in_openvino)
    path = Path(where)
    if not path.is_file():
        raise PackageError(
            f"no photo network {one_line(path)}: give an ONNX file or a package of the kind {PHOTO}"
        )
    return _of_file(path, backend, threads)


def _of_package(
    package: Package, backend: Backend, threads: int | None, *, in_openvino: bool
) -> PhotoNetwork:
    numbers, graph = package.manifest.network, package.manifest.graphs[PHOTO]
    *_, height, width = graph.inputs[0].shape
    overlap = int(numbers["overlap"])
    if not isinstance(height, int) or not isinstance(width, int):
        raise PackageError(f"package {package.folder}: {graph.file} has no fixed tile: export it again")
    path = package.graph(PHOTO)
    if in_openvino:
        run, how = _in_openvino(path, (height, width), threads)
    elif isinstance(backend, OpensTiles):
        run, how = _in_backend(package, backend, threads)
    else:
        run, how = _in_onnxruntime(path, backend, threads)
    return PhotoNetwork(
        package.manifest.name, how, run, height - 2 * overlap, width - 2 * overlap, overlap, adds=True
    )


def _in_backend(package: Package, backend: Any, threads: int | None) -> tuple[Callable[[Tile], Tile], str]:
    """Open a package in the faces' backend; if that fails, in ONNX Runtime, and say why. If its GPU is lost
    later, ONNX Runtime goes on too.

    backend  a Backend that opens tiles
    """
    try:
        tiles, where = backend.open_tiles(package)
    except GpenEdgeError as error:
        run, how = _in_onnxruntime(package.graph(PHOTO), backend, threads)
        return run, f"{how} ({cause_of(error)})"

    def run_tile(tile: Tile) -> Tile:
        nonlocal tiles
        try:
            return tiles(tile)  # type: ignore[no-any-return]
        except BatchLostError:  # the backend goes on without the GPU
            tiles, _ = _in_onnxruntime(package.graph(PHOTO), backend, threads)
            return tiles(tile)

    return run_tile, where


def _in_onnxruntime(path: Path, backend: Backend, threads: int | None) -> tuple[Callable[[Tile], Tile], str]:
    """Open a graph in ONNX Runtime: on the GPU that the faces use if it can, else on the CPU."""
    available = import_onnxruntime("the photo network").get_available_providers()
    kind, index = place(backend.device)
    device = [cuda_provider(index)] if kind == "cuda" and CUDA in available else []
    session = open_network(path, threads, [*device, CPU], what="the photo network")
    on_gpu = session.get_providers()[0] == CUDA  # ONNX Runtime falls back to the CPU without an error
    name = session.get_inputs()[0].name
    half = session.get_inputs()[0].type == "tensor(float16)"

    def run(tile: Tile) -> Tile:
        return np.asarray(session.run(None, {name: tile.astype(np.float16) if half else tile})[0], np.float32)

    return run, f"ONNX Runtime on {backend.device if on_gpu else 'cpu'}"


def _has_bf16() -> bool:
    """Return whether OpenVINO is installed and computes in bf16 on this CPU."""
    if importlib.util.find_spec("openvino") is None:
        return False
    try:
        return _bf16(import_openvino().Core())
    except Exception:  # an OpenVINO that does not load is none
        return False


def _bf16(core: Any) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _in_openvino(
    path: Path, size: tuple[int, int], threads: int | None
) -> tuple[Callable[[Tile], Tile], str]:
    """Open a graph in OpenVINO: in bf16 where the CPU computes in it, since the result is only a change."""
    core = import_openvino().Core()
    short = _bf16(core)
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if short else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads or 0,
        "ENABLE_CPU_PINNING": False,
    }
    try:
        model = core.read_model(path)
        model.reshape([1, 3, *size])
        request = core.compile_model(model, "CPU", options).create_infer_request()
    except Exception as error:
        raise BackendError(f"OpenVINO cannot run the photo network {path}: {cause_of(error)}") from error
    turn = threading.Lock()  # a request refuses a second thread

    def run(tile: Tile) -> Tile:
        with turn:
            return np.asarray(next(iter(request.infer([tile], share_inputs=True).values())), np.float32)

    return run, f"OpenVINO on cpu, {'bf16' if short else 'FP32'}"


def _of_file(path: Path, backend: Backend, threads: int | None) -> PhotoNetwork:
    """Open a user's network, and measure its factor and its receptive field by running it."""
    name = one_line(path.name)
    try:
        run, how = _in_onnxruntime(path, backend, threads)
    except BackendError as error:
        if isinstance(error.__cause__, ImportError):
            raise
        raise PackageError(
            f"{one_line(path)} is not a photo network: give an ONNX file or a package of the kind {PHOTO} "
            f"({cause_of(error)})"
        ) from error
    session = open_network(path, threads, what="the photo network")  # its ports
    size = _fixed_size(name, session.get_inputs(), session.get_outputs())
    del session
    height, width = size or (64, PROBE)
    probe = _probe(height, width)
    factor = _factor_of(name, run, probe)
    sees = _sees(name, run, probe, factor)
    overlap = -(-(sees + 4) // ALIGNED) * ALIGNED
    rows, columns = (side - 2 * overlap for side in size) if size else (TILE, TILE)
    rows, columns = rows // ALIGNED * ALIGNED, columns // ALIGNED * ALIGNED
    if min(rows, columns) < LEAST_TILE:
        raise PackageError(
            f"photo network {name} sees {sees} pixels far, too far for its input of {height}×{width}: "
            "export it for a larger or for any size"
        )
    if size:  # what rounding left over is overlap too
        overlap_rows, overlap_columns = (height - rows) // 2, (width - columns) // 2
        if overlap_rows != overlap_columns:
            rows = height - 2 * min(overlap_rows, overlap_columns)
            columns = width - 2 * min(overlap_rows, overlap_columns)
        overlap = min(overlap_rows, overlap_columns)
    return PhotoNetwork(name, how, run, rows, columns, overlap, factor)


def _fixed_size(name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[int, int] | None:
    """Return the only height and width that a network accepts; None if it accepts any."""
    if len(inputs) != 1 or len(outputs) != 1:
        raise PackageError(
            f"photo network {name} has {len(inputs)} inputs and {len(outputs)} outputs: one of each is needed"
        )
    for port in (inputs[0], outputs[0]):
        shape = list(port.shape)
        if port.type not in ("tensor(float)", "tensor(float16)") or len(shape) != 4:
            raise PackageError(
                f"photo network {name}: {one_line(port.name)} is {port.type} {shape}: "
                "a picture 1×3×H×W of floats is needed"
            )
        if shape[0] not in (1, *_open(shape[0])) or shape[1] not in (3, *_open(shape[1])):
            raise PackageError(
                f"photo network {name}: {one_line(port.name)} has the shape {shape}: "
                "one picture of three channels, 1×3×H×W, is needed"
            )
    height, width = inputs[0].shape[2:]
    fixed = [side for side in (height, width) if isinstance(side, int)]
    if len(fixed) == 1:
        raise PackageError(f"photo network {name} fixes one side to {fixed[0]}: fix both, or none")
    return (int(height), int(width)) if fixed else None


def _open(length: Any) -> tuple[Any, ...]:
    """Return a dimension as it is if it may have any length."""
    return () if isinstance(length, int) else (length,)


def _probe(height: int, width: int) -> Tile:
    """Return a piece of a portrait, 1×3×H×W in [0, 1]."""
    face = portraits(512)[0].transpose(1, 2, 0) / 2 + 0.5
    piece = face[128:384, 96:416]
    resized = cv2.resize(piece, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized.transpose(2, 0, 1)[None], np.float32)


def _factor_of(name: str, run: Callable[[Tile], Tile], probe: Tile) -> Factor:
    """Return how much a network enlarges a picture. Raises PackageError if it does not return a picture."""
    result = _tried(name, run, probe)
    shape, given = result.shape, probe.shape
    factors = [side / of for side, of in zip(shape[2:], given[2:], strict=True)] if len(shape) == 4 else []
    factor = next((f for f in get_args(Factor) if factors == [f, f]), None)
    if factor is None or shape[:2] != (1, 3):
        raise PackageError(
            f"photo network {name} makes {list(shape)} of {list(given)}: "
            "the same three channels at 1, 2 or 4 times the size are needed"
        )
    if not np.isfinite(result).all():
        raise PackageError(f"photo network {name} returns numbers that are not finite")
    smaller = cv2.resize(result[0].transpose(1, 2, 0), given[:1:-1], interpolation=cv2.INTER_AREA)
    apart = float(np.abs(smaller - probe[0].transpose(1, 2, 0)).mean())
    if apart > ALIKE:
        raise PackageError(
            f"photo network {name} does not return the picture it is given (mean difference {apart:.2f}): "
            "it must take and return RGB in [0, 1]"
        )
    return factor  # type: ignore[no-any-return]


def _sees(name: str, run: Callable[[Tile], Tile], probe: Tile, factor: Factor) -> int:
    """Return a network's receptive field in pixels: how far a change of the left part spreads."""
    edge = probe.shape[3] // 4
    changed = probe.copy()
    changed[..., :edge] = 1 - changed[..., :edge]
    spread = np.abs(_tried(name, run, changed) - _tried(name, run, probe)).max(axis=(0, 1, 2))
    reached = np.flatnonzero(spread > SEES)
    sees = max(0, -(-(int(reached[-1]) + 1) // factor) - edge) if len(reached) else 0
    if sees > FURTHEST or sees >= probe.shape[3] - edge:
        raise PackageError(
            f"photo network {name} sees more than {min(FURTHEST, probe.shape[3] - edge)} pixels far, so "
            "that its tiles would not fit together: choose one with a smaller receptive field"
        )
    return sees


def _tried(name: str, run: Callable[[Tile], Tile], probe: Tile) -> Tile:
    try:
        return run(probe)
    except Exception as error:
        raise PackageError(f"photo network {name} does not run: {cause_of(error)}") from error
