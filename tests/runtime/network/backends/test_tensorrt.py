"""The TensorRT backend: what it puts on the GPU and in which order, on the GPU of conftest."""

import json
import re
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from base.errors import BackendError, DeviceLostError
from bench.gpu.cuda_layer import lost_context
from engines.builder import EngineOptions, engine_for, open_engine, resolve
from engines.cache import EngineCache
from engines.package import REQUIRED, open_package
from runtime import Restorer, RestoreSettings, preset
from runtime.network.backends import Move, open_backend
from runtime.network.backends.cuda_device import CudaDevice
from runtime.network.loop import restore_crops
from runtime.network.schedule import pass_schedule
from runtime.restore import main as restore

PATIENT = RestoreSettings(budget=600)
PICTURE = 3 * 64 * 64 * 4


def crops(count, seed=0):
    rough = np.random.default_rng(seed).uniform(0, 1, (count, 8, 8, 3)).astype(np.float32)
    return rough.repeat(8, 1).repeat(8, 2)


def restored(backend, pictures, settings=PATIENT, **options):
    return restore_crops(backend, pictures, np.ones(pictures.shape[:3], np.float32), settings, **options)


@pytest.fixture(scope="module")
def on_cpu(tiny_package):
    opened = open_backend("onnxruntime", open_package(tiny_package), device="cpu", threads=1)
    yield opened
    opened.close()


@pytest.fixture
def tensorrt(gpu, tiny_package):
    opened = open_backend("tensorrt", open_package(tiny_package))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def renewed_on_cpu(renewed_package):
    opened = open_backend("onnxruntime", open_package(renewed_package), device="cpu", threads=1)
    yield opened
    opened.close()


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def renewed(request, gpu, renewed_package):
    opened = open_backend(request.param, open_package(renewed_package))
    yield opened
    opened.close()


def assert_the_same(results, others):
    for result, other in zip(results, others, strict=True):
        assert np.abs(result.restored - other.restored).max() < 1e-4
        assert (result.passes, result.steps) == (other.passes, other.steps)
        np.testing.assert_allclose(result.changes, other.changes, rtol=1e-2)


@pytest.mark.parametrize("count", [1, 3])
def test_the_loop_comes_to_what_it_comes_to_on_the_cpu(backend, on_cpu, count):
    for seed in range(3):  # the second and third use what the first has left
        pictures = crops(count, seed)
        assert_the_same(restored(backend, pictures), restored(on_cpu, pictures))


def test_batches_of_any_size_share_the_memory(tensorrt, on_cpu):
    for count in (2, 1, 4, 3, 1, 2):
        pictures = crops(count, count)
        assert_the_same(restored(tensorrt, pictures), restored(on_cpu, pictures))


@pytest.mark.parametrize(("count", "iterations"), [(1, 1), (3, 4), (1, 30)])
def test_pictures_are_copied_once_each_way_whatever_the_number_of_passes(backend, gpu, count, iterations):
    restored(backend, crops(count))
    gpu.transfers.clear()
    settings = replace(PATIENT, iterations=iterations)
    (result, *_) = restored(backend, crops(count, 1), settings, settled=0)
    assert result.passes == len(pass_schedule(settings.latent_step_decay, iterations).times)
    up = [size for way, size in gpu.transfers if way == "up"]
    down = [size for way, size in gpu.transfers if way == "down"]
    assert len(up) == 1
    assert up[0] >= count * PICTURE
    expected = [count * 4] * (result.passes - 1) + [count * PICTURE]
    assert down == expected  # a change per sample and pass, the pictures


def test_memory_is_made_once_and_used_by_every_photo(backend, gpu):
    restored(backend, crops(3), preset("early-digital"))
    before = gpu.events.count("allocate"), gpu.events.count("free")
    for seed, settings in enumerate((PATIENT, preset("classic"), preset("film-scan"), PATIENT)):
        restored(backend, crops(1 + seed % 3, seed), settings)
    assert (gpu.events.count("allocate"), gpu.events.count("free")) == before


def test_more_moves_than_fit_only_make_the_memory_grow(tensorrt, on_cpu, gpu):
    pictures = crops(1)
    rough = replace(PATIENT, iterations=40, latent_step_decay=0.03)
    expected = restored(on_cpu, pictures, rough, epsilon=0.03, settled=0)
    assert_the_same(restored(tensorrt, pictures, rough, epsilon=0.03, settled=0), expected)
    assert len(set(pass_schedule(0.03, 40, 0.03).steps)) > 1


def test_generator_and_step_become_cuda_graphs_after_their_first_run(tensorrt, gpu):
    (result,) = restored(tensorrt, crops(1), settled=0)
    assert result.passes == 5
    # encoder, mapping, first generator and step; each of the two is captured once; the rest are launches.
    assert gpu.events.count("run") == 4
    assert gpu.events.count("captured") == 2
    assert gpu.events.count("graph") == (5 - 1) + (4 - 1)
    gpu.events.clear()
    restored(tensorrt, crops(1, 1), settled=0)
    assert (gpu.events.count("run"), gpu.events.count("captured"), gpu.events.count("graph")) == (2, 0, 5 + 4)
    assert gpu.runs["restored"] == 10


def test_where_the_driver_refuses_to_capture_the_networks_run_without(tensorrt, gpu, on_cpu):
    gpu.refuses_capture = True
    assert_the_same(restored(tensorrt, crops(2)), restored(on_cpu, crops(2)))
    assert not tensorrt.captures
    assert gpu.events.count("graph") == 0


def test_rtx_captures_by_itself_and_keeps_its_kernels_for_the_next_start(gpu, tiny_package):
    package = open_package(tiny_package)
    first = open_backend("tensorrt-rtx", package)
    assert gpu.kernels_given == []
    restored(first, crops(1))
    assert gpu.events.count("graph") == gpu.events.count("captured") == 0
    kept = list(EngineCache().folder.glob("*.kernels"))
    assert len(kept) == 4
    first.close()
    open_backend("tensorrt-rtx", package).close()
    assert gpu.kernels_given == [b"kernels"] * 4


@pytest.mark.parametrize("count", [1, 3])
def test_the_renewed_loop_comes_to_what_it_comes_to_on_the_cpu(renewed, renewed_on_cpu, count):
    for seed in range(3):  # the second and third use what the first has left
        pictures = crops(count, seed)
        assert_the_same(restored(renewed, pictures), restored(renewed_on_cpu, pictures))


def test_a_renewed_crop_that_settles_before_others_ends_as_on_the_cpu(renewed, renewed_on_cpu):
    pictures = crops(3)
    rho = np.ones(pictures.shape[:3], np.float32) * np.array([0, 0.2, 2], np.float32)[:, None, None]
    expected = restore_crops(renewed_on_cpu, pictures, rho, PATIENT, settled=0.02)
    assert expected[0].passes < expected[2].passes
    assert_the_same(restore_crops(renewed, pictures, rho, PATIENT, settled=0.02), expected)


@pytest.mark.parametrize(("count", "iterations"), [(1, 1), (3, 4), (1, 30)])
def test_renewed_pictures_go_up_once_and_come_back_when_needed(renewed, gpu, count, iterations):
    restored(renewed, crops(count))
    gpu.transfers.clear()
    settings = replace(PATIENT, iterations=iterations)
    (result, *_) = restored(renewed, crops(count, 1), settings, settled=0)
    passes = len(pass_schedule(settings.latent_step_decay, iterations).times)
    assert result.passes == passes
    up = [size for way, size in gpu.transfers if way == "up"]
    down = [size for way, size in gpu.transfers if way == "down"]
    gains = len({*pass_schedule(0.1, iterations).steps[:-1]})
    places = renewed._tensors.upload_places(count, gains)
    assert up == [max(place.offset + place.size for place in places.values())]
    assert set(places) == {"crop", *(f"picture_gain {i}" for i in range(gains))}
    first = [count * PICTURE] if passes > 1 else []  # later passes may lead astray
    last = [count * PICTURE] * (2 if passes > 2 else 1)  # r, and the estimate where it is not known
    assert down == first + [count * 4] * (passes - 1) + last


def test_renewed_features_are_written_into_memory_allocated_once(renewed, gpu):
    restored(renewed, crops(3), preset("early-digital"))
    before = gpu.events.count("allocate"), gpu.events.count("free")
    gpu.runs.clear()
    for seed, settings in enumerate((PATIENT, preset("classic"), preset("film-scan"), PATIENT)):
        restored(renewed, crops(1 + seed % 3, seed), settings, settled=0)
    assert (gpu.events.count("allocate"), gpu.events.count("free")) == before
    assert gpu.runs["restored"] == gpu.runs["z"] == gpu.runs["w"] > 4  # each pass encodes and maps


def test_a_renewed_step_takes_less_memory_than_a_step_that_encodes(gpu, renewed, backend):
    names = {port.name for port in renewed._tensors.resident}
    assert not names & {"latent_gain", "next_w"}
    assert names < {port.name for port in backend._tensors.resident}


def test_a_package_only_marked_as_renewed_falls_back_to_onnx_runtime(gpu, tiny_package, tmp_path):
    folder = tmp_path / "marked"
    shutil.copytree(tiny_package, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"loop": "renewed"}))
    with pytest.raises(BackendError, match=r"marked as renewed, .* --loop renewed, or add --backend onnx"):
        open_backend("tensorrt", open_package(folder))
    assert gpu.is_bare()
    opened = open_backend("auto", open_package(folder), threads=1)
    assert opened.name == "onnxruntime"
    opened.close()


def test_closing_gives_everything_back_and_twice_is_once(backend, gpu):
    restored(backend, crops(3))
    assert not gpu.is_bare()
    backend.close()
    assert gpu.is_bare()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        restored(backend, crops(1))


def test_closing_in_another_thread_gives_everything_back(backend, gpu):
    restored(backend, crops(1))
    thread = threading.Thread(target=backend.close)
    thread.start()
    thread.join()
    assert gpu.is_bare()


def test_a_photo_that_fails_leaves_no_memory_behind_and_the_next_one_works(backend, gpu, on_cpu):
    restored(backend, crops(2))
    gpu.refuses_to_run = True
    with pytest.raises(
        BackendError, match=r"^TensorRT(-RTX)? failed on cuda:0: .*did not start the network$"
    ):
        restored(backend, crops(2))
    assert {*gpu.memory, *gpu.pinned, *gpu.graphs} == set()
    gpu.refuses_to_run = False
    assert_the_same(restored(backend, crops(2)), restored(on_cpu, crops(2)))


def test_an_interrupted_photo_leaves_no_memory_and_the_next_one_works(backend, gpu, on_cpu, monkeypatch):
    restored(backend, crops(1))
    wait = backend._engines._gpu.wait

    def interrupted():
        monkeypatch.setattr(backend._engines._gpu, "wait", wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(backend._engines._gpu, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restored(backend, crops(1))
    assert {*gpu.memory, *gpu.pinned, *gpu.graphs} == set()
    assert_the_same(restored(backend, crops(1)), restored(on_cpu, crops(1)))


def test_full_memory_halves_the_batch_until_it_fits(backend, gpu, on_cpu):
    restored(backend, crops(2))
    of_two = sum(len(block.content) for block in gpu.memory.values())
    gpu.limit = of_two * 1.1
    assert_the_same(restored(backend, crops(7)), restored(on_cpu, crops(7)))
    assert backend.max_batch == 1  # 7, 3, 1: one too many for what fits, each time
    assert sum(len(block.content) for block in gpu.memory.values()) <= gpu.limit


def test_memory_too_small_for_one_face_is_one_clear_line(backend, gpu):
    gpu.limit = 10_000
    with pytest.raises(
        BackendError, match=r"memory of cuda:0 is too small for one face: .*--device cpu"
    ) as told:
        restored(backend, crops(5))
    assert "\n" not in str(told.value)
    assert not gpu.memory


@pytest.mark.parametrize("failure", ["refuses_to_run", "interrupted"])
def test_no_tensorrt_object_outlives_the_gpu_even_if_an_error_is_kept(backend, gpu, monkeypatch, failure):
    restored(backend, crops(1))
    if failure == "interrupted":
        monkeypatch.setattr("engines.tensorrt_api.enqueue", interrupted)
    gpu.refuses_to_run = True
    with pytest.raises((BackendError, KeyboardInterrupt)) as kept:
        restored(backend, crops(2))
    backend.close()
    assert gpu.is_bare()
    assert kept.value


def interrupted(context, stream):
    raise KeyboardInterrupt


def test_a_start_that_fails_half_way_leaves_nothing_of_tensorrt(gpu, tiny_package, monkeypatch):
    calls = iter([None, KeyboardInterrupt])

    def run_settings(api, engine, kernels):
        if error := next(calls):
            raise error

    monkeypatch.setattr("engines.tensorrt_api.run_settings", run_settings)
    with pytest.raises(KeyboardInterrupt) as kept:
        open_backend("tensorrt", open_package(tiny_package))
    assert gpu.is_bare()
    assert kept.value


def test_a_lost_gpu_is_closed_after_all_that_is_of_tensorrt(backend, gpu):
    restored(backend, crops(1))
    gpu.lost = True
    backend.close()
    assert not gpu.objects.total()
    assert not gpu.orphans


@pytest.mark.parametrize("after", [0, 2, 3, 8])
def test_a_lost_context_is_made_again_and_the_photo_comes_out(backend, gpu, on_cpu, after):
    expected = restored(on_cpu, crops(2))
    gpu.recovers, gpu.lose_after = True, after
    assert_the_same(restored(backend, crops(2)), expected)
    assert (gpu.resets, gpu.retained, len(gpu.streams)) == (1, 1, 1)
    gpu.lose_after = after  # later, another time
    assert_the_same(restored(backend, crops(2)), expected)
    assert gpu.resets == 2


def test_a_context_that_is_lost_again_at_once_is_an_error(backend, gpu):
    reset, gpu.lose_after, gpu.recovers = gpu.__class__.drain, 0, True

    def drain(self):
        if self.lose_after is None and not self.lost:
            self.lose_after = 0
        reset(self)

    gpu.drain = drain.__get__(gpu)
    with pytest.raises(BackendError, match=r"cuda:0 was lost \(twice: .*illegal memory access"):
        restored(backend, crops(1))
    assert not gpu.memory


@pytest.mark.parametrize("after", [0, 3])
def test_a_gpu_lost_for_good_is_one_line_now_and_at_every_opening(backend, gpu, tiny_package, after):
    gpu.lose_after = after
    for _ in range(2):
        with pytest.raises(
            DeviceLostError, match=r"^cuda:0 was lost \(.*illegal memory access .*start again"
        ):
            restored(backend, crops(2))
    assert not gpu.objects.total()
    for name, device in (("tensorrt", None), ("tensorrt-rtx", None), ("auto", "cuda:0")):
        with pytest.raises(DeviceLostError) as told:
            open_backend(name, open_package(tiny_package), device=device)
        assert "\n" not in str(told.value)
    opened = open_backend("auto", open_package(tiny_package), threads=1)
    assert (opened.device, opened.why.startswith("cuda:0 was lost")) == ("cpu", True)
    opened.close()


@pytest.mark.parametrize("after", [0, 8])
def test_auto_goes_on_with_the_cpu_when_the_gpu_is_lost_for_good(gpu, tiny_package, on_cpu, after):
    expected = restored(on_cpu, crops(2))
    opened = open_backend("auto", open_package(tiny_package), threads=1)
    assert (opened.name, opened.device) == ("tensorrt", "cuda:0")
    gpu.lose_after = after
    for _ in range(2):
        assert_the_same(restored(opened, crops(2)), expected)
        assert (opened.device, gpu.objects.total()) == ("cpu", 0)
    assert opened.why.startswith("cuda:0 was lost (")
    opened.close()


def test_threads_that_wait_for_a_lost_gpu_go_on_with_the_cpu_too(gpu, tiny_package, on_cpu):
    opened = open_backend("auto", open_package(tiny_package), threads=1)
    gpu.lose_after = 2
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda seed: restored(opened, crops(2, seed)), range(3)))
    for seed, result in enumerate(results):
        assert_the_same(result, restored(on_cpu, crops(2, seed)))
    opened.close()


def test_where_the_cpu_cannot_go_on_either_the_gpu_is_what_was_lost(gpu, tiny_package, monkeypatch):
    opened = open_backend("auto", open_package(tiny_package), threads=1)
    monkeypatch.setattr("runtime.network.backends.choice.BACKENDS", {})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    gpu.lose_after = 0
    with pytest.raises(DeviceLostError, match=r"cuda:0 was lost .*nothing else can go on: .*ONNX Runtime"):
        restored(opened, crops(1))
    opened.close()


def test_closing_a_device_twice_is_once(gpu):
    for lost in (False, True):
        device = CudaDevice(0)
        gpu.lost = lost
        device.close(lost=lost)
        device.close(lost=lost)
        del device
        assert not gpu.stack
        assert gpu.is_bare()


@pytest.mark.parametrize("recovers", [False, True])
def test_the_benchmark_reports_what_a_lost_context_does(gpu, monkeypatch, recovers):
    def crash(*_, **__):
        gpu.lost = True

    module = SimpleNamespace(get_function=lambda name: crash)
    monkeypatch.setitem(sys.modules, "pycuda.compiler", SimpleNamespace(SourceModule=lambda text: module))
    gpu.recovers = recovers
    found = lost_context()
    assert (found["noticed"], found["opened again"]) == (True, recovers)
    assert ("cuDevicePrimaryCtxRetain failed" in found["reason"]) == (not recovers)


def test_several_threads_share_a_backend_and_nothing_is_mixed_up(backend, gpu, on_cpu):
    expected = [restored(on_cpu, crops(1 + seed % 3, seed)) for seed in range(8)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda seed: restored(backend, crops(1 + seed % 3, seed)), range(8)))
    for result, other in zip(results, expected, strict=True):
        assert_the_same(result, other)


def test_a_state_is_over_when_the_next_batch_comes(tensorrt):
    first = tensorrt.encode(crops(1).transpose(0, 3, 1, 2))
    tensorrt.encode(crops(1).transpose(0, 3, 1, 2))
    with pytest.raises(BackendError, match="another batch has been encoded"):
        tensorrt.generate(first)


def test_what_is_returned_outlives_the_next_pass(tensorrt):
    move = Move(np.full((1, 1, 64, 64), 0.5, np.float32), 0.5)
    state = tensorrt.encode(crops(1).transpose(0, 3, 1, 2), [move])
    tensorrt.generate(state)
    first = tensorrt.restored(state)
    kept = first.copy()
    tensorrt.step(state, 0)
    tensorrt.generate(state)
    assert not np.array_equal(tensorrt.restored(state), kept)
    assert np.array_equal(first, kept)
    tensorrt.release(state)


def test_an_early_tensorrt_10_takes_scratch_memory_by_its_address(tensorrt, gpu, on_cpu, monkeypatch):
    with tensorrt._engines._gpu.current():
        context = type(tensorrt._engines.context("mapping"))
    given = context.set_device_memory
    monkeypatch.delattr(context, "set_device_memory")
    address = property(None, lambda self, memory: given(self, memory, len(gpu.memory[memory].content)))
    monkeypatch.setattr(context, "device_memory", address, raising=False)
    assert_the_same(restored(tensorrt, crops(1)), restored(on_cpu, crops(1)))


def test_engines_are_built_once_and_opened_from_the_cache_after_that(gpu, tiny_package, monkeypatch):
    open_backend("tensorrt", open_package(tiny_package)).close()

    def build_apart(request, told):
        raise AssertionError("built again")

    monkeypatch.setattr("engines.builder.build_apart", build_apart)
    open_backend("tensorrt", open_package(tiny_package)).close()


@pytest.mark.parametrize("max_batch", [2, 16])
def test_engines_of_any_max_batch_are_taken_and_bound_the_batches(gpu, tiny_package, monkeypatch, max_batch):
    package = open_package(tiny_package)
    open_backend("tensorrt", package).close()
    for graph in REQUIRED:
        engine_for(package, graph, resolve(EngineOptions(max_batch=max_batch, exact=True)))
    monkeypatch.delattr("engines.builder.build_apart")
    opened = open_backend("tensorrt", package)
    assert opened.max_batch == max_batch
    opened.close()


def test_an_engine_that_is_refused_is_built_again_for_as_many_faces(gpu, tiny_package, monkeypatch):
    package = open_package(tiny_package)
    engine_for(package, "mapping", resolve(EngineOptions(max_batch=2, exact=True)))
    runtime, refused = sys.modules["tensorrt"].Runtime, []
    opens = runtime.deserialize_cuda_engine

    def refuses_once(self, plan):
        return opens(self, plan) if plan in refused else refused.append(plan)

    monkeypatch.setattr(runtime, "deserialize_cuda_engine", refuses_once)
    device = CudaDevice(0)
    with device.current():
        assert open_engine(package, "mapping", resolve(EngineOptions())).cached.record.key.max_batch == 2
    device.close()
    assert [entry.record.key.max_batch for entry in EngineCache().entries()] == [2]


def test_a_whole_photo_comes_out_as_on_the_cpu(gpu, tiny_package, portrait):
    with Restorer.open(tiny_package, "auto") as restorer:
        assert restorer.backend.name == "tensorrt"
        there = restorer.restore(portrait, PATIENT).photo
    assert gpu.is_bare()
    with Restorer.open(tiny_package, "onnxruntime", device="cpu", threads=1) as restorer:
        here = restorer.restore(portrait, PATIENT).photo
    assert np.abs(there.astype(int) - here).max() <= 1


def test_pycuda_that_is_missing_or_cannot_be_loaded_is_one_line(gpu, tiny_package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(
        BackendError, match=re.escape("PyCUDA is not installed: pip install 'gpen-edge[tensorrt]'")
    ):
        open_backend("tensorrt", open_package(tiny_package))
    folder = tmp_path / "pycuda"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "driver.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "pycuda.driver")
    monkeypatch.delitem(sys.modules, "pycuda")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BackendError, match=r"PyCUDA cannot be loaded \(libcuda.so.1: .*NVIDIA's driver"):
        open_backend("tensorrt", open_package(tiny_package))
    for name in ("pycuda", "pycuda.driver"):
        sys.modules.pop(name, None)


def test_a_driver_without_cuda_graphs_at_all_is_said(gpu, tiny_package, monkeypatch):
    monkeypatch.setattr("runtime.network.backends.cuda_driver.driver_library", object)
    with pytest.raises(BackendError, match=r"cuda:0 cannot be used: .* older than CUDA 11\.4"):
        open_backend("tensorrt", open_package(tiny_package))


def test_a_gpu_that_is_not_there_is_said(gpu, tiny_package):
    with pytest.raises(BackendError, match="there is no cuda:3: this machine has 1"):
        open_backend("tensorrt", open_package(tiny_package), device="cuda:3")
    assert gpu.is_bare()


@pytest.fixture
def two_photos(tmp_path, portrait):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(portrait).save(folder / name)
    return folder


def test_a_run_whose_gpu_is_lost_goes_on_with_the_cpu_and_says_so_once(
    gpu, tiny_package, two_photos, tmp_path, capsys
):
    report = tmp_path / "report.json"
    gpu.lose_after = 4  # in the second photo: each runs three networks once
    options = ["--preset", "classic", "--model", str(tiny_package), "--threads", "1", "--report", str(report)]
    assert restore([str(two_photos), "-o", str(tmp_path / "out"), *options]) == 0
    said = json.loads(report.read_text())
    assert (said["backend"], said["summary"]["restored"]) == ("tensorrt", 2)
    first, second = said["photos"]
    assert "backend" not in first
    assert (second["backend"], second["device"]) == ("onnxruntime", "cpu")
    assert second["backend_reason"].startswith("cuda:0 was lost (")
    assert capsys.readouterr().err.count("backend: onnxruntime on cpu (cuda:0 was lost") == 1


def test_a_run_on_the_gpu_alone_ends_when_it_is_lost_and_no_photo_has_failed(
    gpu, tiny_package, two_photos, tmp_path, capsys
):
    command = [str(two_photos), "-o", str(tmp_path / "out"), "--model", str(tiny_package), "--threads", "1"]
    command += ["--backend", "tensorrt", "--report", str(tmp_path / "report.json")]
    gpu.lose_after = 0
    assert restore(command) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if line.startswith("error: ")] == told[-1:]
    assert "cuda:0 was lost" in told[-1]
    assert "--resume" in told[-2]
    assert not any(line.startswith("failed") for line in told)
    assert list((tmp_path / "out").iterdir()) == []
