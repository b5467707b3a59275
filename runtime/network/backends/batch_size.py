"""How many faces a network takes at once: as many as a bound on memory allows."""

import math

from engines.package import REQUIRED, RESTORING, Package, Port

MEMORY = 2.0
"""Default bound in GB (10⁹ bytes)."""
_GB = 1e9
_WEIGHTS = 2.0
"""Memory that the networks take, as a multiple of their files: the weights, and the runtime's copies of them
in the order in which its kernels read them. Measured in ONNX Runtime: 1.6 to 1.9."""
_FACE = 8.0
"""Peak memory of a face, as a multiple of the tensors that the graphs exchange for it. Measured in ONNX
Runtime: at most 7.0 for each face after the first, so that the bound covers the rest of the process too."""


def most_faces(package: Package, memory: float, most: int) -> int:
    """Return the largest batch whose estimated memory stays within a bound; at least 1.

    memory  for the networks and a batch, in GB
    most    largest batch in any case
    """
    left = memory * _GB - networks_bytes(package)
    return max(1, min(package.manifest.batch or most, most, int(left // face_bytes(package))))


def networks_bytes(package: Package) -> float:
    """Estimate the memory of a package's open networks, in bytes."""
    used = RESTORING if package.manifest.holds_latent else REQUIRED  # a single pass takes no step
    return _WEIGHTS * sum(package.graph(name).stat().st_size for name in used)


def face_bytes(package: Package) -> float:
    """Estimate the peak memory of each face of a batch, in bytes."""
    graphs = [package.manifest.graphs[name] for name in REQUIRED]
    ports = {port.name: port for graph in graphs for port in (*graph.inputs, *graph.outputs)}
    return _FACE * sum(map(_bytes, ports.values()))


def _bytes(port: Port) -> int:
    lengths = (length for length in port.shape if not isinstance(length, str))
    return math.prod(lengths) * (2 if port.dtype == "float16" else 4)
