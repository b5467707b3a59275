"""Real builds with TensorRT-RTX, and what the command says when something is wrong. No GPU is used."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from base.errors import EngineError, PackageError
from engines import builder, tensorrt_api
from engines.__main__ import main
from engines.builder import EngineOptions, Watch, engine_for, key_of, open_engine, resolve
from engines.cache import EngineCache
from engines.gpu import Gpu
from engines.package import open_package
from engines.record import EngineRecord

pytest.importorskip("tensorrt_rtx")

ADA = EngineOptions(runtime="rtx", targets=("sm_89",))
TIMEOUT = 600


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The engine cache of a test."""
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GPEN_EDGE_CACHE_MIB", raising=False)
    return tmp_path / "cache"


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "engines", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ended(process):
    out, error = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, error


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def until(condition):
    """Wait for what another process is about to do."""
    end = time.monotonic() + TIMEOUT
    while not (result := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return result


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def maps(pid):
    """Return what a process has mapped: nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def builds(pid):
    """Return the build processes of that process which have begun to work on their request."""
    return [child for child in children(pid) if "tensorrt_rtx" in maps(child)]


def test_graphs_are_built_for_several_targets_without_a_gpu(tiny_package, folder, capsys):
    graphs, targets = "encoder,mapping,step", "sm_75,sm_120"  # all: test_real_builds.py
    command = ["build", str(tiny_package), "--runtime", "rtx", "--graphs", graphs, "--target", targets]
    assert main(command) == 0
    printed = capsys.readouterr()
    paths = [Path(line) for line in printed.out.split()]
    assert [path.name.split("-")[0] for path in paths] == graphs.split(",")
    assert printed.err.count("built in") == 3
    hashes = {name: graph.sha256 for name, graph in open_package(tiny_package).manifest.graphs.items()}
    for entry in EngineCache().entries():
        record = entry.record
        assert (record.key.target, record.key.max_batch, record.key.precision) == (targets, 8, "fp32")
        assert record.key.graph_sha256 == hashes[record.key.graph]
        assert record.activation_bytes > 0
        if record.key.graph != "mapping":
            assert any(layer.convolves and layer.precision == "FP32" for layer in record.layers)

    assert main([*command, "--output", str(folder.parent / "stick")]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("already in the cache") == 3
    assert names(folder.parent / "stick") == names(folder)

    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    for name in graphs.split(","):
        assert f"tiny64/{name} " in listed
    assert "3 engines, " in listed

    assert main(["inspect", str(tiny_package)]) == 0
    assert "engines in the cache" in capsys.readouterr().out
    digest = paths[2].stem.rpartition("-")[2]
    for what in (str(paths[2]), paths[2].stem, digest):
        assert main(["inspect", what, "--layers"]) == 0
        shown = capsys.readouterr().out
        assert "step.onnx of tiny64 (fp32), batch 1…8" in shown
        assert "with a convolution" in shown
        assert "correlation" in shown


def test_engines_are_carried_to_a_kiosk(tiny_package, folder, tmp_path, monkeypatch, capsys):
    stick = tmp_path / "stick"
    command = ["build", str(tiny_package), "--runtime", "rtx", "--graphs", "mapping", "--target", "sm_89"]
    assert main([*command, "--output", str(stick)]) == 0
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "kiosk"))
    assert main(["import", str(stick)]) == 0
    capsys.readouterr()
    assert main(command) == 0
    assert "already in the cache" in capsys.readouterr().err


def test_without_targets_the_engine_is_portable(tiny_package, folder):
    package = open_package(tiny_package)
    settled = resolve(EngineOptions(runtime="rtx", max_batch=2))
    if settled.gpu is None:
        assert (settled.target, settled.targets) == ("ampere+", ())
    built = []
    watch = Watch(finished=lambda graph, engine, fresh: built.append(fresh))
    for portable in (False, True):
        settled = resolve(EngineOptions(runtime="rtx", max_batch=2, portable=portable))
        engine = engine_for(package, "mapping", settled, watch=watch)
        assert engine.cached.record.key.max_batch == 2
        assert engine.api.module.Runtime
    assert built == [True, False]


def test_an_engine_of_a_graph_for_one_face_is_for_one_face(static_package, folder):
    engine = engine_for(open_package(static_package), "step", resolve(ADA))
    assert engine.cached.record.key.max_batch == 1


def test_an_engine_made_ahead_is_found_for_a_gpu_that_it_covers(tiny_package, folder, monkeypatch):
    package = open_package(tiny_package)
    made = engine_for(package, "mapping", resolve(ADA))
    monkeypatch.setattr(builder, "find_gpu", lambda device: Gpu("NVIDIA GeForce RTX 4070", (8, 9), 20))
    assert (
        engine_for(package, "mapping", resolve(EngineOptions(runtime="rtx"))).cached.path == made.cached.path
    )
    monkeypatch.setattr(builder, "find_gpu", lambda device: Gpu("NVIDIA GeForce RTX 2080", (7, 5), 20))
    assert resolve(EngineOptions(runtime="rtx")).targets == ("sm_75",)


def test_a_damaged_engine_is_built_again(tiny_package, folder):
    package, settled, notices = open_package(tiny_package), resolve(ADA), []
    path = engine_for(package, "mapping", settled).cached.path
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    again = engine_for(package, "mapping", settled, watch=Watch(notice=notices.append))
    assert len(again.cached.plan) == len(path.read_bytes()) >= len(good) // 2 + 1
    assert notices == [f"the engine {path.name} is damaged or foreign: rebuilding it"]


def test_a_refused_engine_is_rebuilt_once_and_a_failing_gpu_is_reported(tiny_package, folder, monkeypatch):
    """On a machine without a GPU the real runtime opens no engine; that there were one is pretended."""
    if builder.find_gpu() is not None:
        pytest.skip("a GPU would open the engine")
    with pytest.raises(EngineError, match="this machine has no working one"):
        open_engine(open_package(tiny_package), "mapping", resolve(ADA))
    monkeypatch.setattr(builder, "find_gpu", lambda device: Gpu("NVIDIA GeForce RTX 4070", (8, 9), 20))
    package, settled, built = open_package(tiny_package), resolve(ADA), []
    watch = Watch(finished=lambda graph, engine, fresh: built.append(fresh))

    def foreign(file):
        file.write_bytes(b"made by another build of the runtime" * 9)
        return EngineRecord(key=key, sha256="", size=0, package="tiny64", built="", seconds=1)

    key = key_of(package, "mapping", settled)
    EngineCache().get(key, foreign)
    for expected in ([False, True], [False]):
        with pytest.raises(EngineError, match=r"cannot open the engine for mapping.onnx: .*Cuda Runtime"):
            open_engine(package, "mapping", settled, watch=watch)
        assert built == expected
        built.clear()


def test_two_commands_at_once_build_an_engine_once(tiny_package, folder):
    arguments = ["build", tiny_package, "--runtime", "rtx", "--graphs", "mapping", "--target", "sm_89"]
    processes = [start(*arguments), start(*arguments)]
    results = [ended(process) for process in processes]
    assert [status for status, _, _ in results] == [0, 0]
    assert results[0][1] == results[1][1] != ""
    said = "".join(error for _, _, error in results)
    assert (said.count("built in"), said.count("already in the cache")) == (1, 1)
    assert len(names(folder)) == 2


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of processes")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_build_that_is_stopped_leaves_nothing_and_no_process(tiny_package, folder, sent, status):
    process = start("build", tiny_package, "--runtime", "rtx", "--graphs", "generator", "--target", "sm_89")
    (child,) = until(lambda: builds(process.pid))
    process.send_signal(sent)
    returned, out, error = ended(process)
    assert (returned, out) == (status, "")
    assert error == ("interrupted\n" if sent == signal.SIGINT else "")
    until(lambda: not maps(child))
    assert not list(folder.glob("*.engine"))
    assert main(["build", str(tiny_package), "--runtime", "rtx", "--graphs", "mapping"]) == 0
    assert [Path(name).suffix for name in names(folder)] == [".engine", ".json"]


def test_a_build_process_that_is_killed_is_told(tiny_package, folder):
    process = start("build", tiny_package, "--runtime", "rtx", "--graphs", "generator", "--target", "sm_89")
    (child,) = until(lambda: builds(process.pid))
    os.kill(int(child), signal.SIGKILL)
    status, _, error = ended(process)
    assert status == 2
    assert "generator.onnx for sm_89: the build process ended without a result (killed" in error
    assert error.count("\n") == 1
    assert names(folder) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tiny_package, folder):
    """A limit on the size of files stands for the full disk: writing fails half-way, in the same call."""
    process = start(
        *("build", tiny_package, "--runtime", "rtx", "--graphs", "mapping"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    status, out, error = ended(process)
    assert (status, out) == (2, "")
    assert "File too large" in error
    assert error.count("\n") == 1
    assert names(folder) == []


def told(capsys, *arguments):
    """Run a command that fails; return its one line."""
    assert main([str(argument) for argument in arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_a_cache_that_cannot_be_written_is_one_line(tiny_package, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "file"))
    error = told(capsys, "build", tiny_package, "--runtime", "rtx")
    assert "cannot write the engine cache" in error


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--target", "sm_70"], "TensorRT-RTX cannot build for sm_70: it knows sm_75"),
        (["--target", "ada"], "no target 'ada': give compute capabilities"),
        (["--target", ","], "no target given"),
        (["--target", "sm_89", "--portable"], "contradict each other"),
        (["--max-batch", "0"], "--max-batch is 0: give 1 to 64"),
        (["--workspace", "0"], "--workspace is 0: give 1 or more"),
        (["--graphs", "decoder"], "no graph 'decoder': there are encoder, "),
        (["--graphs", ","], "no graph given"),
    ],
)
def test_wrong_settings_are_one_line(tiny_package, folder, capsys, arguments, line):
    assert line in told(capsys, "build", tiny_package, "--runtime", "rtx", *arguments)
    assert not folder.exists()


def test_a_package_without_the_graph_is_one_line(folder, capsys):
    assert "has no fused.onnx" in told(capsys, "build", "default", "--graphs", "fused")


def test_what_is_neither_package_nor_engine_is_one_line(folder, tmp_path, capsys):
    assert "no package" in told(capsys, "inspect", tmp_path / "none")
    assert "no engine" in told(capsys, "inspect", tmp_path / "none.engine")
    assert "no folder" in told(capsys, "import", tmp_path / "none")
    (tmp_path / "bare.engine").write_bytes(b"engine")
    assert "has no record bare.json" in told(capsys, "inspect", tmp_path / "bare.engine")


def test_tensorrt_without_a_gpu_is_told_what_to_do(tiny_package, folder, monkeypatch, capsys):
    fake = tensorrt_api.TensorRt("tensorrt", None, "10.3.0")
    monkeypatch.setattr(tensorrt_api, "load", lambda runtime: fake)
    if builder.find_gpu() is None:
        assert "has no working one" in told(capsys, "build", tiny_package, "--runtime", "tensorrt")
    error = told(capsys, "build", tiny_package, "--runtime", "tensorrt", "--target", "sm_89")
    assert "leave --target out, or add --runtime rtx" in error
    monkeypatch.setattr(builder, "find_gpu", lambda device: Gpu("Tesla T4", (7, 5), 20))
    with pytest.raises(EngineError, match="--portable needs an Ampere GPU"):
        resolve(EngineOptions(runtime="tensorrt", portable=True))
    assert resolve(EngineOptions(runtime="tensorrt")).target == "Tesla T4 sm_75 20 SMs"


def test_a_cache_too_small_for_a_package_is_told(tiny_package, folder, monkeypatch, capsys):
    monkeypatch.setenv("GPEN_EDGE_CACHE_MIB", "1")
    assert main(["build", str(tiny_package), "--runtime", "rtx", "--graphs", "mapping,encoder"]) == 2
    assert "raise $GPEN_EDGE_CACHE_MIB" in capsys.readouterr().err


def test_a_graph_that_a_package_lacks_is_no_engine(folder):
    with pytest.raises(PackageError, match="has no fused"):
        engine_for(open_package("default"), "fused", resolve(ADA))


def test_the_record_can_be_read_by_a_person(tiny_package, folder):
    engine = engine_for(open_package(tiny_package), "mapping", resolve(ADA))
    record = json.loads(engine.cached.path.with_suffix(".json").read_text())
    assert record["package"] == "tiny64"
    assert record["key"]["target"] == "sm_89"
    assert record["size"] == engine.cached.path.stat().st_size


def test_what_each_runtime_lacks_is_told(monkeypatch):
    def too_old(runtime):
        raise EngineError(f"{runtime} is too old" if runtime == "tensorrt" else f"{runtime} is not installed")

    monkeypatch.setattr(tensorrt_api, "load", too_old)
    monkeypatch.setattr(builder, "find_gpu", lambda device: Gpu("Orin", (8, 7), 16))
    with pytest.raises(EngineError, match=r"^tensorrt is too old; rtx is not installed$"):
        resolve(EngineOptions())
