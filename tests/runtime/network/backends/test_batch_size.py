"""Batches are as large as a bound on memory allows, whatever the size of the network."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import SettingsError
from engines.builder import Watch
from engines.package import RESTORING, Package, Port, open_package
from runtime.network.backends import MEMORY, choice, open_backend
from runtime.network.backends.batch_size import (
    GB,
    IN_ONNXRUNTIME,
    IN_OPENVINO,
    most_faces,
    too_much,
)
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
    assert most_faces(package, IN_ONNXRUNTIME, MEMORY, 4) == 4
    assert most_faces(open_package(), IN_ONNXRUNTIME, MEMORY, 4) == 4


def test_batches_of_a_large_network_stay_within_the_bound(package: Package) -> None:
    found = []
    for factor in range(1, 65):
        large = enlarged(package, factor)
        faces = most_faces(large, IN_ONNXRUNTIME, MEMORY, 8)
        found.append(faces)
        if faces > 1:
            assert IN_ONNXRUNTIME.bytes_of(large, faces) <= MEMORY * GB
        if faces < 8:
            assert IN_ONNXRUNTIME.bytes_of(large, faces + 1) > MEMORY * GB
    assert found == sorted(found, reverse=True)
    assert (found[0], found[-1]) == (8, 1)
    assert len(set(found)) > 4


@pytest.mark.parametrize("footprint", [IN_ONNXRUNTIME, IN_OPENVINO])
def test_the_weights_count_too_in_the_format_that_is_computed_in(package: Package, footprint) -> None:
    files = sum(package.graph(name).stat().st_size for name in RESTORING)
    in_half = replace(package, manifest=replace(package.manifest, weights="fp16"))
    more = footprint.bytes_of(in_half) - footprint.bytes_of(package)
    assert more >= files


def test_compiling_the_largest_graph_counts_where_it_takes_more_than_running_it(package: Package) -> None:
    largest = max(graph.stat().st_size for graph in map(package.graph, RESTORING))
    compiling = replace(IN_OPENVINO, compiling=1000.0)
    assert compiling.bytes_of(package) - replace(compiling, compiling=0.0).bytes_of(package) > 500 * largest


def test_one_face_is_always_taken(package: Package, static_package: Path) -> None:
    assert most_faces(package, IN_ONNXRUNTIME, 1e-6, 4) == 1
    assert most_faces(open_package(static_package), IN_ONNXRUNTIME, MEMORY, 4) == 1


def test_tensors_in_half_precision_take_half(package: Package) -> None:
    graphs = {
        name: replace(
            graph,
            inputs=tuple(replace(port, dtype="float16") for port in graph.inputs),
            outputs=tuple(replace(port, dtype="float16") for port in graph.outputs),
        )
        for name, graph in package.manifest.graphs.items()
    }
    half = replace(package, manifest=replace(package.manifest, graphs=graphs))

    def face(package: Package) -> float:
        return IN_ONNXRUNTIME.bytes_of(package, 2) - IN_ONNXRUNTIME.bytes_of(package, 1)

    assert face(half) == pytest.approx(face(package) / 2)


@pytest.mark.parametrize("name", ["auto", "onnxruntime", "openvino"])
def test_a_bound_that_one_face_exceeds_is_refused_with_what_it_takes(name, package: Package) -> None:
    with pytest.raises(
        SettingsError, match=r"^memory is 0\.2: a face of .* takes about 0\.4 GB .*: give 0\.4 "
    ):
        open_backend(name, package, device="cpu", threads=1, memory=0.2)


def test_a_bound_that_has_room_for_one_face_takes_one_at_a_time(package: Package) -> None:
    one, two = (IN_ONNXRUNTIME.bytes_of(package, faces) / GB for faces in (1, 2))
    assert too_much(package, IN_ONNXRUNTIME, one) is None
    assert too_much(package, IN_ONNXRUNTIME, one - 1e-6) == pytest.approx(one, abs=0.1)
    backend = open_backend("onnxruntime", package, device="cpu", threads=1, memory=(one + two) / 2)
    assert backend.max_batch == 1
    backend.close()


def test_the_default_bound_is_exceeded_with_a_notice(package: Package, monkeypatch) -> None:
    monkeypatch.setattr(choice, "MEMORY", 0.1)
    notices: list[str] = []
    backend = open_backend(
        "onnxruntime", package, device="cpu", threads=1, watch=Watch(notice=notices.append)
    )
    backend.close()
    (notice,) = notices
    assert "takes about 0.4 GB in ONNX Runtime, more than the default of 0.1: give --memory 0.4" in notice


def test_auto_leaves_out_what_takes_more_than_the_bound(package: Package, monkeypatch) -> None:
    larger = replace(IN_ONNXRUNTIME, first=1e6)
    rows = dict(choice.BACKENDS)
    rows["onnxruntime"] = replace(rows["onnxruntime"], footprint=larger)
    monkeypatch.setattr(choice, "BACKENDS", rows)
    backend = open_backend("auto", package, device="cpu", threads=1)
    assert backend.name == "openvino"
    assert "the CPU was requested; ONNX Runtime takes about " in backend.why
    backend.close()


@pytest.mark.parametrize("memory", [0, -1, math.nan, math.inf])
def test_a_bound_that_makes_no_sense_is_refused(memory: float) -> None:
    with pytest.raises(SettingsError, match=r"memory is .*: give GB"):
        check_run(None, None, memory)
