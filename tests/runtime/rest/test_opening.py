"""A user's own photo network: taken if it fits, refused in one line if not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from base.errors import PackageError
from runtime import RestoreSettings
from runtime.network.backends.onnxruntime import CUDA
from runtime.rest import opening
from runtime.rest.enhance import enhanced
from runtime.rest.network import PhotoNetwork
from runtime.rest.opening import open_photo_network

CPU: Any = SimpleNamespace(name="onnxruntime", device="cpu")


def save(
    path: Path,
    *,
    kernel: int = 5,
    factor: int = 1,
    gain: float = 1.0,
    channels: int = 3,
    inputs: int = 1,
    sides: tuple[int | str, int | str] = ("height", "width"),
) -> Path:
    """Write a network that blurs each channel a little over 3×kernel pixels and enlarges the result."""
    taps = np.full((channels, 1, 3, kernel), 0.2 * gain / kernel / 3, np.float32)
    taps[:, :, 1, kernel // 2] += np.float32(0.8 * gain)
    scales = np.array([1, 1, factor, factor], np.float32)
    nodes = [
        helper.make_node(
            "Conv",
            ["input", "taps"],
            ["smooth"],
            pads=[1, kernel // 2, 1, kernel // 2],
            group=channels,
            kernel_shape=[3, kernel],
        ),
        helper.make_node("Resize", ["smooth", "", "scales"], ["output"], mode="nearest"),
    ]
    picture = [1, channels, *sides]
    ports = [helper.make_tensor_value_info("input", TensorProto.FLOAT, picture)]
    ports += [helper.make_tensor_value_info(f"more{i}", TensorProto.FLOAT, [1]) for i in range(1, inputs)]
    graph = helper.make_graph(
        nodes,
        "smooth",
        ports,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, channels, "h", "w"])],
        [numpy_helper.from_array(taps, "taps"), numpy_helper.from_array(scales, "scales")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def opened(path: Path) -> PhotoNetwork:
    return open_photo_network(path, CPU, 1)


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("sides", [("height", "width"), (96, 160)])
def test_factor_and_reach_are_found_out(tmp_path: Path, factor: int, sides: tuple[Any, Any]) -> None:
    network = opened(save(tmp_path / "own.onnx", kernel=9, factor=factor, sides=sides))
    assert network.factor == factor
    assert network.overlap >= 4
    if sides[0] == 96:
        assert (network.rows + 2 * network.overlap, network.columns + 2 * network.overlap) == sides


def test_its_tiles_fit_together(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(60, 190, (150, 210, 3)).astype(np.uint8)
    settings = RestoreSettings(upscale=2)
    any_size, fixed = (
        enhanced(photo, opened(save(tmp_path / f"{sides[0]}.onnx", factor=2, sides=sides)), settings)
        for sides in (("height", "width"), (64, 72))
    )
    assert any_size.shape == (300, 420, 3)
    assert np.abs(any_size.astype(int) - fixed).max() <= 1


def nan(path: Path) -> Path:
    return save(path, gain=float("nan"))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "two inputs": (lambda path: save(path, inputs=2), "2 inputs and 1 outputs"),
    "one channel": (lambda path: save(path, channels=1), "three channels"),
    "factor 3": (lambda path: save(path, factor=3), "1, 2 or 4 times the size"),
    "not finite": (nan, "not finite"),
    "another range": (lambda path: save(path, gain=255), r"RGB in \[0, 1\]"),
    "sees too far": (lambda path: save(path, kernel=301), "sees more than 128 pixels"),
    "too small": (lambda path: save(path, kernel=31, sides=(40, 40)), "too far for its input of 40×40"),
    "one side fixed": (lambda path: save(path, sides=(64, "width")), "fix both, or none"),
    "no network": (lambda path: path.write_bytes(b"\x08\x08not a network"), "give an ONNX file"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_one_is_refused_in_one_line(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "own.onnx"
    make, message = BAD[fault]
    make(path)
    with pytest.raises(Exception, match=message) as error:
        opened(path)
    assert "\n" not in str(error.value)
    assert "own.onnx" in str(error.value)


def test_what_is_no_photo_network_is_refused(tmp_path: Path, tiny_package: Path) -> None:
    with pytest.raises(PackageError, match="no photo network"):
        opened(tmp_path / "missing.onnx")
    with pytest.raises(PackageError, match="restores faces, not the rest of a photo"):
        opened(tiny_package)


def test_several_threads_share_one_in_openvino() -> None:
    pytest.importorskip("openvino")
    network = open_photo_network(None, SimpleNamespace(name="openvino", device="cpu"))  # type: ignore[arg-type]
    assert network.where.startswith("OpenVINO")
    photos = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    tiles = [network.tile(photo, 0, 0) for photo in photos]
    with ThreadPoolExecutor(2) as threads:
        for tile, answer in zip(tiles, threads.map(network.answer, tiles), strict=True):
            assert np.array_equal(answer, network.answer(tile))


@pytest.mark.parametrize(("started", "where"), [(True, "cuda:1"), (False, "cpu")])
def test_on_a_gpu_fp32_stays_fp32_and_a_fallback_to_the_cpu_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, started: bool, where: str
) -> None:
    asked = []

    def sessions(path: Path, threads: int | None, providers: Any, what: str) -> Any:
        asked.append(providers[0])
        picture, running = SimpleNamespace(type="tensor(float)", name="x"), CUDA if started else opening.CPU
        return SimpleNamespace(get_inputs=lambda: [picture], get_providers=lambda: [running])

    with_cuda = SimpleNamespace(get_available_providers=lambda: [CUDA])
    monkeypatch.setattr(opening, "import_onnxruntime", lambda what: with_cuda)
    monkeypatch.setattr(opening, "open_network", sessions)
    network = open_photo_network(None, SimpleNamespace(name="onnxruntime", device="cuda:1"))  # type: ignore[arg-type]
    assert asked == [(CUDA, {"device_id": "1", "use_tf32": "0"})]
    assert network.where == f"ONNX Runtime on {where}"
