"""Half precision that does not overflow, and that is honest where it is measured on a CPU."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from base.errors import GpenEdgeError
from engines.package import open_package
from export import parity
from export.__main__ import main
from export.exporter import ExportOptions, export_package
from export.gpen import static
from export.gpen.checkpoint import load_checkpoint
from export.gpen.half import HalfStyled, halve, halved_layer
from export.gpen.network import Gpen
from export.half import BOUND, MASS, stored
from export.layers import Linear, Same
from export.rounding import rounding_session
from export.storage import SMALLEST

DATA = Path(__file__).parents[1] / "data"
MODELS = ("tiny64", "tiny64-wide-styles")
LARGEST = float(np.finfo(np.float16).max)


@cache
def network(name: str) -> Gpen:
    loaded = load_checkpoint(DATA / f"{name}.pth")
    return Gpen.from_state(loaded.layout, loaded.state)


@pytest.fixture(scope="module")
def packages(half_package, wide_half_package):
    """Both reference models; the weights of the second's FP32 islands lie in the files as FP16 too."""
    return {"tiny64": open_package(half_package), "tiny64-wide-styles": open_package(wide_half_package)}


@pytest.fixture(scope="module")
def package(packages):
    return packages["tiny64"]


def psnr(found, expected):
    """Peak signal-to-noise ratio, dB; the peak is 2, the width of [−1, 1], and less than these pictures'."""
    return 10 * np.log10(4 / np.mean((found - expected) ** 2))


@pytest.mark.parametrize("name", MODELS)
def test_the_picture_stays_within_60_db_of_fp32_also_with_wide_styles(packages, name):
    golden = np.load(DATA / f"{name}.npz")
    (found,) = rounding_session(onnx.load(packages[name].graph("fused"))).run(
        None, {"input": golden["input"]}
    )
    assert 60 < psnr(found, golden["output"]) < 100


@pytest.fixture(scope="module", params=MODELS)
def with_scaled_styles(request, packages):
    """A generator that gives every value and takes a factor for each style, its other inputs, the count."""
    net = static.fold(network(request.param))
    model = onnx.load(packages[request.param].graph("generator"))
    affines = [i for i, node in enumerate(model.graph.node) if node.input[0] == "w"]
    assert len(affines) == len(net.styled) + len(net.rgbs)
    for k, i in reversed(list(enumerate(affines))):
        node = model.graph.node[i]
        style, node.output[0] = node.output[0], f"style_{k}"
        model.graph.node.insert(i + 1, helper.make_node("Mul", [f"style_{k}", f"factor_{k}"], [style]))
        model.graph.input.append(helper.make_tensor_value_info(f"factor_{k}", TensorProto.FLOAT, [1]))
    session = rounding_session(model, watched=True)
    with torch.no_grad():
        z, features = static.encode(net, parity.portrait(64)[:1])
        w = static.map_latent(net, z)
    names = [f"feature_{4 * 2**i}" for i in range(len(features))]
    inputs = {"w": w, **dict(zip(names, features, strict=True))}
    return session, {key: value.numpy() for key, value in inputs.items()}, len(affines)


@settings(max_examples=20)
@given(data=st.data())
def test_nothing_overflows_whatever_the_size_of_the_styles(with_scaled_styles, data):
    session, inputs, count = with_scaled_styles
    exponents = st.floats(-4, 4)
    size = data.draw(st.one_of(st.lists(exponents, min_size=count, max_size=count), exponents))
    factors = 10.0 ** np.broadcast_to(size, count)
    for i, factor in enumerate(factors):
        inputs[f"factor_{i}"] = np.float32([factor])
    values = session.run(None, inputs)
    assert sum(value.dtype == np.float16 for value in values) > 100
    assert all(np.isfinite(value).all() for value in values)
    assert max(np.abs(value).max() for value in values if value.dtype == np.float16) <= MASS * BOUND


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_does_not_depend_on_the_size_of_its_styles(name):
    """Demodulation divides it out again: what is left of it is rounding."""
    layer = next(layer for layer in halve(static.fold(network(name))).styled[1:])
    assert isinstance(layer, HalfStyled)
    random = torch.Generator().manual_seed(0)
    style_dim, channels = layer.affine.weight.shape[1], len(layer.bias)
    w = torch.randn(1, style_dim, generator=random)
    x = [torch.randn(1, channels, 4, 4, generator=random).half() for _ in range(2)]
    feature = torch.randn(1, channels, 8, 8, generator=random)
    expected, _ = layer(x, w, feature)
    for size in (1e-2, 1e2, 1e4):
        affine = Linear(layer.affine.weight * size, layer.affine.bias * size)
        found, _ = replace(layer, affine=affine)(x, w, feature)
        torch.testing.assert_close(found, expected, atol=4e-3, rtol=4e-3)


def extremes():
    """Layers, inputs and styles as hostile as they come."""
    return st.sampled_from([0.0, 1e-20, 1e-8, 1.0, 1e4, 1e15])


@given(weights=extremes(), styles=extremes(), inputs=extremes(), seed=st.integers(0, 100))
def test_a_hostile_layer_stays_finite(weights, styles, inputs, seed):
    random = torch.Generator().manual_seed(seed)

    def draw(*shape, size):
        return torch.randn(shape, generator=random) * size

    kernel = draw(4, 8, 3, 3, size=weights)
    layer = static.Styled(
        affine=Linear(draw(8, 5, size=styles), draw(8, size=styles)),
        energy=kernel.square().sum((2, 3)),
        convolve=Same(kernel.chunk(2, 1)),
        bias=draw(4, 1, 1, size=weights),
        feature_gain=draw(1, size=weights),
        feature_bias=draw(4, 1, 1, size=weights),
    )
    x = [stored(draw(2, 4, 4, 4, size=inputs)) for _ in range(2)]
    for part in halved_layer(layer)(x, torch.ones(2, 5), draw(2, 4, 4, 4, size=inputs)):
        assert part.dtype == torch.float16
        assert part.abs().max() <= BOUND


def test_sums_are_bounded_by_the_mass_of_every_kernel(package):
    graph = onnx.load(package.graph("fused")).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernels = [constants[node.input[1]].astype(np.float64) for node in graph.node if node.op_type == "Conv"]
    masses = [np.abs(kernel).sum((1, 2, 3)).max() for kernel in kernels]
    assert len(masses) > 20
    assert max(masses) * BOUND < LARGEST
    assert np.median(masses) > MASS / 4  # blurs have 1


def test_convolutions_are_half_and_islands_are_not(package):
    graph = onnx.shape_inference.infer_shapes(onnx.load(package.graph("fused"))).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    found = {
        kind: {types[node.output[0]] for node in graph.node if node.op_type == kind}
        for kind in ("Conv", "Gemm", "Sqrt", "ConvTranspose", "LeakyRelu")
    }
    single, half = TensorProto.FLOAT, TensorProto.FLOAT16
    assert found == {"Conv": {half}, "Gemm": {single}, "Sqrt": {single}} | {
        "ConvTranspose": {single},  # the picture is doubled and added up
        "LeakyRelu": {single},  # beside the factor and the bias, before values are stored
    }


def test_the_manifest_tells_the_precision_and_ports_stay_fp32(package, tiny_package):
    assert (package.manifest.precision, package.manifest.weights) == ("fp16", "fp32")
    whole = open_package(tiny_package).manifest
    for name, graph in package.manifest.graphs.items():
        assert (graph.inputs, graph.outputs) == (whole.graphs[name].inputs, whole.graphs[name].outputs)
    assert package.manifest.graphs["mapping"].sha256 == whole.graphs["mapping"].sha256


def test_store_fp16_halves_what_fp16_packages_have_left_in_fp32(packages):
    manifest = packages["tiny64-wide-styles"].manifest
    assert (manifest.precision, manifest.weights) == ("fp16", "fp16")

    def single(name):
        tensors = onnx.load(packages[name].graph("generator")).graph.initializer
        large = [tensor for tensor in tensors if np.prod(tensor.dims) >= SMALLEST]
        return {tensor.data_type for tensor in large}

    assert single("tiny64") == {TensorProto.FLOAT16, TensorProto.FLOAT}
    assert single("tiny64-wide-styles") == {TensorProto.FLOAT16}


def test_winograd_in_half_precision_is_refused_in_one_line(tmp_path, capsys):
    arguments = [str(DATA / "tiny64.pth"), "-o", str(tmp_path / "p"), "--winograd", "--precision", "fp16"]
    assert main(arguments) == 2
    assert "--winograd is for CPUs" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_a_network_beyond_half_precision_is_refused_with_the_tolerance(tmp_path):
    """Its first encoder activations are far above the bound: they would be clamped."""
    state = {key: value.clone() for key, value in network("tiny64").state_dict().items()}
    state["ecd0.0.1.bias"] += 1e5
    torch.save(state, tmp_path / "loud.pth")
    with pytest.raises(
        GpenEdgeError, match=r"encoder graph differs .* more than 1e-02, the tolerance for its"
    ):
        export_package(tmp_path / "loud.pth", tmp_path / "p", ExportOptions(precision="fp16"))
    assert not (tmp_path / "p").exists()


def chained() -> ModelProto:
    """x₀ + x₁, which FP16 may not hold, less x₀: two FP16 convolutions."""
    kernels = {"sum": [[[[1]], [[1]]]], "difference": [[[[1]], [[-1]]]]}
    numbers = {"start": 0, "end": 1, "axis": 1}
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT16, [1, c, 1, 1]) for n, c in (("x", 2), ("y", 1))
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "sum"], ["both"]),
            helper.make_node("Slice", ["x", "start", "end", "axis"], ["first"]),
            helper.make_node("Concat", ["both", "first"], ["joined"], axis=1),
            helper.make_node("Conv", ["joined", "difference"], ["y"]),
        ],
        "chain",
        ports[:1],
        ports[1:],
        [numpy_helper.from_array(np.float16(value), name) for name, value in kernels.items()]
        + [numpy_helper.from_array(np.int64([value]), name) for name, value in numbers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_the_emulation_rounds_and_overflows_between_nodes():
    """Plain ONNX Runtime does not: the emulation is needed."""
    model = chained()
    plain = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    honest = rounding_session(model)

    def less(session, *x):
        return float(session.run(None, {"x": np.float16(x).reshape(1, 2, 1, 1)})[0].item())

    assert less(honest, 1, 2**-12) == 0
    assert less(honest, 1, 2**-9) == 2**-9
    assert less(honest, 60000, 60000) == float("inf")
    assert less(plain, 1, 2**-12) == 2**-12
    assert less(plain, 60000, 60000) == 60000
