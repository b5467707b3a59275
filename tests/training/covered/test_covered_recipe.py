"""The recipe of the network that sees what is before a face."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from runtime.faces.align import align
from runtime.faces.covered import BUNDLED, covered_map
from runtime.faces.detect import open_detector
from runtime.onnx_session import open_network
from training.covered.harmless import dark_skin, sockets
from training.covered.run import drawn, export, opened
from training.covered.samples import TEMPLATE
from training.covered.scene import Scene

Pixels = NDArray[np.uint8]
SIDE = 192


@pytest.fixture(scope="module")
def crop(portrait: Pixels) -> Pixels:
    (face,) = open_detector().detect(portrait)
    return np.rint(align(portrait, face, SIDE).crop * 255).astype(np.uint8)


def scene_of(crop: Pixels, seed: int) -> Scene:
    nothing = np.zeros((SIDE, SIDE), np.float32)
    picture = np.asarray(crop / np.float32(255), np.float32)
    random = np.random.default_rng(seed)
    return Scene(picture, TEMPLATE * SIDE, random, [picture], nothing, nothing.copy())


@pytest.mark.parametrize("draw", [dark_skin, sockets])
def test_dark_skin_and_shaded_eyes_are_dark_and_no_covers(
    crop: Pixels, draw: Callable[[Scene], None]
) -> None:
    scenes = [scene_of(crop, seed) for seed in range(30)]
    eyes = np.zeros((SIDE, SIDE), np.uint8)
    for x, y in scenes[0].landmarks[:2]:
        cv2.circle(eyes, (round(x), round(y)), 6, 1, -1)
    before = scenes[0].picture[eyes > 0].mean()
    for scene in scenes:
        draw(scene)
        assert 0 <= scene.picture.min() <= scene.picture.max() <= 1
        assert not scene.covered.any()
        assert not scene.unsure.any()
    assert np.median([scene.picture[eyes > 0].mean() for scene in scenes]) < 0.7 * before


def test_samples_of_the_same_portraits_are_the_same(crop: Pixels) -> None:
    (first, label), (second, _) = drawn([crop], 4), drawn([crop], 4)
    assert first.shape == (4, 3, 128, 128)
    assert label.shape == (4, 128, 128)
    assert torch.equal(first, second)


def test_training_goes_on_from_the_file_that_was_written(
    crop: Pixels, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, _ = drawn([crop], 16)
    network = opened(BUNDLED, pictures)
    with torch.no_grad():
        still, moving = network(pictures), network.train()(pictures)
    assert torch.allclose(still, moving, atol=0.05)  # the statistics are those of these pictures
    path = tmp_path_factory.mktemp("covered") / "covered.onnx"
    export(opened(BUNDLED, pictures), path)
    photo = np.asarray(crop / np.float32(255), np.float32)
    there = covered_map(photo, 64)
    monkeypatch.setattr("runtime.faces.covered._network", lambda: open_network(path, threads=1, what="it"))
    assert np.abs(covered_map(photo, 64) - there).max() < 1e-3
