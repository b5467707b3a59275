"""The OpenVINO backend: the faces of ONNX Runtime, compiled once, in a shorter format only if safe."""

import math
import sys
import threading
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from base.errors import BackendError
from engines.cache import EngineCache
from engines.package import Quantisation, open_package
from runtime.network.backends import Device, Move, open_backend
from runtime.network.backends import openvino as module
from runtime.network.backends.measured import SUFFIX
from runtime.network.backends.openvino import OpenVinoBackend
from runtime.network.loop import restore_crops
from runtime.restore import main
from runtime.settings.settings import RestoreSettings

CROPS = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
MOVES = [Move(np.full((2, 1, 64, 64), 0.3, np.float32), 0.3)]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A folder for what these tests compile."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def shared_cache(compiled, monkeypatch):
    """What one test has compiled the next may take, but nothing that is older."""
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(compiled / "as-it-is"))


@pytest.fixture
def cache(shared_cache, tmp_path, monkeypatch):
    """Nothing compiled or measured earlier counts."""
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(folder, **options):
    return OpenVinoBackend(open_package(folder), device=Device("cpu"), threads=1, **options)


def looped(backend, crops=CROPS, passes=3):
    """Return r and u after some passes, and the changes."""
    moves = [Move(move.picture_gain[: len(crops)], move.latent_gain) for move in MOVES]
    state = backend.encode(crops, moves)
    changes = []
    for _ in range(passes):
        backend.generate(state)
        changes.append(backend.step(state, 0))
    backend.generate(state)
    found = backend.restored(state), backend.estimate(state), np.array(changes)
    backend.release(state)
    return found


@pytest.mark.parametrize(
    ("fixture", "most"),
    [("tiny_package", 1e-3), ("renewed_package", 1e-3), ("half_package", 2e-2), ("marked", 1e-3)],
)
def test_the_loop_gives_what_it_gives_in_onnx_runtime(fixture, most, request):
    folder = request.getfixturevalue(fixture)
    backend = opened(folder, precision="f32")
    reference = open_backend("onnxruntime", open_package(folder), device="cpu", threads=1)
    for found, expected in zip(looped(backend), looped(reference), strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < most
    backend.close()
    reference.close()


def test_a_group_is_restored_side_by_side_as_it_would_be_in_turn(renewed_package, monkeypatch):
    backend = OpenVinoBackend(open_package(renewed_package), device=Device("cpu"), threads=2, precision="f32")
    crops = np.random.default_rng(1).uniform(0, 1, (3, 64, 64, 3)).astype(np.float32)
    rho, settings, done = np.ones((3, 64, 64), np.float32), RestoreSettings(budget=math.inf, iterations=4), []
    assert backend.for_group(3) == (backend, 1)  # too few to open the networks again
    in_turn = restore_crops(backend, crops, rho, settings)
    monkeypatch.setattr(module, "GROUP", 3)
    group, threads = backend.for_group(3)
    assert group is not backend
    assert threads == 2
    beside = restore_crops(backend, crops, rho, settings, done=done.append)
    assert done == [1, 1, 1]
    for one, other in zip(in_turn, beside, strict=True):
        assert one.passes == other.passes > 1
        assert np.abs(one.restored - other.restored).max() < 1e-4
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        group.encode(CROPS[:1])


@pytest.mark.parametrize("limits", [{"threads": 1}, {"threads": 2, "memory": 1e-3}])
def test_one_thread_or_little_memory_restores_a_group_in_turn(tiny_package, limits):
    backend = OpenVinoBackend(open_package(tiny_package), device=Device("cpu"), precision="f32", **limits)
    assert backend.for_group(100) == (backend, 1)
    backend.close()


@pytest.fixture
def marked(tiny_package, tmp_path):
    """A package whose loop is marked as renewed, but whose step was exported for another."""
    folder = tmp_path / "marked"
    copytree(tiny_package, folder)
    manifest = folder / "manifest.json"
    text = manifest.read_text()
    assert '"loop": null' in text or '"loop"' not in text
    text = text.replace('"loop": null,', "")
    manifest.write_text(text.replace("{", '{"loop": "renewed",', 1))
    return folder


def test_a_state_has_tensors_of_its_own_that_the_graphs_read_and_write(tiny_package):
    backend = opened(tiny_package, precision="f32")
    state = backend.encode(CROPS, MOVES)

    def places():
        return {tensor.data.ctypes.data for tensor in state.tensors.values()}

    before = places()
    assert len(before) == len(state.tensors)
    for _ in range(3):
        backend.generate(state)
        backend.step(state, 0)
    assert places() == before
    encoder = backend._open["encoder", 2, "f32", 1].request()
    generator = backend._open["generator", 2, "f32", 1].request()
    shared = [port.name for port in backend._package.manifest.graphs["encoder"].outputs[1:]]
    assert shared
    for name in shared:
        place = state.tensors[name].data.ctypes.data
        assert encoder.get_tensor(name).data.ctypes.data == place
        assert generator.get_tensor(name).data.ctypes.data == place
    backend.close()


def test_a_state_takes_the_tensors_of_a_released_one(tiny_package):
    backend = opened(tiny_package, precision="f32")
    first = backend.encode(CROPS, MOVES)
    meanwhile = backend.encode(CROPS, MOVES)
    assert meanwhile.tensors["crop"] is not first.tensors["crop"]
    expected = looped(backend, CROPS[:1])[0]
    backend.release(first)
    second = backend.encode(CROPS, MOVES)
    assert second.tensors is first.tensors
    backend.release(second)
    assert np.array_equal(looped(backend, CROPS[:1])[0], expected)  # of another size
    backend.close()


def test_crops_stay_as_they_are_and_what_is_returned_outlives_the_next_pass(tiny_package):
    backend = opened(tiny_package, precision="f32")
    crops = CROPS.copy()
    state = backend.encode(crops, MOVES)
    backend.generate(state)
    first = backend.restored(state)
    kept = first.copy()
    backend.step(state, 0)
    backend.generate(state)
    assert np.array_equal(first, kept)
    assert np.array_equal(crops, CROPS)
    assert not np.array_equal(backend.restored(state), kept)
    backend.close()


def test_threads_take_turns_and_each_gets_its_own_faces(tiny_package):
    backend = opened(tiny_package, precision="f32")
    alone = [looped(backend, CROPS[i : i + 1])[0] for i in range(2)]
    found = {}

    def work(i):
        for turn in range(3):
            found[i, turn] = looped(backend, CROPS[i : i + 1])[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(np.allclose(face, alone[i], atol=1e-4) for (i, _), face in found.items())
    backend.close()


def test_models_are_compiled_once_and_kept_like_engines(tiny_package, cache, monkeypatch):
    first = opened(tiny_package, precision="f32")
    expected = looped(first, CROPS[:1])[0]
    first.close()
    entries = EngineCache().entries()
    assert {entry.record.key.runtime for entry in entries} == {"openvino"}
    assert {entry.record.key.graph for entry in entries} == {"encoder", "mapping", "generator", "step"}

    def refused(*arguments):
        raise AssertionError("compiled again")

    with monkeypatch.context() as patched:
        patched.setattr(OpenVinoBackend, "_compile", refused)
        again = opened(tiny_package, precision="f32")
        assert np.allclose(looped(again, CROPS[:1])[0], expected, atol=1e-5)
        again.close()
    for entry in entries:
        entry.path.write_bytes(entry.path.read_bytes()[:-1])
    mended = opened(tiny_package, precision="f32")
    assert np.allclose(looped(mended, CROPS[:1])[0], expected, atol=1e-5)
    mended.close()


@pytest.mark.usefixtures("cache")
def test_a_compiled_model_that_openvino_refuses_is_compiled_again(tiny_package, monkeypatch):
    opened(tiny_package, precision="f32").close()
    core = module._core()

    class Refusing:
        def __getattr__(self, name):
            return getattr(core, name)

        def import_model(self, *arguments):
            raise RuntimeError("made by another build")

    monkeypatch.setattr(module, "_core", Refusing)
    backend = opened(tiny_package, precision="f32")
    assert np.isfinite(looped(backend, CROPS[:1])[0]).all()
    backend.close()


def test_without_a_folder_to_write_to_models_are_compiled_each_time(tiny_package, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "file"))
    backend = opened(tiny_package)
    assert np.isfinite(looped(backend, CROPS[:1])[0]).all()
    backend.close()


@pytest.fixture
def processor(shared_cache, compiled, monkeypatch):
    """Give what lets OpenVINO report certain capabilities, and computes in FP32 whatever is asked for."""
    core, options = module._core(), OpenVinoBackend._options
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(compiled / "pretended"))
    for measured in (compiled / "pretended").glob(f"*{SUFFIX}"):
        measured.unlink()

    def able(*capabilities):
        class Core:
            def __getattr__(self, name):
                return getattr(core, name)

            def get_property(self, device, name):
                if name == "OPTIMIZATION_CAPABILITIES":
                    return [*capabilities]
                return core.get_property(device, name)

        monkeypatch.setattr(module, "_core", Core)
        monkeypatch.setattr(OpenVinoBackend, "_options", lambda self, precision: options(self, "f32"))

    return able


@pytest.mark.parametrize(
    ("psnr", "precision", "why"),
    [
        (68.2, "bf16", "requested; bf16, 68 dB from FP32"),
        (55.0, "bf16", "requested; bf16, 55 dB from FP32"),
        (54.2, "f32", "requested; FP32, as bf16 is only 54 dB near it"),
        (0.0, "f32", "requested; FP32, as bf16 is only 0 dB near it"),
    ],
)
def test_bf16_is_taken_where_portraits_stay_near_which_is_measured_once(
    tiny_package, processor, monkeypatch, psnr, precision, why
):
    processor("FP32", "BF16")
    measured = []

    def nearness(self, short):
        measured.append(short)
        return psnr

    monkeypatch.setattr(OpenVinoBackend, "_nearness", nearness)
    for _ in range(2):
        backend = opened(tiny_package)
        assert (backend.precision, backend.why) == (precision, why)
        backend.close()
    assert measured == ["bf16"]


@pytest.mark.parametrize(("of_int8", "least"), [(38.0, 44.0), (52.0, 55.0)])
def test_beside_int8_a_shorter_format_may_differ_by_half_of_what_int8_does(tiny_package, of_int8, least):
    package = open_package(tiny_package)
    quantisation = Quantisation(
        target="gpu",
        portraits=8,
        held_out=2,
        seed=0,
        least_psnr=30,
        least_share=0.8,
        psnr=of_int8,
        worst_psnr=of_int8,
        share=0.9,
        linear_weights=(),
        layers=(),
        curve=(),
    )
    in_int8 = replace(package, manifest=replace(package.manifest, quantisation=quantisation))
    assert module._least_psnr(package) == 55
    assert module._least_psnr(in_int8) == least


def test_bf16_is_not_measured_where_the_processor_does_not_have_it(tiny_package, processor, monkeypatch):
    processor("FP32", "INT8")
    monkeypatch.setattr(OpenVinoBackend, "_nearness", None)
    backend = opened(tiny_package)
    assert (backend.precision, backend.why) == ("f32", "requested; FP32")
    backend.close()


@pytest.mark.parametrize(("second", "psnr"), [(0.008, 20 * np.log10(2 / 0.008)), (np.nan, 0.0)])
def test_nearness_is_that_of_the_worst_portrait(tiny_package, processor, monkeypatch, second, psnr):
    processor("BF16")
    passes, off = [], iter([0.0, 0.0, 0.006, second])

    def one_pass(self, state):
        passes.append(self.precision)
        np.copyto(state.tensors["restored"].data, next(off))

    monkeypatch.setattr(OpenVinoBackend, "generate", one_pass)
    backend = opened(tiny_package, precision="f32")
    assert backend._nearness("bf16") == pytest.approx(psnr)
    assert passes == ["f32", "f32", "bf16", "bf16"]
    backend.close()


@pytest.mark.parametrize(
    ("name", "device", "told"),
    [
        ("openvino", "gpu:99", "^OpenVINO finds no Intel GPU gpu:99, only cpu.*check its driver"),
        ("auto", "gpu:99", "^OpenVINO finds no Intel GPU gpu:99, only cpu.*or use --device cpu$"),
        ("openvino", "cuda:0", "^openvino runs on CPUs and Intel GPUs: leave --device cuda:0 out"),
        ("onnxruntime", "gpu:0", "^onnxruntime runs on NVIDIA GPUs and CPUs: .*add --backend openvino$"),
        ("tensorrt", "gpu:0", "^tensorrt runs on NVIDIA GPUs: leave --device gpu:0 out, or add --backend op"),
    ],
)
def test_a_device_that_cannot_be_used_is_one_line(tiny_package, name, device, told):
    with pytest.raises(BackendError, match=told) as error:
        open_backend(name, open_package(tiny_package), device=device)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
def test_where_it_is_not_installed_the_error_names_what_installs_it(tiny_package, monkeypatch, device):
    monkeypatch.setitem(sys.modules, "openvino", None)
    module._core.cache_clear()
    with pytest.raises(
        BackendError, match=r"^this backend needs OpenVINO: pip install 'gpen-edge\[openvino\]'"
    ):
        open_backend("openvino", open_package(tiny_package), device=device)


def test_what_openvino_fails_at_is_one_line_and_what_is_closed_says_so(tiny_package):
    backend = opened(tiny_package, precision="f32")
    with pytest.raises(BackendError, match=r"^OpenVINO failed on cpu: ") as error:
        backend.encode(np.zeros((1, 3, 32, 48), np.float32))
    assert "\n" not in str(error.value)
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.encode(CROPS)


@pytest.mark.usefixtures("cache")
def test_a_graph_that_openvino_refuses_is_one_line(tiny_package, tmp_path):
    folder = tmp_path / "broken"
    copytree(tiny_package, folder)
    package = open_package(folder)
    Path(package.graph("generator")).write_bytes(b"no graph")
    with pytest.raises(BackendError, match=r"^OpenVINO cannot run generator\.onnx on cpu: "):
        OpenVinoBackend(package, device=Device("cpu"), threads=1, precision="f32")


def test_the_command_line_takes_it_and_says_so(tiny_package, portrait_file, tmp_path, capsys):
    out = tmp_path / "out.png"
    arguments = [str(portrait_file), "-o", str(out), "--model", str(tiny_package), "--threads", "1"]
    assert main([*arguments, "--backend", "openvino"]) == 0
    assert "backend: openvino on cpu (requested; " in capsys.readouterr().err
    assert out.exists()
    assert sys.modules.get("openvino_telemetry") is None  # it tells nobody that it is used
