import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from base.errors import GpenEdgeError
from engines.package import open_package
from export.__main__ import main
from export.architectures import load_restoring
from export.exporter import export_package
from export.gpen.checkpoint import load_checkpoint
from export.gpen.network import Gpen
from export.restoring import traced_graphs
from export.tracing import to_onnx

DATA = Path(__file__).parents[1] / "data"
TINY = DATA / "tiny64.pth"
GRAPHS = ["encoder", "mapping", "generator", "step", "fused"]


@pytest.fixture(scope="module", params=["tiny64", "tiny64-wide-styles"])
def exported(request, tiny_package, wide_package):
    """A package, its sessions, its checkpoint and the arrays that the published implementation computed."""
    checkpoint = DATA / f"{request.param}.pth"
    package = open_package(tiny_package if request.param == "tiny64" else wide_package)
    sessions = {name: session(package.graph(name)) for name in GRAPHS}
    return package, sessions, checkpoint, dict(np.load(DATA / f"{request.param}.npz"))


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(session, *inputs):
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def same(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("batch", [1, 2])
def test_the_graphs_of_a_package_give_the_published_results(exported, batch):
    _, sessions, _, golden = exported
    z, *features = run(sessions["encoder"], golden["input"][:batch])
    (w,) = run(sessions["mapping"], z)
    (restored,) = run(sessions["generator"], w, *features)
    same(z, golden["z"][:batch])
    same(w, golden["w"][:batch])
    same(restored, golden["output"][:batch])


@pytest.mark.parametrize("batch", [1, 2])
def test_the_fused_graph_gives_the_published_results(exported, batch):
    _, sessions, _, golden = exported
    same(run(sessions["fused"], golden["input"][:batch])[0], golden["output"][:batch])


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="the DNN of OpenCV 5")
@pytest.mark.parametrize("batch", [1, 2])
def test_opencvs_dnn_computes_the_fused_graph_each_time(exported, batch):
    package, _, _, golden = exported
    network = cv2.dnn.readNetFromONNX(str(package.graph("fused")))
    for _ in range(2):
        network.setInput(golden["input"][:batch])
        same(network.forward(), golden["output"][:batch])


def test_batch_1_makes_every_length_of_every_graph_a_number(static_package):
    package, golden = open_package(static_package), np.load(DATA / "tiny64.npz")
    assert package.manifest.batch == 1
    for name in GRAPHS:
        model = onnx.shape_inference.infer_shapes(onnx.load(package.graph(name)))
        values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
        lengths = [dim for value in values for dim in value.type.tensor_type.shape.dim]
        assert lengths
        assert all(dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0 for dim in lengths)
        assert "Shape" not in {node.op_type for node in model.graph.node}
        ports = (*package.manifest.graphs[name].inputs, *package.manifest.graphs[name].outputs)
        assert {port.shape[0] for port in ports} == {1}
    for crop, output in zip(golden["input"], golden["output"], strict=True):
        same(run(session(package.graph("fused")), crop[None])[0], output[None])


def test_another_fixed_batch_is_refused(tmp_path, capsys):
    assert main([str(TINY), "-o", str(tmp_path / "p"), "--batch", "4"]) == 2
    assert "--batch is '4': give 1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_step_graph_is_the_formula_of_the_design(exported):
    _, sessions, checkpoint, golden = exported
    loaded = load_checkpoint(checkpoint)
    network = Gpen.from_state(loaded.layout, loaded.state)
    rng = np.random.default_rng(0)
    u, r = golden["input"], golden["output"]
    w = rng.normal(size=golden["w"].shape).astype(np.float32)
    eta, k = 0.1, 3
    rho = rng.uniform(0, 2, (2, 1, 64, 64)).astype(np.float32)
    picture_gain = 1 - (1 - eta * rho) ** k
    latent_gain = np.array([[1 - (1 - eta) ** k], [0.0]], np.float32)

    expected_u = r + (1 - eta * rho) ** k * (u - r)
    target = network.generator.map(network.encode(torch.from_numpy(expected_u))[0]).numpy()
    expected_w = target + (1 - latent_gain) * (w - target)
    norm = np.linalg.norm
    expected_change = norm(expected_w - w, axis=1, keepdims=True) / norm(w, axis=1, keepdims=True)

    next_u, next_w, change = run(sessions["step"], u, r, picture_gain, w, latent_gain)
    same(next_u, expected_u)
    same(next_w, expected_w)
    same(change, expected_change)
    np.testing.assert_array_equal(next_w[1], w[1])  # a gain of 0 moves nothing
    assert change[1] == 0


def test_the_manifest_tells_what_the_files_are(exported):
    package, sessions, checkpoint, _ = exported
    manifest = package.manifest
    assert open_package(package.folder) == package
    assert (manifest.name, manifest.size, manifest.opset) == (checkpoint.stem, 64, 17)
    sizes = {"channel_multiplier": 1, "narrow": 1 / 16, "style_dim": 64, "n_mlp": 4}
    assert manifest.network == {"kind": "gpen", **sizes}
    assert manifest.template == "published"
    assert manifest.source.sha256 == load_checkpoint(checkpoint).sha256
    for name, session in sessions.items():
        graph = manifest.graphs[name]
        for ports, values in ((graph.inputs, session.get_inputs()), (graph.outputs, session.get_outputs())):
            assert [(port.name, list(port.shape)) for port in ports] == [(v.name, v.shape) for v in values]
    assert {path.name for path in package.folder.iterdir()} == {
        "manifest.json",
        *(f"{g}.onnx" for g in GRAPHS),
    }


def test_the_graphs_are_free_of_the_latent_in_their_weights(exported):
    package, *_ = exported
    for name in GRAPHS:
        graph = onnx.load(package.graph(name)).graph
        constants = {tensor.name for tensor in graph.initializer}
        convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
        assert all(node.input[1] in constants for node in convolutions)
        assert {"Loop", "If"}.isdisjoint(node.op_type for node in graph.node)


def test_the_same_checkpoint_gives_the_same_bytes_in_another_process_and_on_any_console(
    tiny_package, tmp_path
):
    again = tmp_path / "写真"
    command = [sys.executable, "-m", "export", str(TINY), "-o", str(again), "--name", "модель"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    names = {path.name for path in tiny_package.iterdir()}
    assert {path.name for path in again.iterdir()} == names - {"fused.onnx"}
    for graph in again.glob("*.onnx"):
        assert graph.read_bytes() == (tiny_package / graph.name).read_bytes(), graph.name
    manifest, whole = open_package(again).manifest, open_package(tiny_package).manifest
    assert manifest.name == "модель"
    graphs = {name: graph for name, graph in whole.graphs.items() if name != "fused"}
    assert replace(manifest, name="tiny64") == replace(whole, graphs=graphs)


def test_the_step_of_a_renewed_package_only_moves_the_estimate(renewed_package, tiny_package):
    package, other = open_package(renewed_package), open_package(tiny_package)
    assert (package.manifest.loop, other.manifest.loop) == ("renewed", None)
    assert (package.manifest.moves_latent, other.manifest.moves_latent) == (False, True)
    for name in ("encoder", "mapping", "generator"):
        assert package.manifest.graphs[name] == other.manifest.graphs[name]
    assert package.graph("step").stat().st_size < 5000
    rng = np.random.default_rng(0)
    u, r = rng.uniform(-1, 1, (2, 2, 3, 64, 64)).astype(np.float32)
    gain = rng.uniform(0, 0.8, (2, 1, 64, 64)).astype(np.float32)
    next_u, change = run(session(package.graph("step")), u, r, gain)
    same(next_u, u + gain * (r - u))
    moving = gain.mean((1, 2, 3)) / gain.max((1, 2, 3))
    expected = np.sqrt(((next_u - u) ** 2).mean((1, 2, 3)) / moving) / 2
    np.testing.assert_allclose(change[:, 0], expected, rtol=1e-4)


def test_the_step_of_a_renewed_package_takes_fp32_in_half_precision_too():
    _, network = load_restoring(TINY)
    traced = traced_graphs(network, fused=False, form="half", renewed=True)
    step = to_onnx(traced["step"], 17).graph
    ports = (*step.input, *step.output)
    assert [port.name for port in ports] == [
        "estimate",
        "restored",
        "picture_gain",
        "next_estimate",
        "change",
    ]
    assert {port.type.tensor_type.elem_type for port in ports} == {onnx.TensorProto.FLOAT}


def damaged(path, change):
    state = torch.load(TINY, weights_only=True)
    state = {name: tensor.float() for name, tensor in state.get("g_ema", state).items()}
    change(state)
    torch.save(state, path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("final_linear.0.bias"), "'final_linear.0.bias' [64] is missing"),
        (lambda state: state["ecd0.0.1.bias"].fill_(float("nan")), "'ecd0.0.1.bias' holds values that are"),
    ],
)
def test_a_checkpoint_that_does_not_do_is_one_line_and_leaves_nothing(tmp_path, capsys, change, told):
    bad = tmp_path / "bad.pth"
    damaged(bad, change)
    assert main([str(bad), "-o", str(tmp_path / "new" / "package")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert list(tmp_path.iterdir()) == [bad]


def test_an_output_that_is_there_is_kept_unless_told_otherwise_and_options_change_what_they_say(
    tiny_package, tmp_path, capsys
):
    output = tmp_path / "package"
    shutil.copytree(tiny_package, output)
    options = ["--name", "mine", "--licence", "CC0-1.0", "--opset", "18"]
    assert main([str(TINY), "-o", str(output), *options]) == 2
    assert "already exists: give another, or add --overwrite" in capsys.readouterr().err
    assert open_package(output).manifest == open_package(tiny_package).manifest
    assert main([str(TINY), "-o", str(output), *options, "--overwrite"]) == 0
    shown = capsys.readouterr().out
    assert "mine: gpen, S=64, channel multiplier 1, narrow 0.0625, style dim 64, n mlp 4" in shown
    assert "generator.onnx" in shown
    package = open_package(output)
    assert (package.manifest.name, package.manifest.source.licence) == ("mine", "CC0-1.0")
    (opset,) = onnx.load(package.graph("generator")).opset_import
    assert package.manifest.opset == opset.version == 18
    assert not (output / "fused.onnx").exists()
    assert list(tmp_path.iterdir()) == [output]


def test_a_failing_export_keeps_the_package_that_it_would_have_replaced(tiny_package, tmp_path):
    output, bad = tmp_path / "package", tmp_path / "bad.pth"
    shutil.copytree(tiny_package, output)
    damaged(bad, lambda state: state["generator.conv1.conv.weight"].fill_(3e38))
    with pytest.raises(GpenEdgeError, match="nothing was written"):
        export_package(bad, output, overwrite=True)
    assert open_package(output).manifest == open_package(tiny_package).manifest
    assert sorted(tmp_path.iterdir()) == [bad, output]


def test_the_bundled_portrait_is_a_crop_that_every_size_can_be_made_of():
    from export.parity import portrait

    for size in (64, 512, 1024):
        crops = portrait(size)
        assert crops.shape == (2, 3, size, size)
        assert -1 <= crops.min() < crops.max() <= 1
        assert crops.std() > 0.3


@pytest.mark.parametrize(
    ("tensor", "title"),
    [
        ("quantize.embedding.weight", "CodeFormer"),
        ("body.0.rdb1.conv1.weight", "Real-ESRGAN"),
        ("conv_body_first.0.weight", "GFPGANv1.pth"),
    ],
)
def test_a_checkpoint_of_another_project_is_named(
    tensor: str, title: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "other.pth"
    torch.save({"params_ema": {tensor: torch.zeros(4, 4)}}, checkpoint)
    assert main([str(checkpoint), "-o", str(tmp_path / "package")]) == 2
    error = capsys.readouterr().err
    assert f"looks like {title}" in error
    assert error.endswith("only checkpoints of GPEN and GFPGAN work\n")
    assert not (tmp_path / "package").exists()
