"""`python -m engines compare`: agreement is found, and a planted fault is named by graph and layer."""

import sys
from dataclasses import replace
from shutil import copytree

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from base.errors import PackageError
from base.files import sha256
from engines.__main__ import main
from engines.comparison import Difference, GraphDifference, compare
from engines.comparison_report import verdict
from engines.package import open_package, write_manifest


@pytest.fixture
def planted(tiny_package, tmp_path, request):
    """Give what changes one weight of a layer, and returns the changed package and the layer's name."""

    def plant(graph, which):
        folder = tmp_path / "planted"
        copytree(tiny_package, folder)
        file = folder / f"{graph}.onnx"
        model = onnx.load(str(file))
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        layers = [
            node
            for node in model.graph.node
            if node.op_type in ("Conv", "Gemm", "MatMul") and any(name in weights for name in node.input[1:2])
        ]
        layer = layers[int(which * (len(layers) - 1))]
        tensor = weights[layer.input[1]]
        values = numpy_helper.to_array(tensor).copy()
        values.flat[np.abs(values).argmax()] += 2 * np.abs(values).max()
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        onnx.save(model, str(file))
        manifest = open_package(tiny_package).manifest
        graphs = {**manifest.graphs, graph: replace(manifest.graphs[graph], sha256=sha256(file))}
        write_manifest(folder, replace(manifest, graphs=graphs))
        return folder, layer.name or layer.output[0]

    return plant


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_one_package_agrees_with_itself_in_two_runtimes(tiny_package, runtime):
    package = open_package(tiny_package)
    found = {each.graph: each for each in compare(package, package, runtime, 1e-3, layers=True)}
    assert list(found) == ["encoder", "mapping", "generator", "step", "fused"]
    assert all(each.outputs and each.layers for each in found.values())
    assert not any(each.parts or each.first_layer for each in found.values())
    assert verdict([*found.values()], runtime) == [f"ONNX Runtime and {runtime} agree in every graph"]


def test_a_photo_package_is_compared_on_tiles(photo_package, tiny_package):
    package = open_package(photo_package)
    (found,) = compare(package, package, "openvino", 1e-4, layers=True)
    assert (found.graph, found.parts, len(found.layers)) == ("photo", False, 1)
    with pytest.raises(PackageError, match="compare like with like"):
        list(compare(package, open_package(tiny_package), "openvino", 1e-4))


def test_a_planted_fault_is_found_and_named(tiny_package, planted, capsys):
    graph = "generator"
    folder, layer = planted(graph, 0.3)
    assert main(["compare", str(tiny_package), "--against", str(folder), "--layers"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{graph}: ONNX Runtime and openvino differ, first in layer {layer}"
    assert len([line for line in lines if " differ, first in layer " in line]) == 1


def test_without_layers_the_verdict_says_how_to_see_them():
    graphs = [GraphDifference("mapping", (Difference("w", 0.5, True),))]
    assert verdict(graphs, "openvino") == ["mapping: ONNX Runtime and openvino differ: --layers shows where"]


def test_what_cannot_be_compared_is_one_line(tiny_package, capsys, monkeypatch):
    package = str(tiny_package)
    assert main(["compare", package, "--tolerance", "-1"]) == 2
    assert "give 0 or more" in capsys.readouterr().err
    monkeypatch.setattr("engines.comparison.find_gpu", lambda: None)
    assert main(["compare", package, "--with", "tensorrt-rtx"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "tensorrt-rtx needs an NVIDIA GPU" in line or "TensorRT-RTX is not installed" in line
    monkeypatch.setitem(sys.modules, "polygraphy", None)
    assert main(["compare", package]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("comparing needs polygraphy: pip install 'gpen-edge[compare]'")


def test_packages_of_another_form_are_refused(tiny_package):
    package, default = open_package(tiny_package), open_package()
    with pytest.raises(PackageError, match="has another encoder than"):
        list(compare(package, default, "openvino", 1e-3))
