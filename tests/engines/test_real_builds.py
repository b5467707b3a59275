"""Real builds with TensorRT-RTX of every graph that packages hold, in both precisions. No GPU is used."""

from pathlib import Path

import onnx
import pytest
import torch

from engines.__main__ import main
from engines.construction import BuildRequest, construct
from engines.layers import precisions
from engines.package import open_package
from export.gpen.architecture import gpen_network
from export.gpen.layout import Layout
from export.gpen.network import Gpen
from export.restoring import traced_graphs
from export.tracing import to_onnx

pytest.importorskip("tensorrt_rtx")

TARGETS = ("sm_75", "sm_86", "sm_89", "sm_120")
BFR_256 = Layout(256, channel_multiplier=1, narrow=0.5, style_dim=512, n_mlp=8)
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
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_graph_is_built_for_every_target(precision, graph, half_package, tmp_path):
    package = open_package(half_package if precision == "fp16" else None)
    assert package.manifest.precision == precision
    layers = built(package.graph(graph), tmp_path)
    renewed = graph == "step" and package.manifest.loop_kind == "renewed"  # such a step only moves
    assert convolutions(layers) == (set() if graph == "mapping" or renewed else {precision.upper()})
    assert "FP32" in precisions(layers)  # in half precision: the islands


# A release of TensorRT-RTX may compile less than the last one, for the widest layers too: `pytest -m slow`.
@pytest.mark.parametrize(
    ("layout", "precision", "form"),
    [
        (BFR_256, "fp16", "half"),
        pytest.param(BFR_512, "fp16", "half", marks=pytest.mark.slow),
        pytest.param(BFR_512, "fp32", "exact", marks=pytest.mark.slow),
    ],
)
def test_every_layer_of_the_published_widths_is_built_for_every_target(layout, precision, form, tmp_path):
    torch.manual_seed(0)
    network = gpen_network(layout, Gpen(layout).state_dict())
    file = tmp_path / "fused.onnx"  # which holds the layers of encoder, mapping and generator
    onnx.save(to_onnx(traced_graphs(network, fused=True, form=form)["fused"], 17), file)
    layers = built(file, tmp_path)
    assert convolutions(layers) == {precision.upper()}
    assert "FP32" in precisions(layers)


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
    assert "template published, fp16, opset 17" in capsys.readouterr().out


def test_the_step_of_a_renewed_package_is_built(renewed_package, tmp_path):
    layers = built(open_package(renewed_package).graph("step"), tmp_path)
    assert convolutions(layers) == set()
    assert "FP32" in precisions(layers)
