"""The bundled recogniser is made from a published weight manifest."""

import json

import numpy as np
import onnxruntime
import pytest

from base.errors import CheckpointError
from export import recogniser
from export.recogniser import folded, four_bits, main, read_weights, recogniser_graph


def layers():
    """Yield the name, input and output channels and kernel's side of each convolution."""
    yield "conv32_down", 3, 32, 7
    channels = 32
    for wide, blocks in recogniser.STAGES:
        names = [f"conv{wide}_down"] * (wide != 32) + [f"conv{wide}_{i + 1}" for i in range(blocks)]
        for name in names:
            yield f"{name}/conv1", channels, wide, 3
            yield f"{name}/conv2", wide, wide, 3
            channels = wide
    for part in ("conv1", "conv2"):
        yield f"{recogniser.LAST}/{part}", 256, 256, 3


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Random weights in the published form, in 8 bits and in two files."""
    folder = tmp_path_factory.mktemp("weights")
    rng = np.random.default_rng(0)
    entries, data = [], []

    def add(name, shape, scale, low, bits=8):
        codes = rng.integers(0, 256, shape, np.uint8)
        coded = {"dtype": "uint8", "scale": scale, "min": low}
        if bits == 32:
            data.append((codes * np.float32(scale) + np.float32(low)).astype(np.float32).tobytes())
            entries.append({"name": name, "shape": shape, "dtype": "float32"})
            return
        data.append(codes.tobytes())
        entries.append({"name": name, "shape": shape, "dtype": "float32", "quantization": coded})

    for name, inside, outside, side in layers():
        spread = 3.0 / (inside * side * side) ** 0.5
        add(
            f"{name}/conv/filters",
            [side, side, inside, outside],
            spread / 255,
            -spread / 2,
            32 if outside == 64 else 8,
        )
        add(f"{name}/conv/bias", [outside], 1e-4, -0.01)
        add(f"{name}/scale/weights", [outside], 1e-3, 0.5)
        add(f"{name}/scale/biases", [outside], 1e-3, -0.1)
    add("fc", [256, 128], 1e-3, -0.1)
    whole = b"".join(data)
    (folder / "a.bin").write_bytes(whole[:1000])
    (folder / "b.bin").write_bytes(whole[1000:])
    path = folder / "manifest.json"
    path.write_text(json.dumps([{"weights": entries, "paths": ["a.bin", "b.bin"]}]))
    return path


def run(model, faces):
    data = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(["descriptor"], {"face": faces})[0]


def test_the_compact_file_answers_nearly_as_the_published_weights(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(recogniser, "CLIPPED", np.array([0.7, 0.9]))
    path = tmp_path / "recogniser.onnx"
    assert main([str(manifest), "-o", str(path)]) == 0
    assert path.stat().st_size < 4e6
    faces = np.random.default_rng(1).uniform(0, 255, (2, 3, 150, 150)).astype(np.float32)
    compact = run(str(path), faces)
    exact = run(recogniser_graph(read_weights(manifest), compact=False), faces)
    assert compact.shape == (2, 128)
    assert np.abs(compact - exact).max() < 0.2 * np.abs(exact).max()


def test_a_normalisation_is_folded_into_its_convolution():
    rng = np.random.default_rng(0)
    weights = {
        "a/conv/filters": rng.normal(size=(3, 3, 2, 4)).astype(np.float32),
        "a/conv/bias": rng.normal(size=4).astype(np.float32),
        "a/scale/weights": rng.normal(size=4).astype(np.float32),
        "a/scale/biases": rng.normal(size=4).astype(np.float32),
    }
    kernel, bias = folded(weights)["a"]
    x = rng.normal(size=(3, 3, 2))
    plain = np.tensordot(x, weights["a/conv/filters"], 3) + weights["a/conv/bias"]
    wanted = plain * weights["a/scale/weights"] + weights["a/scale/biases"]
    np.testing.assert_allclose(np.tensordot(kernel, x.transpose(2, 0, 1), 3) + bias, wanted, rtol=1e-4)


def test_four_bits_lose_little():
    kernel = np.random.default_rng(0).normal(0, 0.02, (8, 64, 1, 1)).astype(np.float32)
    codes, scales = four_bits(kernel)
    assert codes.max() <= 15
    restored = (codes.astype(np.float32) - 8) * scales.astype(np.float32)
    assert np.abs(restored.reshape(kernel.shape) - kernel).std() < 0.15 * kernel.std()


def test_what_is_no_manifest_or_has_other_tensors_is_refused(manifest, tmp_path):
    (tmp_path / "text.json").write_text("no json")
    short = json.loads(manifest.read_text())
    (tmp_path / "a.bin").write_bytes(b"x" * 10)
    (tmp_path / "b.bin").write_bytes(b"")
    (tmp_path / "short.json").write_text(json.dumps(short))
    for path in (tmp_path / "text.json", tmp_path / "none.json", tmp_path / "short.json"):
        with pytest.raises(CheckpointError, match=path.name):
            read_weights(path)
    with pytest.raises(CheckpointError, match="not the weights"):
        recogniser_graph({"fc": np.zeros((256, 128), np.float32)})
