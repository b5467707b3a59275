"""`python -m calibration audit`, as a user meets it, and what it is made of."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.__main__ import main
from calibration.audit.audit import CLAMP, audit
from calibration.audit.magnitudes import Magnitudes
from calibration.samples import samples
from calibration.watching import in_pieces, watch
from engines.package import Package, open_package
from export.half import BOUND


def run(package: Path, faces: Path, *options: str) -> int:
    return main(["audit", str(package), "--images", str(faces), "--aligned", "--threads", "1", *options])


def test_layers_that_overflow_in_plain_half_precision_are_named(
    wide_package: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(wide_package, faces, "-o", str(tmp_path / "audit")) == 0
    said = capsys.readouterr().out
    assert "overflows in generator 8×8" in said
    assert "FP16-safe form: no layer is at risk" in said
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert found["portraits"] == 8
    overflowing = [tensor for tensor in found["tensors"] if tensor["plain"] == "overflows"]
    assert {tensor["layer"] for tensor in overflowing} == {f"{r}×{r}" for r in (4, 8, 16, 32, 64)}
    assert {tensor["graph"] for tensor in overflowing} == {"generator"}
    for tensor in found["tensors"]:
        assert (tensor["largest"] > 65504) == (tensor["plain"] == "overflows")
    assert (tmp_path / "audit" / "audit.png").read_bytes().startswith(b"\x89PNG")
    assert run(wide_package, faces, "-o", str(tmp_path / "audit")) == 2
    assert "audit.json exists: name another file, or allow it with --overwrite" in capsys.readouterr().err
    portrait = next(path for path in sorted(faces.iterdir()) if path.suffix == ".png")
    content = portrait.read_bytes()
    assert run(wide_package, faces, "-o", str(portrait), "--overwrite") == 2
    assert portrait.read_bytes() == content


def test_the_safe_form_of_the_same_weights_shows_none(
    wide_half_package: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(wide_half_package, faces) == 0
    assert "FP16-safe form: no layer is at risk" in capsys.readouterr().out
    found = audit(open_package(wide_half_package), _two(faces))
    halves = [tensor for tensor in found.tensors if tensor.dtype == "float16"]
    assert len(halves) > 100
    assert not found.at_risk("safe")
    assert all(tensor.seen.broken == 0 for tensor in found.tensors)


def _two(faces: Path) -> list[NDArray[np.float32]]:
    return list(samples(faces, 64, None, limit=8, seed=0))[:2]


def test_activations_beyond_the_clamp_are_at_risk_in_the_safe_form(
    tiny_package: Path, faces: Path, tmp_path: Path
) -> None:
    package = open_package(tiny_package)
    folder = tmp_path / "loud"
    folder.mkdir()
    for graph in package.manifest.graphs.values():
        (folder / graph.file).write_bytes((tiny_package / graph.file).read_bytes())
    model = onnx.load(str(folder / "encoder.onnx"))
    first = next(t for t in model.graph.initializer if t.name == model.graph.node[0].input[1])
    first.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(first) * np.float32(2000), first.name))
    onnx.save(model, str(folder / "encoder.onnx"))
    found = audit(Package(folder, replace(package.manifest, name="loud")), _two(faces))
    assert "encoder" in {tensor.graph for tensor in found.at_risk("safe")}
    assert CLAMP == BOUND


def test_pieces_give_what_the_whole_graph_gives(tiny_package: Path) -> None:
    model = onnx.load(str(tiny_package / "encoder.onnx"))
    crop = np.random.default_rng(0).uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)
    whole = onnxruntime.InferenceSession(str(tiny_package / "encoder.onnx"))
    names = [output.name for output in whole.get_outputs()]
    wanted = dict(zip(names, whole.run(None, {"crop": crop}), strict=True))
    for budget in (1, 300_000, 1 << 30):
        graph = in_pieces(model, budget=budget, threads=1)
        assert len(graph.pieces) == {1: len(model.graph.node), 1 << 30: 1}.get(budget, len(graph.pieces))
        seen: list[str] = []
        found = watch(graph, {"crop": crop}, lambda name, _, seen=seen: seen.append(name))  # type: ignore[misc]
        assert seen == [name for node in model.graph.node for name in node.output]
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert found[name] == pytest.approx(value, abs=1e-4)


@given(arrays.arrays(np.float32, st.integers(1, 300), elements=st.floats(width=32)))
def test_magnitudes_are_those_of_the_values(values: NDArray[np.float32]) -> None:
    found = Magnitudes()
    found.add(values[: len(values) // 2])
    found.add(values[len(values) // 2 :])
    finite = np.abs(values[np.isfinite(values)])
    sizes = np.sort(finite[finite > 0])
    assert found.count == len(values)
    assert found.broken == len(values) - len(finite)
    assert found.zeros == (finite == 0).sum()
    assert found.largest == finite.max(initial=0)
    assert sum(found.octaves().values()) == found.nonzero == len(sizes)
    if len(sizes):
        assert found.share_below(-14) == pytest.approx((sizes < 2.0**-14).mean())
        middle = float(sizes[(len(sizes) - 1) // 2])
        if middle > 1e-37:  # below it, floats have fewer digits
            assert middle <= found.quantile(0.5) <= middle * 1.126


def test_an_output_of_another_kind_is_refused(
    tiny_package: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny_package, faces, "-o", "audit.txt") == 2
    assert "or a .json or .png file" in capsys.readouterr().err
    assert run(tiny_package, faces / "none") == 2
    assert "is not a folder" in capsys.readouterr().err
