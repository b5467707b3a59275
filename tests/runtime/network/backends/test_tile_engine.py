"""A photo package in the TensorRT backend, on the GPU of conftest."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from base.errors import BackendError, EngineError
from engines.builder import EngineOptions, Watch, engine_for, resolve
from engines.cache import EngineCache
from engines.package import PHOTO, open_package
from runtime import Restorer, RestoreSettings
from runtime.network.backends import BatchLostError, open_backend
from runtime.rest.enhance import enhanced
from runtime.rest.opening import open_photo_network

SETTINGS = RestoreSettings(scope="photo")
ON_CPU = SimpleNamespace(name="onnxruntime", device="cpu")
TILE = (1, 3, 56, 72)


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(60, 190, (110, 150, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def expected(photo_package, photo):
    return enhanced(photo, open_photo_network(photo_package, ON_CPU, 1), SETTINGS)


@pytest.fixture
def network(backend, photo_package):
    return open_photo_network(photo_package, backend, 1)


def faces(backend, count):
    """Make a pass over some crops; the backend keeps its memory for the next."""
    state = backend.encode(np.zeros((count, 3, 64, 64), np.float32))
    backend.generate(state)
    restored = backend.restored(state)
    backend.release(state)
    return restored


def assert_the_same(result, expected):
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_the_rest_of_a_photo_comes_out_as_on_the_cpu(backend, network, photo, expected, gpu):
    before = faces(backend, 2)
    assert_the_same(enhanced(photo, network, SETTINGS), expected)
    assert np.array_equal(faces(backend, 2), before)
    assert network.where in ("TensorRT on cuda:0", "TensorRT-RTX on cuda:0")
    assert gpu.runs["change"] == 3 * 3 + 2 * 2  # once more at half the size, for strong noise
    allocated = gpu.events.count("allocate")
    assert_the_same(enhanced(photo, network, SETTINGS), expected)
    assert gpu.events.count("allocate") == allocated


def test_a_second_photo_network_does_not_take_the_place_of_the_first(backend, network, photo_package):
    second = open_photo_network(photo_package, backend, 1)
    assert second.where == "ONNX Runtime on cpu (an engine for photo.onnx is open on cuda:0 already)"


def test_its_engine_is_built_once_for_one_tile_and_keeps_rtx_kernels(network, photo, gpu):
    enhanced(photo, network, SETTINGS)
    (entry,) = (entry for entry in EngineCache().entries() if entry.record.key.graph == PHOTO)
    assert entry.record.key.max_batch == 1
    assert entry.path.with_suffix(".kernels").exists() == ("RTX" in network.where)


def test_an_engine_from_the_command_line_is_taken(gpu, backend, photo_package, photo, expected, monkeypatch):
    runtime = "rtx" if backend.name == "tensorrt-rtx" else "tensorrt"
    engine_for(open_package(photo_package), PHOTO, resolve(EngineOptions(runtime=runtime)))
    monkeypatch.delattr("engines.builder.build_apart")
    network = open_photo_network(photo_package, backend, 1)
    assert_the_same(enhanced(photo, network, SETTINGS), expected)


def test_threads_share_the_gpu_with_those_that_restore_faces(backend, network, photo, expected):
    before = faces(backend, 1)
    with ThreadPoolExecutor(3) as threads:
        rests = [threads.submit(enhanced, photo, network, SETTINGS) for _ in range(2)]
        passes = [threads.submit(faces, backend, 1) for _ in range(4)]
        assert all(np.array_equal(each.result(), before) for each in passes)
        for rest in rests:
            assert_the_same(rest.result(), expected)


@pytest.mark.parametrize("after", [0, 4])
def test_a_lost_gpu_is_reopened_with_both_packages(backend, network, photo, expected, gpu, after):
    before = faces(backend, 1)
    gpu.recovers, gpu.lose_after = True, after
    assert_the_same(enhanced(photo, network, SETTINGS), expected)
    assert (gpu.resets, gpu.retained, len(gpu.streams)) == (1, 1, 1)
    assert np.array_equal(faces(backend, 1), before)


@pytest.mark.parametrize("first", ["tiles", "faces"])
def test_the_rest_of_a_photo_goes_on_with_the_cpu_too(
    gpu, tiny_package, photo_package, photo, expected, first
):
    opened = open_backend("auto", open_package(tiny_package), threads=1)
    network = open_photo_network(photo_package, opened, 1)
    assert network.where == "TensorRT on cuda:0"
    gpu.lose_after = 4 if first == "tiles" else 0
    if first == "faces":
        with pytest.raises(BatchLostError, match="onnxruntime on cpu is used instead"):
            faces(opened, 1)
    for _ in range(2):
        assert_the_same(enhanced(photo, network, SETTINGS), expected)
    assert faces(opened, 1).shape == (1, 3, 64, 64)
    assert "cuda:0 was lost" in open_photo_network(photo_package, opened, 1).where
    opened.close()


def test_full_memory_is_taken_from_faces_and_then_a_clear_line(backend, network, photo, expected, gpu):
    faces(backend, 8)
    tile = 4 * math.prod(TILE)
    gpu.limit = sum(len(block.content) for block in gpu.memory.values()) + tile
    assert_the_same(enhanced(photo, network, SETTINGS), expected)
    assert faces(backend, 1).shape == (1, 3, 64, 64)
    gpu.limit = tile
    backend._engines.free_memory()
    with pytest.raises(BackendError, match=r"cuda:0 is too small for a tile .*--scope faces") as told:
        enhanced(photo, network, SETTINGS)
    assert "\n" not in str(told.value)
    assert not gpu.memory


def test_a_network_that_does_not_start_is_one_line_and_the_next_photo_works(network, photo, expected, gpu):
    gpu.refuses_to_run = True
    with pytest.raises(BackendError, match=r"^the photo network smooth failed: TensorRT.* did not start"):
        enhanced(photo, network, SETTINGS)
    assert not {*gpu.memory, *gpu.pinned}
    gpu.refuses_to_run = False
    assert_the_same(enhanced(photo, network, SETTINGS), expected)


def test_where_no_engine_can_be_built_onnx_runtime_takes_over_and_says_why(
    backend, photo_package, photo, expected, monkeypatch
):
    def build_apart(request, told):
        raise EngineError("node Conv: not supported")

    monkeypatch.setattr("engines.builder.build_apart", build_apart)
    notices = []
    monkeypatch.setattr(backend._engines, "_watch", Watch(notice=notices.append))
    network = open_photo_network(photo_package, backend, 1)
    assert network.where.startswith("ONNX Runtime on cpu (photo.onnx")
    assert notices[0].startswith(f"{backend._engines.api.name} cannot run the photo network: photo.onnx")
    assert "node Conv: not supported" in network.where
    assert_the_same(enhanced(photo, network, SETTINGS), expected)
    assert faces(backend, 1).shape == (1, 3, 64, 64)


def test_a_file_of_the_users_own_stays_in_onnx_runtime(backend, photo_package, tmp_path, gpu):
    taps = np.zeros((3, 3, 1, 1), np.float32)
    taps[range(3), range(3)] = 1
    picture = ["b", 3, "h", "w"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "taps"], ["y"])],
        "same",
        *([helper.make_tensor_value_info(name, TensorProto.FLOAT, picture)] for name in "xy"),
        [numpy_helper.from_array(taps, "taps")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "own.onnx",
    )
    assert open_photo_network(tmp_path / "own.onnx", backend, 1).where == "ONNX Runtime on cpu"


def test_it_is_freed_with_the_restorer_in_whichever_thread(gpu, tiny_package, photo_package, photo):
    with Restorer.open(tiny_package, "tensorrt", photo_network=photo_package) as restorer:
        restorer.restore(photo, SETTINGS)
        assert gpu.runs["change"] > 0
        network = restorer.photo_network()
        thread = threading.Thread(target=restorer.close)
        thread.start()
        thread.join()
        assert gpu.is_bare()
    with pytest.raises(BackendError, match="closed"):
        network.run(np.zeros(TILE, np.float32))
