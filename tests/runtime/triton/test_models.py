"""Triton's Python models, in a double of the server: the same bits as the runtime."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from engines.package import open_package
from export.triton.command import export_repository
from runtime import Restorer, encode_photo, preset, read_photo, restore_photo
from runtime.network.backends import open_backend
from runtime.network.loop import restore_crops
from runtime.network.schedule import most_passes_of
from tests.runtime.triton import server as triton
from tests.runtime.triton.server import Server

Pixels = NDArray[np.uint8]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Return what starts a double of Triton with a package."""

    def started(package: Path, *options: str) -> Server:
        triton.install(monkeypatch)
        assert (
            export_repository([str(package), "-o", str(tmp_path / "models"), "--threads", "1", *options]) == 0
        )
        return Server(tmp_path / "models")

    yield started
    Server.running = None


def text(**settings: Any) -> NDArray[Any]:
    return np.array([json.dumps(settings).encode()], np.object_)


def png(pixels: Pixels) -> NDArray[Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return np.array([file.getvalue()], np.object_)


@pytest.mark.parametrize("kind", ["tiny_package", "renewed_package", "half_package", "static_package"])
def test_the_loop_gives_the_same_bits_as_the_runtime(
    kind: str, serve: Callable[..., Server], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    server, package = serve(folder), open_package(folder)
    random = np.random.default_rng(0)
    crops, rho = random.random((2, 64, 64, 3), np.float32), 1 + random.random((2, 64, 64), np.float32)
    backend = open_backend("onnxruntime", package, threads=1)
    expected = restore_crops(backend, crops, rho, preset("film-scan"), most=most_passes_of(package))
    static = server.configs["tiny64_loop"].max_batch_size == 0
    for part in [slice(0, 1), slice(1, 2)] if static else [slice(0, 2)]:
        settings = np.repeat(text(preset="film-scan")[None], part.stop - part.start, axis=0)
        made = server.ask("tiny64_loop", crop=crops[part], rho=rho[part], settings=settings).arrays()
        for i, result in enumerate(expected[part]):
            assert np.array_equal(made["restored"][i], result.restored)
            assert made["passes"][i, 0] == result.passes > 1
            assert made["steps"][i, 0] == result.steps


def test_requests_with_equal_settings_go_through_the_network_together(
    serve: Callable[..., Server], tiny_package: Path
) -> None:
    server = serve(tiny_package)
    crops = np.random.default_rng(0).random((3, 1, 64, 64, 3), np.float32)
    for batches in server.batches.values():
        batches.clear()
    light, classic = text(strength=0.5)[None], text(preset="classic")[None]
    answers = server.ask_all(
        "tiny64_loop",
        [
            {"crop": crops[0], "settings": light},
            {"crop": crops[1], "settings": classic},
            {"crop": crops[2], "settings": light},
        ],
    )
    assert server.batches["tiny64_encoder"][0] == 2
    assert server.batches["tiny64_generator"].count(1) == 1
    single = server.ask("tiny64_classic", crop=crops[1].transpose(0, 3, 1, 2) * 2 - 1).arrays()["restored"]
    pass_of = np.clip((single.transpose(0, 2, 3, 1) + 1) / 2, 0, 1)
    assert np.array_equal(answers[1].arrays()["restored"], pass_of.astype(np.float32))
    assert answers[1].arrays()["passes"] == 1


@pytest.mark.usefixtures("any_colours")
def test_a_whole_photo_comes_back_as_the_runtime_writes_it(
    serve: Callable[..., Server], tiny_package: Path, portrait: Pixels
) -> None:
    server = serve(tiny_package)
    photo = png(portrait[::2, ::2])
    made = server.ask("tiny64_photo", photo=photo, settings=text(preset="low-light")).arrays()
    with Restorer.open(tiny_package, "onnxruntime", threads=1) as restorer:
        expected, result = restore_photo(restorer, read_photo(photo[0]), preset("low-light"))
    assert made["restored"][0] == encode_photo(expected, ".png")
    assert made["format"][0] == b".png"
    report = json.loads(made["report"][0])
    assert report["outcome"] == "restored"
    assert [face["passes"] for face in report["faces"]] == [
        face.loop.passes for face in result.faces if face.loop
    ]

    empty = png(np.full((64, 64, 3), 90, np.uint8))
    kept = server.ask("tiny64_photo", photo=empty).arrays()
    assert kept["restored"][0] == empty[0]
    assert json.loads(kept["report"][0])["outcome"] == "no-face"


def test_a_bad_request_fails_alone_with_a_sentence(serve: Callable[..., Server], tiny_package: Path) -> None:
    server = serve(tiny_package)
    empty = png(np.full((64, 64, 3), 90, np.uint8))
    bad = [
        {"photo": np.array([b"no photo"], np.object_)},
        {"photo": empty, "settings": np.array([b"{"], np.object_)},
        {"photo": empty, "settings": text(strength=7)},
        {"photo": empty, "settings": np.array([b"[]"], np.object_)},
        {"photo": empty, "settings": text(face="person=/etc/passwd")},
    ]
    *failed, good = server.ask_all("tiny64_photo", [*bad, {"photo": empty}])
    for answer, part in zip(
        failed, ("is not a JPEG", "JSON", "strength", "JSON object", "cannot name a file"), strict=True
    ):
        error = answer.error()
        assert error is not None
        assert error.code() == triton.TritonError.INVALID_ARG
        assert part in error.message()
        assert "\n" not in error.message()
    assert good.arrays()["restored"][0] == empty[0]
