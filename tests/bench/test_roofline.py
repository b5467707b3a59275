import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from base.errors import PackageError
from bench.__main__ import main
from bench.roofline.counting import count
from engines.package import open_package
from export.gpen import static
from export.gpen.checkpoint import load_checkpoint
from export.gpen.network import Gpen

DATA = Path(__file__).parents[1] / "data"


def saved(folder, nodes, inputs, outputs, weights):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [value(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [value(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "graph.onnx"
    onnx.save(model, path)
    return path


def test_the_operations_of_a_graph_are_those_that_pytorch_counts(tiny_package):
    loaded = load_checkpoint(DATA / "tiny64.pth")
    net = static.fold(Gpen.from_state(loaded.layout, loaded.state))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        static.restore(net, torch.zeros(1, 3, 64, 64))
    macs = count(open_package(tiny_package).graph("fused")).macs
    assert macs == pytest.approx(counter.get_total_flops() / 2, rel=0.02)  # the simplifier folds a little


def test_a_convolution_is_counted_by_hand(tmp_path):
    weights = {"k": np.ones((8, 4, 3, 3), np.float32), "b": np.ones(8, np.float32)}
    convolution = helper.make_node("Conv", ["x", "k", "b"], ["y"], pads=[1] * 4, strides=[2, 2], name="c")
    path = saved(tmp_path, [convolution], {"x": ("n", 4, 10, 10)}, {"y": ("n", 8, 5, 5)}, weights)
    work = count(path)
    (node,) = work.nodes
    assert (node.name, node.operation) == ("c", "Conv")
    assert node.macs == work.macs == 8 * 5 * 5 * 4 * 3 * 3
    assert node.weight_bytes == work.weight_bytes == 4 * (8 * 4 * 3 * 3 + 8)
    assert (node.input_bytes, node.output_bytes) == (4 * 4 * 10 * 10, 4 * 8 * 5 * 5)
    assert work.bytes == work.least_bytes


@pytest.mark.parametrize(
    ("node", "x", "k", "y", "macs"),
    [
        (("Conv", {"group": 4, "pads": [1] * 4}), (4, 6, 6), (4, 1, 3, 3), (4, 6, 6), 4 * 36 * 9),
        (("ConvTranspose", {"strides": [2, 2]}), (4, 5, 5), (4, 3, 2, 2), (3, 10, 10), 4 * 25 * 3 * 4),
        (("MatMul", {}), (7,), (7, 5), (5,), 35),
        (("Gemm", {"transB": 1}), (7,), (5, 7), (5,), 35),
        (("Mul", {}), (7,), (7,), (7,), 0),
    ],
)
def test_every_kind_of_product_is_counted(tmp_path, node, x, k, y, macs):
    made = helper.make_node(node[0], ["x", "k"], ["y"], **node[1])
    path = saved(tmp_path, [made], {"x": ("n", *x)}, {"y": ("n", *y)}, {"k": np.ones(k, np.float32)})
    assert count(path).macs == macs


def test_reshapes_move_no_bytes_and_stored_halves_count_as_stored(tmp_path):
    nodes = [
        helper.make_node("Cast", ["half"], ["k"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "k"], ["product"]),
        helper.make_node("Unsqueeze", ["product", "axes"], ["y"]),
    ]
    weights = {"half": np.ones((7, 5), np.float16), "axes": np.array([1])}
    path = saved(tmp_path, nodes, {"x": ("n", 7)}, {"y": ("n", 1, 5)}, weights)
    product, unsqueeze = count(path).nodes
    assert product.weight_bytes == 2 * 35
    assert (product.macs, unsqueeze.bytes) == (35, 0)


def test_a_graph_whose_shapes_are_open_is_refused(tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    path = saved(tmp_path, [node], {"x": ("n", "width")}, {"y": ("n", "width")}, {})
    with pytest.raises(PackageError, match="x has no fixed shape"):
        count(path)


def test_roofline_sets_each_graph_against_the_machine(tiny_package, tmp_path, capsys):
    assert main(["roofline", str(tiny_package), "--runs", "1", "-o", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "roofline.json").read_text())
    peak = figures["peak"]
    assert peak["ridge"] == pytest.approx(peak["gflops"] / peak["gigabytes"])
    graphs = {graph["graph"]: graph for graph in figures["graphs"]}
    assert graphs.keys() == {"encoder", "mapping", "generator", "step", "fused"}
    for name, graph in graphs.items():
        assert graph["macs"] == sum(node["macs"] for node in figures["nodes"][name])
        assert graph["of_peak"] == pytest.approx(graph["gflops"] / peak["gflops"])
        assert graph["bound_by"] == ("computing" if graph["intensity"] >= peak["ridge"] else "memory")
        assert graph["best_intensity"] >= graph["intensity"]
        assert sum(figures["seconds_by_operation"][name].values()) > 0
    assert graphs["fused"]["macs"] > graphs["generator"]["macs"] > graphs["mapping"]["macs"]
    assert {measure["name"] for measure in figures["measures"]} == {*graphs, "matrix product", "copy"}
    assert "| generator |" in (tmp_path / "roofline.md").read_text()
    with Image.open(tmp_path / "roofline.png") as chart:
        assert min(chart.size) > 300


def test_a_package_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["roofline", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
