"""How much memory a backend takes, and how many faces at once a bound on it allows."""

import math
from dataclasses import dataclass

from engines.package import REQUIRED, RESTORING, GraphName, Package, Port

MEMORY = 2.0
"""Default bound in GB (10⁹ bytes)."""
GB = 1e9
_PROCESS = 0.3 * GB
"""Memory of everything else: Python, its libraries, and the networks that find and read faces."""


@dataclass(frozen=True)
class Footprint:
    """What a backend needs on a CPU, as multiples of a package's weights and of a face's tensors.

    These were measured for networks of crops of 64 to 1024 pixels (bench/results/notes.md), with a margin.
    """

    weights: float
    """Of FP32 weights: themselves, and copies in the order in which the backend's kernels read them."""
    first: float
    """Of the tensors that the graphs exchange for a face: a batch of one face."""
    further: float
    """The same for each further face."""
    compiling: float = 0.0
    """Of the largest graph's weights: its compilation, during which no other graph is open."""

    def bytes_of(self, package: Package, faces: int = 1, copies: int = 1) -> float:
        """Estimate the peak memory of a process that restores a batch of faces with a package, in bytes.

        copies  how many times the networks are open
        """
        tensors = _tensor_bytes(package)
        held = package.manifest.holds_latent and not self.compiling  # a single pass takes no step
        files = [_weight_bytes(package, name) for name in (RESTORING if held else REQUIRED)]
        running = copies * self.weights * sum(files) + (self.first + (faces - 1) * self.further) * tensors
        return _PROCESS + max(running, self.compiling * max(files))


IN_ONNXRUNTIME = Footprint(weights=1.7, first=5.0, further=7.0)
IN_OPENVINO = Footprint(weights=1.4, first=6.0, further=7.0, compiling=4.5)


def most_faces(package: Package, footprint: Footprint, memory: float, most: int) -> int:
    """Return the largest batch whose estimated memory stays within a bound; at least 1.

    memory  bound in GB
    most    largest batch in any case
    """
    most = package.manifest.batch or most
    fitting = (n for n in range(most, 1, -1) if footprint.bytes_of(package, n) <= memory * GB)
    return next(fitting, 1)


def most_side_by_side(package: Package, footprint: Footprint, memory: float, most: int) -> int:
    """Return how many faces may be restored side by side, by networks that are opened once more for them; at
    least 1.

    Arguments are those of `most_faces`.
    """
    fitting = (n for n in range(most, 1, -1) if footprint.bytes_of(package, n, copies=2) <= memory * GB)
    return next(fitting, 1)


def too_much(package: Package, footprint: Footprint, memory: float) -> float | None:
    """Return how many GB one face takes if that is more than a bound in GB, rounded up; otherwise None."""
    need = footprint.bytes_of(package)
    return None if need <= memory * GB else math.ceil(10 * need / GB) / 10


def _weight_bytes(package: Package, name: GraphName) -> int:
    """Return the size of a graph's weights in the format that a CPU computes in."""
    manifest = package.manifest
    in_half = "fp16" in (manifest.weights, manifest.precision)
    return package.graph(name).stat().st_size * (2 if in_half else 1)


def _tensor_bytes(package: Package) -> int:
    """Return the size of all tensors that the graphs exchange for a face."""
    graphs = [package.manifest.graphs[name] for name in REQUIRED]
    ports = {port.name: port for graph in graphs for port in (*graph.inputs, *graph.outputs)}
    return sum(map(_port_bytes, ports.values()))


def _port_bytes(port: Port) -> int:
    lengths = (length for length in port.shape if not isinstance(length, str))
    return math.prod(lengths) * (2 if port.dtype == "float16" else 4)
