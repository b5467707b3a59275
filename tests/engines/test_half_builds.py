"""Real builds with TensorRT-RTX of what packages hold, in both precisions. No GPU is used."""

from dataclasses import fields
from pathlib import Path

import onnx
import pytest
import torch

from engines.__main__ import main
from engines.construction import BuildRequest, construct
from engines.layers import precisions
from engines.package import open_package
from export.graphs import to_onnx, traced_graphs
from export.layout import Layout
from export.network import Gpen

pytest.importorskip("tensorrt_rtx")

TARGETS = ("sm_75", "sm_86", "sm_89", "sm_120")
BFR_512 = Layout(512, channel_multiplier=2, narrow=1.0, style_dim=512, n_mlp=8)


def built(graph, folder):
    """Build a graph for all targets and batches of 1 to 8; return its layers."""
    output = folder / "engine"
    request = BuildRequest(runtime="rtx", graph=str(graph), output=str(output), max_batch=8, targets=TARGETS)
    layers = construct(request, lambda phase, share: None).layers
    assert output.stat().st_size > 1000
    assert layers
    return layers


def convolutions(layers):
    """Precisions of the network's convolutions: not of the linear layers that Turing has as convolutions."""
    return {x.precision for x in layers if x.kind == "correlation" and not x.name.startswith("(Unnamed")}


@pytest.mark.parametrize("graph", ["encoder", "mapping", "generator", "step"])
def test_the_bundled_default_is_built_for_every_target(graph, tmp_path):
    layers = built(open_package().graph(graph), tmp_path)
    assert set(precisions(layers)) == {"FP32"}
    assert convolutions(layers) <= {"FP32"}


@pytest.fixture(scope="module")
def default_in_half():
    """The graphs of a package of the bundled one's shape, with random weights."""
    manifest = open_package().manifest
    torch.manual_seed(0)
    network = Gpen(Layout(**{field.name: getattr(manifest, field.name) for field in fields(Layout)}))
    return traced_graphs(network.eval().requires_grad_(False), fused=False, half=True)


@pytest.mark.parametrize("graph", ["encoder", "mapping", "generator", "step"])
def test_the_default_is_built_in_half_precision_for_every_target(default_in_half, graph, tmp_path):
    onnx.save(to_onnx(default_in_half[graph], 17), tmp_path / "graph.onnx")
    layers = built(tmp_path / "graph.onnx", tmp_path)
    assert convolutions(layers) == (set() if graph == "mapping" else {"FP16"})
    assert "FP32" in precisions(layers)  # the islands


@pytest.mark.parametrize("graph", ["generator", "step"])
def test_a_network_of_the_published_size_is_built_in_half_precision(graph, tmp_path):
    torch.manual_seed(0)
    network = Gpen(BFR_512).eval().requires_grad_(False)
    model = to_onnx(traced_graphs(network, fused=False, half=True)[graph], 17)
    onnx.save(model, tmp_path / "graph.onnx")
    layers = built(tmp_path / "graph.onnx", tmp_path)
    assert convolutions(layers) == {"FP16"}


def test_inspect_shows_half_precision_convolutions(half_package, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "cache"))
    command = ["build", str(half_package), "--runtime", "rtx", "--graphs", "fused"]
    assert main([*command, "--target", ",".join(TARGETS)]) == 0
    (path,) = capsys.readouterr().out.split()
    assert "-fp16-" in Path(path).name
    assert main(["inspect", path]) == 0
    shown = capsys.readouterr().out
    assert "fused.onnx of tiny64 (fp16), batch 1…8, for sm_75,sm_86,sm_89,sm_120" in shown
    heading = next(line.split() for line in shown.splitlines() if line.split()[:1] == ["layers"])
    row = next(line.split() for line in shown.splitlines() if "with a convolution" in line)
    counts = dict(zip(heading[1:], map(int, row[3:]), strict=True))
    assert counts["FP16"] >= 13 + 5 + 4 * 6  # the encoder's, with blurs; those that keep and that double
    assert main(["inspect", str(half_package)]) == 0
    assert "4 mapping layers, fp16, opset 17" in capsys.readouterr().out
