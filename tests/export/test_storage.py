"""Weights stored as FP16: half the package, nearly the same picture, nothing slower."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.package import RESTORING, GraphName, Package, open_package
from export import parity
from export.exporter import ExportOptions, export_package
from export.parity import Parity
from export.storage import BYTES, SMALLEST, STORED, store_halved, store_in_bytes

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, dict[GraphName, Parity]]:
    folder = tmp_path_factory.mktemp("halved") / "wide"
    return export_package(DATA / "tiny64-wide-styles.pth", folder, ExportOptions(store="fp16"))


@pytest.fixture(scope="module")
def halved(exported: tuple[Package, dict[GraphName, Parity]]) -> Package:
    return open_package(exported[0].folder)


def test_the_manifest_says_how_the_weights_lie_in_the_files(halved: Package, wide_package: Path) -> None:
    assert (halved.manifest.precision, halved.manifest.weights) == ("fp32", "fp16")
    assert open_package(wide_package).manifest.weights == "fp32"
    assert halved.manifest.graphs["encoder"].inputs[0].dtype == "float32"


def test_the_graphs_shrink_by_what_their_large_weights_give(halved: Package, wide_package: Path) -> None:
    whole = onnx.load(wide_package / "generator.onnx")
    large = [n for t in whole.graph.initializer if (n := int(np.prod(t.dims))) >= SMALLEST]
    saved = (wide_package / "generator.onnx").stat().st_size - halved.graph("generator").stat().st_size
    assert saved == pytest.approx(2 * sum(large), rel=0.05)


def test_the_picture_stays_within_60_db_of_the_published_one(halved: Package) -> None:
    golden = np.load(DATA / "tiny64-wide-styles.npz")
    values = {"crop": golden["input"]}
    for name in RESTORING:
        session = onnxruntime.InferenceSession(str(halved.graph(name)), providers=["CPUExecutionProvider"])
        taken = {port.name: values.pop(port.name) for port in session.get_inputs()}
        outputs = [port.name for port in session.get_outputs()]
        values |= dict(zip(outputs, session.run(None, taken), strict=True))
    found = values["restored"]
    error = np.mean((found - golden["output"]) ** 2) / np.ptp(golden["output"]) ** 2
    assert 0 < error < 1e-6


def test_the_runtime_folds_every_cast_when_it_loads_the_file(halved: Package, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    generator = halved.graph("generator")
    onnxruntime.InferenceSession(str(generator), options, providers=["CPUExecutionProvider"])

    def casts(path: Path) -> int:
        return sum(node.op_type == "Cast" for node in onnx.load(path).graph.node)

    assert casts(generator) > 10
    assert casts(tmp_path / "folded.onnx") == 0


def _model(values: NDArray[np.float32]) -> onnx.ModelProto:
    shape = list(values.shape)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "weight"], ["y"])],
        "addition",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(values, "weight")],
    )
    return helper.make_model(graph)


@pytest.mark.parametrize(
    ("values", "halved"),
    [
        (np.linspace(-1, 1, SMALLEST, dtype=np.float32), True),
        (np.linspace(-1, 1, SMALLEST - 1, dtype=np.float32), False),
        (np.linspace(-1, 7e4, SMALLEST, dtype=np.float32), False),
        (np.linspace(-1e-6, 1e-6, SMALLEST, dtype=np.float32), False),
        (np.zeros(SMALLEST, np.float32), True),
    ],
    ids=["large enough", "too few", "too large", "too small", "zeros"],
)
def test_only_tensors_that_fp16_holds_are_halved(values: NDArray[np.float32], halved: bool) -> None:
    model = _model(values)
    stored = store_halved(model)
    onnx.checker.check_model(stored, full_check=True)
    assert [tensor.name for tensor in stored.graph.initializer] == ["weight" + STORED * halved]
    assert [tensor.name for tensor in model.graph.initializer] == ["weight"]  # the original is left alone


def test_bytes_keep_each_output_of_a_convolution_to_a_level() -> None:
    random = np.random.default_rng(0)
    weights = random.normal(0, [[[[1e-3]]], [[[10.0]]]], (2, 64, 3, 3)).astype(np.float32)
    weights[1, 0] = 0
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 8, 8])
        for name, channels in (("x", 64), ("y", 2))
    ]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weight"], ["y"], pads=[1] * 4)],
        "convolution",
        ports[:1],
        ports[1:],
        [numpy_helper.from_array(weights, "weight")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    stored = store_in_bytes(model)
    onnx.checker.check_model(stored, full_check=True)
    assert len(stored.SerializeToString()) < 0.4 * len(model.SerializeToString())
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in stored.graph.initializer}
    kept = values["weight" + BYTES] * values["weight_scale"]
    largest = np.abs(weights).max((1, 2, 3), keepdims=True)
    assert (np.abs(kept - weights) <= 0.51 * largest / 127).all()
    crop = {"x": random.normal(0, 1, (1, 64, 8, 8)).astype(np.float32)}
    before, after = (
        onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, crop
        )[0]
        for each in (model, stored)
    )
    error = np.abs(after - before).max((0, 2, 3)) / np.abs(before).max((0, 2, 3))
    assert (error > 0).all()
    assert (error < 0.02).all()


def test_a_halved_package_is_held_to_its_own_tolerance(
    exported: tuple[Package, dict[GraphName, Parity]],
) -> None:
    worst = max(max(found.random, found.real) for found in exported[1].values())
    assert parity.TOLERANCE < worst < parity.HALVED_TOLERANCE
