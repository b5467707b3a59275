from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.face_networks import main
from runtime.faces import iris, mesh_network
from runtime.onnx_session import open_network

PUBLISHED = {
    "mesh": [
        92.792,
        79.748,
        74.026,
        58.759,
        54.341,
        93.809,
        49.419,
        114.754,
        98.695,
        98.773,
        124.558,
        106.224,
    ],
    "presence": [24.020],
    "eye": [25.609, -0.010, 28.194, 25.239, 0.509, 24.335, 23.667, 0.211, 24.068, 24.511, 4.144, 37.124],
    "iris": [33.474, 30.811, 0.603, 37.587, 30.946, 0.591, 33.592, 26.915, 0.578, 29.210, 30.643, 0.590],
}
"""Every so many values of the published files' outputs, computed with LiteRT 2.3.0, for a face and an eye."""


@pytest.mark.parametrize(
    ("network", "outputs", "part"),
    [
        (mesh_network.BUNDLED, ("mesh", "presence"), np.s_[30:222, 130:322]),
        (iris.BUNDLED, ("eye", "iris"), np.s_[70:134, 170:234]),
    ],
)
def test_the_bundled_networks_compute_what_the_published_files_do(
    network: Path, outputs: tuple[str, ...], part: tuple[slice, slice], portrait: NDArray[np.uint8]
) -> None:
    crop = (portrait[part] / np.float32(255)).astype(np.float32).transpose(2, 0, 1)
    found = open_network(network, 1).run(list(outputs), {"crop": np.stack([crop, crop])})
    for name, values in zip(outputs, found, strict=True):
        first, second = values.reshape(2, -1)
        np.testing.assert_allclose(first, second, atol=1e-3)
        step = max(1, first.size // 12)
        np.testing.assert_allclose(first[::step][:12], PUBLISHED[name], atol=0.02)


@pytest.mark.parametrize(
    "content", [b"", b"not a network", b"\x1c\0\0\0TFL3" + bytes(20), b"\xff" * 4 + b"TFL3"]
)
def test_files_that_are_none_of_the_published_are_refused_in_one_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "face.tflite"
    source.write_bytes(content)
    assert main([str(source), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert str(source) in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
