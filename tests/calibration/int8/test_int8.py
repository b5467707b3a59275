"""`python -m calibration int8`, as a user meets it, and what it is made of."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper
from onnxruntime.quantization.calibrate import HistogramCollector

from base.errors import BackendError
from calibration.__main__ import main
from calibration.int8 import conversion
from calibration.int8.command import knee
from calibration.int8.cpu_form import side_by_side
from calibration.int8.insertion import quantised
from calibration.int8.linear_weights import store_linear_weights
from calibration.int8.quantisable import Layer, all_macs, layers_of, same_layers
from calibration.int8.ranges import BINS, GROUPS, Seen, best, candidates, error, rounded, rounded_weights
from calibration.int8.trade_off import Quality, weigh
from calibration.samples import samples
from calibration.watching import in_pieces, run_through, shapes_of, watch
from engines.__main__ import main as engines_main
from engines.construction import BuildRequest, construct
from engines.package import GraphName, Quantisation, Trial, open_package
from runtime import RestoreSettings
from runtime.network.backends import BackendName, Move, open_backend
from runtime.network.loop import restore_crops

BAR = ("--psnr", "32", "--share", "0.8")


def run(package: Path, images: Path, output: Path, *options: str) -> int:
    given = ["int8", str(package), "--images", str(images), "-o", str(output), "--threads", "1", *options]
    return main(given)


@pytest.fixture(scope="module")
def made(tiny_package: Path, faces: Path, once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    def make(folder: Path) -> None:
        assert run(tiny_package, faces, folder, "--aligned", *BAR) == 0

    return once("tiny64-int8", make)


def graphs_in(package: Path) -> dict[GraphName, ModelProto]:
    return {
        name: onnx.load(str(package / f"{name}.onnx")) for name in ("encoder", "generator", "step", "fused")
    }


def test_every_quantised_convolution_is_as_tensorrt_wants_it(made: Path) -> None:
    manifest = open_package(made).manifest
    assert manifest.quantisation is not None
    counts = Counter[str]()
    for layer in manifest.quantisation.layers:
        if layer.precision == "int8":
            counts[layer.graph] += len(layer.convolutions)
    expected = {**counts, "step": counts["encoder"], "fused": counts.total()}
    for name, model in graphs_in(made).items():
        onnx.checker.check_model(model, full_check=True)
        makers = {output: node for node in model.graph.node for output in node.output}
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        found = [
            node
            for node in model.graph.node
            if node.op_type == "Conv" and _op(makers, node.input[1]) == "DequantizeLinear"
        ]
        assert len(found) == expected[name]
        for node in found:
            dequantise = makers[node.input[0]]
            quantise = makers[dequantise.input[0]]
            assert (dequantise.op_type, quantise.op_type) == ("DequantizeLinear", "QuantizeLinear")
            for half in (dequantise, quantise):
                assert constants[half.input[1]].shape == ()
                zero = constants[half.input[2]]
                assert (zero.dtype, int(zero)) == (np.int8, 0)
            weights = makers[node.input[1]]
            kernel = constants[weights.input[0]]
            assert kernel.dtype == np.int8
            assert constants[weights.input[1]].shape == (len(kernel),)
            assert not constants[weights.input[2]].any()
            assert all(kernel.reshape(len(kernel), -1).any(1))
        quantised_values = {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
        convolved = {node.output[0] for node in model.graph.node if node.op_type == "Conv" and _mixes(node)}
        activated = {
            node.input[0]
            for node in model.graph.node
            if node.op_type == "LeakyRelu" and node.input[0] in convolved
        }
        assert not quantised_values & convolved, "Q between a convolution and what fuses with it"
        assert name == "generator" or activated


def _op(makers: dict[str, NodeProto], value: str) -> str:
    return makers[value].op_type if value in makers else ""


def _mixes(node: NodeProto) -> bool:
    return all(attribute.i == 1 for attribute in node.attribute if attribute.name == "group")


# The fused graph holds what the mapping and the generator do.
@pytest.mark.parametrize("graph", ["encoder", "step", "fused"])
def test_tensorrt_rtx_builds_it_and_convolves_in_int8(made: Path, graph: GraphName, tmp_path: Path) -> None:
    request = BuildRequest(
        runtime="rtx",
        graph=str(made / f"{graph}.onnx"),
        output=str(tmp_path / "engine"),
        max_batch=2,
        targets=("sm_86",),
    )
    layers = construct(request, lambda phase, share: None).layers
    in_int8 = sum(layer.kind == "correlation" and layer.precision == "INT8" for layer in layers)
    nodes = onnx.load(str(made / f"{graph}.onnx")).graph.node
    makers = {output: node for node in nodes for output in node.output}
    wanted = sum(
        node.op_type == "Conv" and _op(makers, node.input[1]) == "DequantizeLinear" for node in nodes
    )
    assert in_int8 == wanted > 0


def test_a_package_for_cpus_is_refused_by_tensorrt_and_openvino_in_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "for-cpus"
    copytree(made, package)
    manifest = package / "manifest.json"
    text = manifest.read_text()
    assert text.count('"target": "gpu"') == 1
    manifest.write_text(text.replace('"target": "gpu"', '"target": "cpu"'))
    assert engines_main(["build", str(package)]) == 2
    assert capsys.readouterr().err.endswith("without --for cpu\n")
    with pytest.raises(BackendError, match=r"made for ONNX Runtime.*without --for cpu$") as refusal:
        open_backend("openvino", open_package(package), device="cpu", threads=1)
    assert "\n" not in str(refusal.value)


def test_the_manifest_says_what_was_traded(made: Path, tiny_package: Path) -> None:
    package = open_package(made)
    quantisation = package.manifest.quantisation
    assert package.manifest.precision == "int8"
    assert quantisation is not None
    assert quantisation.psnr >= 32
    assert quantisation.share >= 0.8
    assert (quantisation.portraits, quantisation.held_out) == (8, 2)
    assert set(quantisation.linear_weights) <= {"encoder", "mapping", "generator"}
    assert len(quantisation.curve) == len(quantisation.layers)
    shares = [trial.share for trial in quantisation.curve if trial.kept]
    assert shares == sorted(shares)
    assert shares[-1] == quantisation.share
    inside = sum(layer.share for layer in quantisation.layers if layer.precision == "int8")
    assert inside == pytest.approx(quantisation.share, abs=1e-4)
    assert (made / "quantisation.png").read_bytes().startswith(b"\x89PNG")
    sizes = [sum(p.stat().st_size for p in folder.glob("*.onnx")) for folder in (made, tiny_package)]
    assert sizes[0] < 0.4 * sizes[1]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_the_runtime_takes_the_package_like_any_other(
    name: BackendName,
    made: Path,
    tiny_package: Path,
    faces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path))
    sample = next(samples(faces, 64, None, limit=8, seed=0))
    pictures = []
    exact: BackendName = "onnxruntime"
    for folder, runtime in ((made, name), (tiny_package, exact)):
        backend = open_backend(runtime, open_package(folder), device="cpu", threads=1)
        state = backend.encode(sample, [Move(np.full((1, 1, 64, 64), 0.1, np.float32), 0.1)])
        backend.generate(state)
        assert backend.step(state, 0).shape == (1,)
        pictures.append(np.clip(backend.restored(state), -1, 1))
        assert ("INT8" in backend.why) == (runtime == "openvino")
        backend.close()
    assert not (pictures[0] == pictures[1]).all()
    assert 10 * np.log10(4 / np.square(pictures[0] - pictures[1]).mean()) > 28


@pytest.mark.parametrize("target", ["gpu", "cpu"])
def test_a_renewed_package_stays_one_and_its_step_is_copied(
    target: str,
    renewed_package: Path,
    made: Path,
    faces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, bar = tmp_path / "int8", BAR
    if target == "cpu":  # a few layers suffice: each one takes two more measurements
        monkeypatch.setattr(conversion, "layers_of", lambda *graph: layers_of(*graph)[-2:])
        bar = ("--psnr", "32", "--share", "0.35")
    assert run(renewed_package, faces, output, "--aligned", *bar, "--for", target) == 0
    package, source = open_package(output), open_package(renewed_package)
    assert (package.manifest.loop, package.manifest.precision) == ("renewed", "int8")
    assert not package.manifest.moves_latent
    if target == "gpu":  # the same weights, images and seed as of the other package: the same bytes
        assert package.graph("step").read_bytes() == source.graph("step").read_bytes()
        names = sorted({path.name for path in made.iterdir()} - {"fused.onnx"})
        assert names == sorted(path.name for path in output.iterdir())
        differing = [name for name in names if (made / name).read_bytes() != (output / name).read_bytes()]
        assert differing == ["manifest.json", "step.onnx"]
        assert package.manifest.quantisation == open_package(made).manifest.quantisation
    pictures = []
    crop = np.asarray(next(samples(faces, 64, None, limit=8, seed=0)).transpose(0, 2, 3, 1) + 1) / 2
    for opened in (package, source):
        backend = open_backend("onnxruntime", opened, device="cpu", threads=1)
        one = np.ones(crop.shape[:3], np.float32)
        results = restore_crops(backend, crop, one, RestoreSettings(budget=600), settled=0)
        assert {result.passes for result in results} == {5}
        pictures.append(np.stack([result.restored for result in results]))
        backend.close()
    # Each pass of a random network magnifies what the one before was off.
    assert 10 * np.log10(1 / np.square(pictures[0] - pictures[1]).mean()) > 15


def test_on_a_cpu_every_quantised_convolution_runs_in_int8(tiny_package: Path, tmp_path: Path) -> None:
    for graph in ("encoder", "generator"):
        model = side_by_side(onnx.load(str(tiny_package / f"{graph}.onnx")))
        layers = layers_of(graph, model)  # type: ignore[arg-type]
        spans = {name: 4.0 for layer in layers for name in (*layer.inputs, *layer.outputs)}
        made = quantised(model, layers, spans, "cpu")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(tmp_path / f"{graph}.onnx")
        onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
        kinds = Counter(node.op_type for node in onnx.load(str(tmp_path / f"{graph}.onnx")).graph.node)
        assert kinds["QLinearConv"] == sum(len(layer.convolutions) for layer in layers)


def inputs_of(model: ModelProto, batch: int) -> dict[str, NDArray[np.float32]]:
    """Latents so wide that some styles, which are affine in them, are negative."""
    random = np.random.default_rng(0)
    shapes = shapes_of(model)
    return {
        port.name: random.normal(0, 2, (4, *shapes[port.name][1:])).astype(np.float32)[:batch]
        for port in model.graph.input
    }


def spans_of(model: ModelProto, layers: list[Layer]) -> dict[str, float]:
    spans: dict[str, float] = {}
    inputs = inputs_of(model, 4)
    for i in range(4):
        one = {name: values[i : i + 1] for name, values in inputs.items()}
        watch(
            in_pieces(model, threads=1),
            one,
            lambda name, x: spans.update({name: max(spans.get(name, 0), abs(x).max())}),
        )
    return {name: float(spans[name]) for layer in layers for name in (*layer.inputs, *layer.outputs)}


def picture_of(model: ModelProto, batch: int) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, inputs_of(model, batch))[0])


@pytest.fixture(scope="module")
def generator(tiny_package: Path) -> ModelProto:
    return onnx.load(str(tiny_package / "generator.onnx"))


@pytest.fixture(scope="module")
def in_bytes(generator: ModelProto) -> ModelProto:
    """The generator as a CPU has it, all in INT8."""
    joined = side_by_side(generator)
    layers = layers_of("generator", joined)
    return quantised(joined, layers, spans_of(joined, layers), "cpu")


def test_sums_of_convolutions_are_one_on_a_cpu(generator: ModelProto) -> None:
    joined = side_by_side(generator)
    before, after = (
        sum(_mixes(node) for node in model.graph.node if node.op_type == "Conv")
        for model in (generator, joined)
    )
    assert after == before - 4  # at 8, 16, 32 and 64; at 4 there is only the constant
    assert picture_of(joined, 2) == pytest.approx(picture_of(generator, 2), abs=1e-3)


def test_factors_by_channel_are_in_the_scales_on_a_cpu(generator: ModelProto, in_bytes: ModelProto) -> None:
    def products(model: ModelProto) -> int:
        shapes = shapes_of(model)
        return sum(
            node.op_type == "Mul" and shapes.get(node.input[1], ())[2:] == (1, 1) for node in model.graph.node
        )

    assert products(generator) == 2 * 8 + 1 + 9  # styles of the parts, and demodulations
    assert products(in_bytes) == 1  # the constant's style
    exact = picture_of(generator, 4)
    assert np.square(picture_of(in_bytes, 4) - exact).mean() < 0.05**2 * exact.var()


def test_a_style_of_0_is_no_error_on_a_cpu(generator: ModelProto) -> None:
    still = ModelProto()
    still.CopyFrom(generator)
    for tensor in still.graph.initializer:  # weights and biases of the styles
        if any(tensor.name in node.input[1:] for node in still.graph.node if node.op_type == "Gemm"):
            tensor.CopyFrom(numpy_helper.from_array(0 * numpy_helper.to_array(tensor), tensor.name))
    joined = side_by_side(still)
    layers = layers_of("generator", joined)
    spans = {name: 1.0 for layer in layers for name in (*layer.inputs, *layer.outputs)}
    picture = picture_of(quantised(joined, layers, spans, "cpu"), 2)
    assert picture == pytest.approx(picture_of(still, 2), abs=1e-4)


def test_each_picture_of_a_batch_has_its_own_scales(in_bytes: ModelProto) -> None:
    together = picture_of(in_bytes, 4)
    assert np.abs(together[:1] - picture_of(in_bytes, 1)).max() < 0.02 * together.std()


def test_layers_are_most_of_the_arithmetic_and_found_again_in_the_step(tiny_package: Path) -> None:
    models = {
        name: onnx.load(str(tiny_package / f"{name}.onnx")) for name in ("encoder", "generator", "step")
    }
    layers = [layer for name in ("encoder", "generator") for layer in layers_of(name, models[name])]  # type: ignore[arg-type]
    # All but the first, which reads the picture.
    assert len({layer.name for layer in layers}) == len(layers) == 4 + 9
    share = sum(layer.macs for layer in layers) / sum(all_macs(models[n]) for n in ("encoder", "generator"))
    assert 0.9 < share < 1
    encoder = [layer for layer in layers if layer.graph == "encoder"]
    found = same_layers(encoder, models["encoder"], models["step"])
    assert [layer for layer, _ in found] == encoder
    assert len({name for _, layer in found for name in layer.convolutions}) == 4
    assert same_layers(encoder, models["encoder"], models["generator"]) == []


def test_nearly_all_of_a_gfpgan_is_found_and_keeps_the_picture(gfpgan_package: Path, faces: Path) -> None:
    names: tuple[GraphName, ...] = ("encoder", "mapping", "generator")
    models = {name: onnx.load(str(gfpgan_package / f"{name}.onnx")) for name in names}
    layers = {name: layers_of(name, models[name]) for name in ("encoder", "generator")}  # type: ignore[arg-type]
    macs = sum(layer.macs for each in layers.values() for layer in each)
    assert 0.9 < macs / sum(all_macs(models[name]) for name in layers) < 1
    sample = next(samples(faces, 64, None, limit=8, seed=0))
    spans: dict[str, dict[str, float]] = {name: {} for name in names}

    def see(graph: GraphName, name: str, value: NDArray[np.float32]) -> None:
        spans[graph][name] = float(abs(value).max())

    exact = run_through({name: in_pieces(models[name], threads=1) for name in names}, sample, see)
    values = {"crop": sample}
    for name in names:
        model = quantised(models[name], layers.get(name, []), spans[name], "gpu")
        session = onnxruntime.InferenceSession(model.SerializeToString())
        taken = {port.name: values.pop(port.name) for port in session.get_inputs()}
        outputs = [port.name for port in session.get_outputs()]
        values |= dict(zip(outputs, session.run(None, taken), strict=True))
    error = np.square(np.clip(values["restored"], -1, 1) - np.clip(exact["restored"], -1, 1)).mean()
    assert 30 < 10 * np.log10(4 / error) < 90


def test_the_worst_layers_stay_in_floating_point() -> None:
    layers = [Layer("generator", name, (name,), (name,), (name,), 100) for name in "abc"]
    noise = {"a": 1e-4, "b": 1e-1, "c": 1e-5}

    def measure(tried: object) -> Quality:
        decibels = -10 * np.log10(sum(noise[layer.name] for layer in tried))  # type: ignore[attr-defined]
        return Quality(decibels, decibels)

    found = weigh(layers, 400, measure, 35, lambda: None)
    assert [step.layer.name for step in found.steps] == ["c", "a", "b"]
    assert [layer.name for layer in found.kept] == ["c", "a"]
    assert found.last is not None
    assert found.last.share == 0.5
    assert weigh(layers, 400, measure, 90, lambda: None).last is None


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_the_best_range_is_no_worse_than_any_other(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    values = (size * rng.standard_t(3, 4000)).astype(np.float32)
    seen = Seen()
    seen.add(values)
    tops = candidates(seen)
    assert set(tops) == {
        "minmax",
        "percentile-99.9",
        "percentile-99.99",
        "percentile-99.999",
        "entropy",
        "mse",
    }
    assert all(0 < top <= tops["minmax"] * 1.0001 for top in tops.values())
    method, top = best(tops, lambda top: error(values, top))
    assert tops[method] == top
    assert error(values, top) <= min(error(values, other) for other in tops.values())
    assert rounded(rounded(values, top), top) == pytest.approx(rounded(values, top))


@pytest.mark.parametrize("values", [(0.7, "exponential"), (0.0, "laplace")])
def test_the_range_by_entropy_is_onnx_runtimes(values: tuple[float, str]) -> None:
    rng = np.random.default_rng(0)
    zeros, kind = values
    found = np.where(rng.random(5000) < zeros, 0, np.abs(getattr(rng, kind)(size=5000))).astype(np.float32)
    seen = Seen()
    seen.add(found)
    counts, edges = np.histogram(np.concatenate([found, -found]), BINS, (-seen.largest, seen.largest))
    histogram = (counts, edges.astype(np.float32), -seen.largest, seen.largest)
    collector = HistogramCollector("entropy", True, BINS, GROUPS, 99.99, "same")
    _, top = collector.get_entropy_threshold(histogram, GROUPS)
    assert candidates(seen)["entropy"] == pytest.approx(float(top))
    assert top < seen.largest


def test_weights_are_rounded_by_output_channel() -> None:
    kernel = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    kernel *= np.array([1e-3, 1, 10, 0], np.float32)[:, None, None, None]
    off = np.abs(rounded_weights(kernel) - kernel).reshape(4, -1).max(1)
    assert (off <= np.abs(kernel).reshape(4, -1).max(1) / 254 * 1.001).all()


def test_weights_of_linear_layers_take_a_byte_and_keep_the_function(tiny_package: Path) -> None:
    model = onnx.load(str(tiny_package / "mapping.onnx"))
    small = store_linear_weights(model, [model])
    assert store_linear_weights(model, []) == model
    onnx.checker.check_model(small, full_check=True)
    assert small.ByteSize() < 0.35 * model.ByteSize()
    z = np.random.default_rng(0).normal(
        size=(1, model.graph.input[0].type.tensor_type.shape.dim[1].dim_value)
    )
    w, near = (
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, {"z": z.astype(np.float32)})[0]
        for each in (model, small)
    )
    assert 0 < np.linalg.norm(near - w) < 0.03 * np.linalg.norm(w)


def refused(
    package: Path, images: Path, output: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> str:
    assert run(package, images, output, *options) == 2
    assert not output.exists()
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    return said


def test_bad_portraits_are_refused(
    tiny_package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "int8"
    images = tmp_path / "images"
    images.mkdir()
    for i in range(7):
        cv2.imwrite(str(images / f"{i}.png"), np.full((64, 64, 3), 20 * i, np.uint8))
    told = refused(tiny_package, images, output, capsys, "--aligned")
    assert "holds 7 portraits: 8 or more are needed" in told
    cv2.imwrite(str(images / "7.png"), np.full((64, 64, 3), 200, np.uint8))
    assert "is of one colour" in refused(tiny_package, images, output, capsys, "--aligned")
    assert "no face was found" in refused(tiny_package, images, output, capsys)


def test_a_photo_package_is_refused(
    photo_package: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(photo_package, faces, tmp_path / "int8", capsys, "--aligned")
    assert "`python -m export photo --precision fp16`" in told


def test_what_cannot_be_is_refused(
    made: Path, tiny_package: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "int8"
    assert "is int8 already" in refused(made, faces, output, capsys, "--aligned")
    said = refused(tiny_package, faces, output, capsys, "--aligned", "--share", "1")
    assert "of the arithmetic can be INT8, 100.0% was requested" in said
    assert "--psnr is 5" in refused(tiny_package, faces, output, capsys, "--aligned", "--psnr", "5")
    assert "--portraits is 3" in refused(tiny_package, faces, output, capsys, "--portraits", "3")
    assert run(tiny_package, faces, made, "--aligned") == 2
    assert "already exists" in capsys.readouterr().err
    assert json.loads((made / "manifest.json").read_text())["precision"] == "int8"


def test_the_knee_is_a_stage_that_gains_more_decibels_than_it_gives_up_percent() -> None:
    def found(*stages: tuple[float, float]) -> Trial | None:
        curve = tuple(
            Trial(layer="l", share=share, psnr=psnr, worst_psnr=psnr, kept=True) for share, psnr in stages
        )
        return knee(cast(Quantisation, SimpleNamespace(curve=curve, least_share=0.8)))

    sharp = found((0.5, 60), (0.9, 45), (0.965, 42.8), (0.981, 38.8))
    assert sharp is not None
    assert (sharp.share, sharp.psnr) == (0.965, 42.8)
    assert found((0.85, 41), (0.9, 40), (0.98, 38.8)) is None
    assert found() is None
