"""What a backend promises, whatever runs behind it."""

from pathlib import Path

import numpy as np
import pytest

from base.errors import BackendError, SettingsError
from engines.package import open_package
from runtime.network.backends import Move, open_backend
from runtime.network.backends.onnxruntime import OnnxRuntimeBackend


def test_passes_write_into_the_same_arrays_again(tiny_package: Path) -> None:
    backend = open_backend("onnxruntime", open_package(tiny_package), threads=1)
    crops = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    state = backend.encode(crops, [Move(np.full((2, 1, 64, 64), 0.3, np.float32), 0.3)])

    def places() -> set[int]:
        arrays = (state.estimate, state.next_estimate, state.w, state.next_w, state.restored, state.change)
        return {array.data_ptr() for array in (*arrays, *state.features.values())}

    before = places()
    assert len(before) == 6 + len(state.features)
    latents = []
    for _ in range(3):
        backend.generate(state)
        backend.step(state, 0)
        latents.append(state.w.numpy().copy())
    assert places() == before
    assert not np.array_equal(latents[0], latents[1])
    backend.close()


def test_the_crops_that_come_in_are_left_alone(tiny_package: Path) -> None:
    backend = open_backend("onnxruntime", open_package(tiny_package), threads=1)
    crops = np.full((1, 3, 64, 64), 0.5, np.float32)
    state = backend.encode(crops, [Move(np.full((1, 1, 64, 64), 0.3, np.float32), 0.3)])
    for _ in range(3):
        backend.generate(state)
        backend.step(state, 0)
    assert (crops == 0.5).all()
    backend.close()


def test_what_a_state_returns_outlives_the_next_pass(tiny_package: Path) -> None:
    backend = open_backend("onnxruntime", open_package(tiny_package), threads=1)
    moves = [Move(np.ones((1, 1, 64, 64), np.float32), 1.0)]
    state = backend.encode(np.full((1, 3, 64, 64), 0.5, np.float32), moves)
    backend.generate(state)
    first = backend.restored(state)
    kept = first.copy()
    backend.step(state, 0)
    backend.generate(state)
    assert not np.array_equal(backend.restored(state), kept)
    assert np.array_equal(first, kept)
    backend.close()


def test_a_half_precision_package_gives_nearly_the_same_faces_on_the_cpu(
    tiny_package: Path, half_package: Path
) -> None:
    crops = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    restored = []
    for folder in (tiny_package, half_package):
        backend = open_backend("onnxruntime", open_package(folder), device="cpu", threads=1)
        state = backend.encode(crops, [Move(np.full((2, 1, 64, 64), 0.3, np.float32), 0.3)])
        for _ in range(3):
            backend.generate(state)
            backend.step(state, 0)
        restored.append(backend.restored(state))
        backend.close()
    whole, half = restored
    assert half.dtype == np.float32
    assert 0 < np.mean((half - whole) ** 2) < 4e-6  # 60 dB


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_batches_filled_for_a_gpu_give_the_same_faces_and_come_in_two_sizes(
    tiny_package: Path, count: int
) -> None:
    rng = np.random.default_rng(count)
    crops = rng.uniform(-1, 1, (count, 3, 64, 64)).astype(np.float32)
    moves = [Move(rng.uniform(0, 1, (count, 1, 64, 64)).astype(np.float32), 0.3)]
    found, sizes = [], set()
    for fills in (False, True):
        backend = OnnxRuntimeBackend(open_package(tiny_package), device="cpu", threads=1)
        backend.fills = fills
        backend._sessions.clear()
        state = backend.encode(crops, moves)
        for _ in range(2):
            backend.generate(state)
            change = backend.step(state, 0)
        found.append((change, backend.estimate(state), backend.restored(state)))
        sizes = {size for _, size in backend._sessions}
        backend.close()
    assert sizes == {1 if count == 1 else backend.max_batch}
    for plain, filled in zip(*found, strict=True):
        assert plain.shape == filled.shape
        np.testing.assert_allclose(filled, plain, atol=1e-4)


@pytest.mark.parametrize(
    ("device", "size", "told"),
    [
        ("cpu", 32, r"^ONNX Runtime failed on cpu: .*invalid dimensions"),
        ("cuda:99", 64, r"^ONNX Runtime failed on cuda:99: .*; if it happens again, use --device cpu$"),
    ],
    ids=["a run", "an upload"],
)
def test_what_onnx_runtime_fails_at_is_one_line(
    tiny_package: Path, device: str, size: int, told: str
) -> None:
    backend = OnnxRuntimeBackend(open_package(tiny_package), device="cpu", threads=1)
    backend.device = device  # where no ONNX Runtime has memory
    with pytest.raises(BackendError, match=told) as error:
        backend.encode(np.zeros((1, 3, size, size), np.float32))
    assert "\n" not in str(error.value)
    backend.close()


def test_closing_twice_is_once_and_what_is_closed_says_so(tiny_package: Path) -> None:
    backend = open_backend("onnxruntime", open_package(tiny_package), device="cpu", threads=1)
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.encode(np.zeros((1, 3, 64, 64), np.float32))


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu\n", ""])
def test_an_unknown_device_is_an_error_that_names_the_known_ones(tiny_package: Path, device: str) -> None:
    with pytest.raises(SettingsError, match="give cpu, or cuda:0"):
        open_backend("auto", open_package(tiny_package), device=device)


def test_a_device_that_cannot_be_used_is_an_error_and_not_silently_the_cpu(tiny_package: Path) -> None:
    with pytest.raises(BackendError, match="--device cpu"):
        open_backend("onnxruntime", open_package(tiny_package), device="cuda:7")


def test_without_a_device_the_cpu_serves_where_nothing_better_is(tiny_package: Path) -> None:
    backend = open_backend("auto", open_package(tiny_package), threads=1)
    assert backend.device in ("cpu", "cuda:0")
    backend.close()
