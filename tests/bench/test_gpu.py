"""The benchmark of a GPU, rehearsed on a CPU."""

import json
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.gpu import benchmark as gpu
from bench.gpu import whole_photos
from export.gpen.layout import Layout

TINY = Layout(64, 1, 0.0625, 32, 2)


def test_each_part_runs_failures_are_reported_and_late_parts_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "BATCHES", (1,))
    monkeypatch.setattr(gpu, "TURNS", 1)
    monkeypatch.setattr(torch, "compile", lambda form: form)  # left out below, and slow to import
    forms = gpu._forms

    def fewer(network: torch.nn.Module) -> dict[str, gpu.Form]:
        kept = {name: form for name, form in forms(network).items() if name.endswith(("FP32", "safe, eager"))}

        def broken(crops: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("out of memory\nand more")

        return kept | {"broken": broken}

    monkeypatch.setattr(gpu, "_forms", fewer)
    output = tmp_path / "gpu.json"
    found = gpu.measure(torch.device("cpu"), output, TINY, seconds=600)
    assert json.loads(output.read_text()) == found
    assert found["published, eager, FP32"]["dB from FP32"] > 100
    assert found["static, eager, FP32"]["dB from FP32"] > 100
    assert found["broken"] == "failed: RuntimeError: out of memory"
    late = gpu.measure(torch.device("cpu"), output, TINY, seconds=0)
    assert late["ceilings"] == "not run: the time was up"


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where there is no GPU")
def test_without_a_gpu_one_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu", "-o", str(tmp_path / "gpu.json")]) == 2
    assert "no GPU" in capsys.readouterr().err


def test_whole_photos_are_compared_with_the_cpus_and_timed_by_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_photos, "TURNS", 1)
    monkeypatch.setattr(whole_photos, "STYLES", ("classic",))
    (figures,) = whole_photos.whole_photos("cpu", photos=((0.3, 1),)).values()
    assert figures["levels changed by the restoration"] > 10
    assert figures["largest difference in levels"] == 0
    assert {"all", "detect", "align", "network", "paste"} <= figures["ms on cpu"].keys()
