"""A GFPGAN checkpoint becomes a package that needs nothing said of it."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from base.decibels import decibels
from base.errors import CheckpointError
from engines.package import RESTORING, Package, open_package
from export.architectures import load_restoring
from export.exporter import ExportOptions, export_package, step_count
from export.restoring import traced_graphs
from export.rounding import rounding_session
from export.tracing import to_onnx
from runtime import Restorer, RestoreSettings

DATA = Path(__file__).parents[2] / "data"
PLAIN = DATA / "gfpgan64-plain.pth"


@pytest.fixture
def package(gfpgan_package: Path) -> Package:
    return open_package(gfpgan_package)


def run(file: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


@pytest.mark.parametrize("batch", [1, 2])
def test_the_graphs_give_what_the_published_code_gave(package: Package, batch: int) -> None:
    golden = {name: values[:batch] for name, values in np.load(DATA / "gfpgan64-plain.npz").items()}
    encoded = run(package.graph("encoder"), {"crop": golden["input"]})
    z = encoded.pop("z")
    assert np.abs(z - golden["z"]).max() < 1e-4
    mapped = run(package.graph("mapping"), {"z": z})
    restored = run(package.graph("generator"), {**mapped, **encoded})["restored"]
    assert np.abs(restored - golden["output"]).max() < 1e-4


def test_the_manifest_says_which_network_it_is_and_where_faces_lie(package: Package) -> None:
    manifest = package.manifest
    assert manifest.network == {
        "kind": "gfpgan",
        "channel_multiplier": 2,
        "narrow": 1 / 16,
        "style_dim": 64,
        "different_w": False,
        "sft_half": False,
        "noise": "stored",
    }
    assert (manifest.size, manifest.template, manifest.loop_kind) == (64, "ffhq", "held")
    assert manifest.source.licence.startswith("Apache-2.0")


def test_half_precision_stays_within_60_db_also_with_styles_a_thousand_times_as_wide(tmp_path: Path) -> None:
    state = torch.load(PLAIN)["params_ema"]
    for name in [name for name in state if re.search(r"style_conv.*\.modulation\.", name)]:
        state[name] = 1000 * state[name]  # which demodulation takes back
    torch.save(state, tmp_path / "wide.pth")
    told: list[str] = []
    made, _ = export_package(
        tmp_path / "wide.pth", tmp_path / "half", ExportOptions(precision="fp16"), progress=told.append
    )
    assert len(told) == step_count(fused=False)
    golden = np.load(DATA / "gfpgan64-plain.npz")
    values = {"crop": golden["input"][:1]}
    for name in RESTORING:
        session = rounding_session(onnx.load(made.graph(name)), watched=True)
        taken = {port.name: values.pop(port.name) for port in session.get_inputs()}
        every = dict(
            zip([port.name for port in session.get_outputs()], session.run(None, taken), strict=True)
        )
        assert all(np.isfinite(value).all() for value in every.values())
        values |= {port.name: every[port.name] for port in made.manifest.graphs[name].outputs}
    error = np.mean((values["restored"] - golden["output"][:1]) ** 2)
    assert 60 < 10 * np.log10(4 / error) < 100


def test_beyond_the_range_of_pixels_half_precision_is_near_by_the_range_of_the_picture(
    tmp_path: Path,
) -> None:
    state = torch.load(PLAIN)["params_ema"]
    for name in [name for name in state if re.search(r"to_rgb.*\.modulated_conv\.weight", name)]:
        state[name] = 40 * state[name]
    torch.save(state, tmp_path / "wide.pth")
    _, network = load_restoring(tmp_path / "wide.pth")
    crop = np.load(DATA / "gfpgan64-plain.npz")["input"][:1]
    with torch.no_grad():
        expected = network.published.restore(torch.from_numpy(crop)).double().numpy()
    model = to_onnx(traced_graphs(network, fused=True, form="half")["fused"], 17)
    (found,) = rounding_session(model).run(None, {"input": crop})
    assert decibels(np.mean((found - expected) ** 2), float(np.ptp(expected))) > 60
    # With the range of pixels as the peak, FP16 cannot even store the result.
    assert decibels(np.mean((expected.astype(np.float16) - expected) ** 2), 2) < 60


def test_the_fused_graph_does_for_other_tools_what_theirs_does() -> None:
    """facefusion gives float32 RGB in [−1, 1] to the port `input` and takes the first output."""
    _, network = load_restoring(PLAIN)
    model = to_onnx(traced_graphs(network, fused=True)["fused"], 17)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ports = [(port.name, port.type, port.shape) for port in (*session.get_inputs(), *session.get_outputs())]
    shape = ["batch", 3, 64, 64]
    assert ports == [("input", "tensor(float)", shape), ("output", "tensor(float)", shape)]
    golden = np.load(DATA / "gfpgan64-plain.npz")
    for batch in (1, 2):
        (found,) = session.run(None, {"input": golden["input"][:batch]})
        assert np.abs(found - golden["output"][:batch]).max() < 1e-4


def test_a_photo_is_restored(package: Package, portrait: np.ndarray) -> None:
    settings = RestoreSettings(budget=600)
    with Restorer.open(package.folder, threads=1) as restorer:
        own = restorer.restore(portrait, settings)
        other = restorer.restore(portrait, RestoreSettings(budget=600, template="published"))
    assert len(own.faces) == 1
    assert not np.array_equal(own.photo, portrait)
    assert not np.array_equal(own.photo, other.photo)  # the package's template is FFHQ's


def test_a_broken_checkpoint_is_named_with_its_tensor(tmp_path: Path) -> None:
    state = torch.load(PLAIN)["params_ema"]
    name = "condition_shift.2.2.bias"
    broken = {
        "missing": {key: value for key, value in state.items() if key != name},
        "has shape": state | {name: torch.zeros(3)},
        "not finite": state | {name: torch.full_like(state[name], torch.nan)},
    }
    for told, content in broken.items():
        torch.save({"params_ema": content}, tmp_path / "x.pth")
        with pytest.raises(CheckpointError, match=rf"x\.pth: tensor '{name}'.*{told}"):
            export_package(tmp_path / "x.pth", tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_face_parsing_network_is_not_taken_for_one_that_restores(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a ParseNet.*python -m export parsing"):
        export_package(DATA / "tiny-parsenet.pth", tmp_path / "package")
