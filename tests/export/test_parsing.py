import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from base.errors import CheckpointError, GpenEdgeError, PackageError
from base.files import sha256
from engines.package import open_package
from export.__main__ import main
from export.checkpoint import load_tensors
from export.parsenet.architecture import PARSENET, PUBLISHED_LICENCE
from export.parsenet.layout import ParsingLayout, read_parsing_layout
from export.parsenet.network import ParseNet, class_scores, fold
from export.parsing import add_parsing

DATA = Path(__file__).parents[1] / "data"
TINY = DATA / "tiny-parsenet.pth"
"""A random ParseNet and, beside it, what the published implementation makes of a picture."""
PUBLISHED = {
    name: tuple(shape) for name, shape in json.loads((DATA / "ParseNet.tensors.json").read_text()).items()
}


@pytest.fixture(scope="module")
def golden():
    arrays = np.load(DATA / "tiny-parsenet.npz")
    return arrays["input"].astype(np.float32) / 127.5 - 1, arrays["mask"]


@pytest.fixture(scope="module")
def with_parsing(tiny_package, tmp_path_factory):
    """A package with a model card in it, to which a tiny ParseNet was added."""
    folder = tmp_path_factory.mktemp("parsing") / "package"
    shutil.copytree(tiny_package, folder)
    (folder / "MODEL_CARD.md").write_text("mine")
    return add_parsing(TINY, folder)[0]


def test_a_package_keeps_its_loop_when_parsing_is_added(renewed_package, tmp_path):
    folder = shutil.copytree(renewed_package, tmp_path / "package")
    assert add_parsing(TINY, folder)[0].manifest.loop == "renewed"
    assert open_package(folder).manifest.loop_kind == "renewed"


def tiny_network():
    return ParseNet.from_state(*load_tensors(TINY, PARSENET))


def test_the_published_layout_is_read_off_its_shapes_alone():
    layout = read_parsing_layout(PUBLISHED)
    assert layout == ParsingLayout(widths=(64, 128, 256, 256, 256), depth=10)
    assert layout.size == 512
    assert list(layout.tensors().items()) == list(PUBLISHED.items())


@pytest.mark.parametrize(
    "layout",
    [ParsingLayout((8, 16), 0), ParsingLayout((4, 8, 8), 2), ParsingLayout((64, 128, 256, 256, 512), 12)],
)
def test_any_layout_is_read_back(layout):
    assert read_parsing_layout(layout.tensors()) == layout


@pytest.mark.parametrize("shapes", [PUBLISHED, ParsingLayout((4, 8), 1).tensors()], ids=["published", "tiny"])
def test_a_tensor_that_does_not_fit_is_named(shapes):
    for name in list(shapes)[::3]:
        rest = {key: value for key, value in shapes.items() if key != name}
        with pytest.raises(CheckpointError, match=f"'{name}' .*is missing"):
            read_parsing_layout(rest)
        with pytest.raises(CheckpointError, match=rf"'{name}' has shape \[3, 7, 5\]"):
            read_parsing_layout(shapes | {name: (3, 7, 5)})
    with pytest.raises(CheckpointError, match=r"'body.0.conv1.relu.func.weight' is surplus"):
        read_parsing_layout(shapes | {"body.0.conv1.relu.func.weight": (4,)})


@pytest.mark.parametrize("shapes", [{}, {"cp.resnet.conv1.weight": (64, 3, 7, 7)}], ids=["empty", "BiSeNet"])
def test_another_network_is_no_parsenet(shapes):
    with pytest.raises(CheckpointError, match="not a ParseNet"):
        read_parsing_layout(shapes)


@torch.no_grad()
def test_the_network_gives_the_published_results(golden):
    crops, mask = golden
    np.testing.assert_allclose(tiny_network()(torch.from_numpy(crops)), mask, atol=1e-5)


@torch.no_grad()
def test_the_folded_form_is_the_same_function():
    network = tiny_network()
    crops = torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(class_scores(fold(network), crops), network(crops), atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", [1, 2])
def test_the_graph_computes_the_network_without_batch_norms(with_parsing, batch):
    path = with_parsing.graph("parsing")
    model = onnx.load(path)
    assert [opset.version for opset in model.opset_import] == [17]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    crops = torch.rand(batch, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    (scores,) = session.run(None, {"crop": crops.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(scores, tiny_network()(crops), atol=1e-4)


def test_the_package_says_what_it_got_and_keeps_the_rest(with_parsing, tiny_package):
    manifest, before = with_parsing.manifest, open_package(tiny_package).manifest
    assert open_package(with_parsing.folder) == with_parsing
    assert manifest.parsing_source.sha256 == sha256(TINY)
    assert manifest.parsing_source.licence == PUBLISHED_LICENCE
    assert (manifest.name, manifest.source) == (before.name, before.source)
    assert {name: graph for name, graph in manifest.graphs.items() if name != "parsing"} == before.graphs
    graph = manifest.graphs["parsing"]
    assert [(port.name, port.shape) for port in graph.inputs] == [("crop", ("batch", 3, 128, 128))]
    assert [(port.name, port.shape) for port in graph.outputs] == [("scores", ("batch", 19, 128, 128))]
    for path in tiny_package.glob("*.onnx"):
        assert (with_parsing.folder / path.name).read_bytes() == path.read_bytes()
    assert (with_parsing.folder / "MODEL_CARD.md").read_text() == "mine"
    assert [path.name for path in with_parsing.folder.parent.iterdir()] == ["package"]


def test_the_command_line_adds_it_once_unless_told_otherwise(tiny_package, tmp_path, capsys):
    folder = tmp_path / "package"
    shutil.copytree(tiny_package, folder)
    arguments = ["parsing", str(TINY), "-o", str(folder), "--licence", "CC0-1.0"]
    assert main([*arguments, "--name", "mine"]) == 0
    assert "mine: parsing.onnx added, 128×128 pixels" in capsys.readouterr().out
    before = (folder / "manifest.json").read_bytes()
    assert open_package(folder).manifest.parsing_source.licence == "CC0-1.0"
    assert main(arguments) == 2
    assert "already has a face-parsing network: add --overwrite to replace it" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    assert (folder / "manifest.json").read_bytes() == before


def test_a_link_to_a_package_stays_a_link(tiny_package, tmp_path):
    shutil.copytree(tiny_package, tmp_path / "package")
    link = tmp_path / "link"
    link.symlink_to("package")
    add_parsing(TINY, link)
    assert link.is_symlink()
    assert "parsing" in open_package(tmp_path / "package").manifest.graphs


def damaged(path):
    state = torch.load(TINY, weights_only=True)
    state["body.0.conv1.norm.norm.running_var"].fill_(-1)
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: DATA / "tiny64.pth", "not a ParseNet: tensor 'out_mask_conv.conv2d.weight' is missing"),
        (lambda path: path, "does not exist"),
        (damaged, "nothing was written"),
    ],
    ids=["GPEN", "missing", "not finite"],
)
def test_a_checkpoint_that_does_not_do_is_one_line_and_the_package_stays(
    tiny_package, tmp_path, capsys, make, told
):
    folder = tmp_path / "package"
    shutil.copytree(tiny_package, folder)
    assert main(["parsing", str(make(tmp_path / "bad.pth")), "-o", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert open_package(folder).manifest == open_package(tiny_package).manifest
    assert {path.name for path in tmp_path.iterdir()} <= {"package", "bad.pth"}
    assert not (folder / "parsing.onnx").exists()


def test_a_package_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(PackageError, match="create it first with `python -m export CHECKPOINT"):
        add_parsing(TINY, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(GpenEdgeError, match="is not a package"):
        add_parsing(TINY, tmp_path)
