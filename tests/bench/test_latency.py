import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from base.setting import options_of
from bench.__main__ import main
from bench.latency import benchmark as latency
from bench.latency.entries import (
    BASELINES,
    NEEDS_PORTRAITS,
    SLOW_TO_COMPILE,
    network_entries,
    package_entries,
)
from bench.latency.form_process import FormError, FormProcess
from bench.latency.forms import Way
from bench.latency.network import Network
from bench.latency.opening import Opener
from bench.latency.report import NO_TIME, ONE_AT_ONCE
from bench.latency.turns import check_room, first_results, take_batches, take_turns
from bench.memory import used_gpu_memory
from engines.package import open_package
from export.gpen.checkpoint import load_checkpoint
from runtime.network.backends import open_backend

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
TINY = DATA / "tiny64.pth"
FORMS = ("published", "static")
NETWORK = Network("gpen", asdict(load_checkpoint(TINY).layout))
ENTRIES = {entry.name: entry for entry in network_entries(compiled=False)}


@pytest.fixture(scope="module")
def opener(tiny_package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    shutil.copytree(tiny_package, folder / "fp32")  # both as it would make them
    shutil.copy(tiny_package / "fused.onnx", folder / "static.onnx")
    return Opener(NETWORK, TINY, folder, threads=1)


@pytest.fixture
def static(opener):
    with closing(opener.open(ENTRIES["static"])) as process:
        yield process


def networks(*arguments):
    parser = argparse.ArgumentParser()
    latency.BENCHMARK.add_options(parser)
    return list(latency._networks(options_of(parser.parse_args(arguments), latency.LatencySettings)))


def test_latency_sets_the_forms_of_a_checkpoint_beside_the_baseline(tmp_path, capsys):
    small = ["--runs", "2", "--batches", "3", "--only", "static,tensorrt-int8", "-o", str(tmp_path)]
    assert main(["latency", "--checkpoint", str(TINY), *small]) == 0
    shown = capsys.readouterr()
    assert "times as fast" in shown.out
    assert shown.err == ""
    figures = json.loads((tmp_path / "latency-64.json").read_text())
    assert figures["layout"]["size"] == 64
    assert figures["runs"] == 2
    assert figures["largest_difference"] < 1e-4
    rows = {row["form"]: row for row in figures["rows"]}
    assert rows["published"]["speed_up"] == {"median": 1, "lowest": 1, "highest": 1}
    assert rows["published"]["psnr"] is None  # it is what the others are near to
    assert rows["static"]["psnr"] > 80
    for row in rows.values():
        assert len(row["times_s"]) == 2
        assert 0 < min(row["times_s"]) <= row["median_s"] <= row["p95_s"] <= max(row["times_s"])
        assert row["speed_up"]["lowest"] <= row["speed_up"]["median"] <= row["speed_up"]["highest"]
        assert 0 < row["first_call_s"] < row["cold_start_s"]
        assert row["faces_per_second"].keys() == {"1", "3"}
    # Without PyTorch a process is smaller.
    assert 10 < rows["static"]["peak_memory_mib"] < rows["published"]["peak_memory_mib"]
    assert figures["not_run"].keys() | rows.keys() == {*BASELINES, "static", "tensorrt-int8"}
    assert {"cpu", "cores", "packages", "commit", "date"} <= figures["environment"].keys()
    assert {measure["unit"] for measure in figures["measures"]} == {"s", "MiB", "dB"}
    table = (tmp_path / "latency-64.md").read_text()
    assert "| static form, ONNX Runtime |" in table
    why = figures["not_run"]["tensorrt-int8"]
    together = [row for row, reason in figures["not_run"].items() if reason == why]
    assert f"| {why} | {', '.join(together)} |" in table
    assert "One face through tiny64.pth (GPEN-64), " in table
    assert figures["environment"]["cpu"] in table


def test_latency_sets_packages_below_the_published_form(tiny_package, tmp_path, capsys):
    small = ["--runs", "1", "--batches", "1", "--threads", "1", "-o", str(tmp_path)]
    small += ["--only", "tiny64-fp32-auto,tiny64-fp32,tiny64-fp32-cuda"]
    assert main(["latency", *small, "--model", str(tiny_package)]) == 0
    figures = json.loads((tmp_path / "latency-tiny64.json").read_text())
    rows = {row["form"]: row for row in figures["rows"]}
    named = {"tiny64-fp32", "tiny64-fp32-auto"}
    assert {"published", *named} <= rows.keys()
    assert rows.keys() | figures["not_run"].keys() == {*BASELINES, *named, "tiny64-fp32-cuda"}
    assert rows["published"]["backend"] is None
    assert rows["tiny64-fp32"]["backend"].startswith("onnxruntime on cpu: ")
    with closing(open_backend("auto", open_package(tiny_package))) as chosen:  # unmeasured, as in any test
        assert rows["tiny64-fp32-auto"]["backend"] == f"{chosen.name} on {chosen.device}: {chosen.why}"
    assert "the runtime's own choice" in (tmp_path / "latency-tiny64.md").read_text()
    assert rows["published"]["difference"] is None  # it has other weights
    assert rows["tiny64-fp32"]["difference"] == rows["tiny64-fp32-auto"]["difference"] == 0
    assert figures["layout"]["style_dim"] == 64


def test_every_form_of_a_network_that_runs_here_computes_the_same(opener):
    crops = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    ran = {}
    for name, entry in ENTRIES.items():
        if entry.why_not() is None and "gpu" not in name:
            batch = crops[:1] if entry.one_at_once else crops
            ran[name] = entry.way.open(opener.made(entry.file), 1)(batch)
    assert {"published", "as-published", "static-torch", "static", "winograd"} <= ran.keys()
    for name, restored in ran.items():
        most = 0.25 if "bf16" in name else 1e-3
        np.testing.assert_allclose(restored, ran["published"][: len(restored)], atol=most, err_msg=name)
    assert sys.modules.get("openvino_telemetry") is None  # OpenVINO tells nobody that it is used


def test_a_gfpgan_is_also_exported_as_it_is(tmp_path):
    checkpoint, golden = DATA / "gfpgan64-plain.pth", np.load(DATA / "gfpgan64-plain.npz")
    file = Opener(NETWORK, checkpoint, tmp_path, threads=1).made("as-published")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (restored,) = session.run(None, {"input": golden["input"][:1]})
    np.testing.assert_allclose(restored, golden["output"][:1], atol=1e-4)


def test_a_gfpgan_checkpoint_is_timed_against_its_own_published_form(tmp_path, capsys):
    small = ["--runs", "1", "--batches", "1", "--threads", "1", "--only", "published", "-o", str(tmp_path)]
    assert main(["latency", "--checkpoint", str(DATA / "gfpgan64-plain.pth"), *small]) == 0
    assert "One face through gfpgan64-plain.pth (GFPGAN-64)" in capsys.readouterr().out
    figures = json.loads((tmp_path / "latency-gfpgan-64.json").read_text())
    assert figures["layout"]["different_w"] is False
    assert [row["form"] for row in figures["rows"]] == ["published"]


@pytest.mark.parametrize(("noise", "forms"), [("stored", FORMS), ("none", ("published",))])
def test_the_baseline_of_a_gfpgan_package_is_a_random_network_of_its_sizes(noise, forms, tmp_path):
    sizes = {"size": 64, "channel_multiplier": 2, "narrow": 1 / 16, "style_dim": 64, "noise": noise}
    network = Network("gfpgan", sizes | {"different_w": True, "sft_half": True})
    opener = Opener(network, None, tmp_path, threads=1)
    crops = np.zeros((1, 3, 64, 64), np.float32)
    found = {name: ENTRIES[name].way.open(opener.made(ENTRIES[name].file), 1)(crops) for name in forms}
    for restored in found.values():
        assert restored.shape == crops.shape
        scale = max(1, np.abs(found["published"]).max())
        np.testing.assert_allclose(restored / scale, found["published"] / scale, atol=1e-4)


def test_a_package_takes_more_faces_than_its_backend_at_once(tiny_package):
    crops = np.random.default_rng(0).uniform(-1, 1, (5, 3, 64, 64)).astype(np.float32)
    restore = Way("package").open(tiny_package, 1)
    np.testing.assert_allclose(restore(crops)[4:], restore(crops[4:]), atol=1e-4)


def test_a_row_that_cannot_run_says_why():
    assert ENTRIES["published"].why_not() is None
    assert ENTRIES["compiled"].why_not() in (SLOW_TO_COMPILE, ENTRIES["compiled"].way.why_not())
    compiled = {entry.name: entry for entry in network_entries(compiled=True)}["compiled"]
    assert compiled.why_not() == ENTRIES["compiled"].way.why_not()
    for runtime in ("tensorrt", "tensorrt-rtx"):
        without = ENTRIES[f"{runtime}-fp32"].way.why_not()
        assert ENTRIES[f"{runtime}-fp32"].why_not() == without
        assert ENTRIES[f"{runtime}-int8"].why_not() == (without or NEEDS_PORTRAITS)


def test_openvino_has_rows_in_each_precision_of_a_network_and_one_of_each_package(tiny_package, monkeypatch):
    assert ENTRIES["openvino"].why_not() is None
    assert ENTRIES["openvino-bf16"].why_not() in (None, "this processor has no bf16")
    assert ENTRIES["openvino-int8"].why_not() == NEEDS_PORTRAITS
    entries = {entry.name: entry for entry in package_entries([open_package(tiny_package)])}
    assert entries["tiny64-fp32-openvino"].why_not() is None
    monkeypatch.setattr("bench.latency.forms.find_spec", lambda name: None)
    for name in ("openvino", "openvino-bf16", "openvino-int8"):
        assert ENTRIES[name].why_not() == "OpenVINO is not installed: pip install 'gpen-edge[openvino]'"


def test_a_package_is_compared_with_the_fp32_one_of_its_checkpoint(tiny_package):
    whole = open_package(tiny_package)
    half = replace(whole, manifest=replace(whole.manifest, precision="fp16"))
    entries = {entry.name: entry for entry in package_entries([half, whole])}
    assert entries["tiny64-fp16"].reference == entries["tiny64-fp32-tensorrt"].reference == "tiny64-fp32"
    assert entries["published"].reference is None
    alone = {entry.name: entry for entry in package_entries([half])}
    assert alone["tiny64-fp16"].reference is None


def test_a_form_that_fails_says_why_in_one_line(opener, tmp_path):
    (tmp_path / "broken.onnx").write_text("no network")
    with pytest.raises(FormError, match=r"it failed: .*broken\.onnx") as failure:
        FormProcess(Way("onnxruntime"), tmp_path / "broken.onnx", opener.crop, tmp_path, 1, {})
    assert "\n" not in str(failure.value)


def test_without_time_each_form_is_timed_once_and_no_batch(static):
    processes, rows = {"static": static}, {"static": ENTRIES["static"]}
    found, past = first_results(processes, rows), time.monotonic() - 1
    assert found["static"].psnr is None  # the baseline is not there
    assert take_turns(processes, found, 5, past, lambda: None) == {}
    assert len(found["static"].times) == 1
    take_batches(processes, found, (1, 2), past, lambda: None)
    assert found["static"].throughput == {1: 1 / found["static"].times[0], 2: NO_TIME}
    with pytest.raises(FormError, match="no time was left"):
        check_room(processes, past)


def test_a_form_that_takes_one_face_at_once_is_timed_with_one(static):
    processes, rows = {"as-published": static}, {"as-published": ENTRIES["as-published"]}
    found = first_results(processes, rows)
    take_turns(processes, found, 1, math.inf, lambda: None)
    take_batches(processes, found, (2,), math.inf, lambda: None)
    assert found["as-published"].throughput[2] == ONE_AT_ONCE


def test_a_process_that_ends_fails_its_own_row_alone(opener, static):
    with closing(opener.open(ENTRIES["static"])) as other:
        processes = {"static": static, "other": other}
        found = first_results(processes, {"static": ENTRIES["static"], "other": ENTRIES["static"]})
        static._process.kill()
        failed = take_turns(processes, found, 2, math.inf, lambda: None)
        assert failed.keys() == {"static"}
        assert failed["static"].startswith("it failed: ")
        assert len(found["other"].times) == 2


def test_the_whole_table_is_the_default_package_and_three_layouts():
    assert networks() == [{"package": ("default",)}, *({"size_of": (size,)} for size in (256, 512, 1024))]
    assert networks("--quick") == [{"size_of": (256,)}]
    assert networks("--size-of", "512,2048") == [{"size_of": (512,)}, {"size_of": (2048,)}]


def test_the_published_gfpgan_is_a_layout_too():
    settings = latency.LatencySettings(kind="gfpgan", size_of=(512,))
    network = latency._network(settings, ())
    assert (network.kind, network.size, network.title) == ("gfpgan", 512, "GFPGAN-512")
    assert latency._named_by_size(network) == "gfpgan-512"


def test_the_baseline_comes_first_and_then_ours():
    order = latency._in_order_of_weight(["published", "as-published", "static"])
    assert order == ["published", "static", "as-published"]


def test_the_memory_of_a_gpu_is_told_where_there_is_one():
    used = used_gpu_memory()
    assert used is None or used >= 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--checkpoint", "none.pth"],
        ["--model", "none"],
        ["--runs", "0"],
        ["--size-of", "100"],
        ["--only", "none"],
        ["--model", "default", "--size-of", "256"],
        ["--kind", "gfpgan"],
        ["--kind", "none", "--size-of", "512"],
    ],
)
def test_a_wrong_argument_is_told_with_status_2(tmp_path, capsys, arguments):
    assert main(["latency", *arguments, "-o", str(tmp_path / "results")]) == 2
    assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_wrong_option_is_told_before_pytorch_is_loaded():
    command = "import sys\nfrom bench.__main__ import main\n"
    command += "status = main(['latency', '--runs', '0'])\nprint('torch' in sys.modules)\nsys.exit(status)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (2, "False")
    assert "--runs is 0: give 1 or more" in done.stderr
