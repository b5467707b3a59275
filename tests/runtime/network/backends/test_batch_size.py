"""Batches are as large as a bound on memory allows, whatever the size of the network."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import SettingsError
from engines.package import RESTORING, Package, Port, open_package
from runtime.network.backends import MEMORY, open_backend
from runtime.network.backends.batch_size import face_bytes, most_faces, networks_bytes
from runtime.settings.config_file import check_run


def enlarged(package: Package, factor: int) -> Package:
    """The package with each feature as high and as wide as in a network for larger crops."""

    def port(port: Port) -> Port:
        batch, *lengths = port.shape
        if len(lengths) == 3:
            lengths[1:] = [factor * int(length) for length in lengths[1:]]
        return replace(port, shape=(batch, *lengths))

    graphs = {
        name: replace(graph, inputs=tuple(map(port, graph.inputs)), outputs=tuple(map(port, graph.outputs)))
        for name, graph in package.manifest.graphs.items()
    }
    return replace(package, manifest=replace(package.manifest, graphs=graphs))


@pytest.fixture
def package(tiny_package: Path) -> Package:
    return open_package(tiny_package)


def test_a_small_network_takes_as_many_faces_as_ever(package: Package) -> None:
    assert most_faces(package, MEMORY, 4) == 4
    assert most_faces(open_package(), MEMORY, 4) == 4


def test_batches_of_a_large_network_stay_within_the_bound(package: Package) -> None:
    found = []
    for factor in range(1, 65):
        large = enlarged(package, factor)
        faces = most_faces(large, MEMORY, 8)
        found.append(faces)
        if faces > 1:
            assert networks_bytes(large) + faces * face_bytes(large) <= MEMORY * 1e9
        if faces < 8:
            assert networks_bytes(large) + (faces + 1) * face_bytes(large) > MEMORY * 1e9
    assert found == sorted(found, reverse=True)
    assert (found[0], found[-1]) == (8, 1)
    assert len(set(found)) > 4


def test_the_weights_count_too(package: Package) -> None:
    files = sum(package.graph(name).stat().st_size for name in RESTORING)
    assert networks_bytes(package) >= files
    room = (networks_bytes(package) + 3.5 * face_bytes(package)) / 1e9
    assert most_faces(package, room, 8) == 3


def test_one_face_is_always_taken(package: Package, static_package: Path) -> None:
    assert most_faces(package, 1e-6, 4) == 1
    assert most_faces(open_package(static_package), MEMORY, 4) == 1


def test_half_precision_takes_half(package: Package) -> None:
    graphs = {
        name: replace(
            graph,
            inputs=tuple(replace(port, dtype="float16") for port in graph.inputs),
            outputs=tuple(replace(port, dtype="float16") for port in graph.outputs),
        )
        for name, graph in package.manifest.graphs.items()
    }
    half = replace(package, manifest=replace(package.manifest, graphs=graphs))
    assert face_bytes(half) == face_bytes(package) / 2


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_backend_goes_by_the_bound(name: str, package: Package) -> None:
    backend = open_backend(name, package, device="cpu", threads=1, memory=1e-6)  # type: ignore[arg-type]
    assert backend.max_batch == 1
    backend.close()


@pytest.mark.parametrize("memory", [0, -1, math.nan, math.inf])
def test_a_bound_that_makes_no_sense_is_refused(memory: float) -> None:
    with pytest.raises(SettingsError, match=r"memory is .*: give GB"):
        check_run(None, None, memory)
