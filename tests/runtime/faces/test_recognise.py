"""A recogniser gives numbers that are close together for the same person."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from base.errors import SettingsError
from runtime.faces.close_up import cut_close_up
from runtime.faces.detect import open_detector
from runtime.faces.face import Face
from runtime.faces.recognise import ANOTHER, Recogniser, distance, open_recogniser
from runtime.faces.sharpness import face_sharpness
from runtime.pixels import Crop, Pixels


@pytest.fixture(scope="module")
def face(portrait: Pixels) -> Face:
    return open_detector(None).detect(portrait)[0]


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return open_recogniser(None, 1)


def otherwise(portrait: Pixels, face: Face) -> Crop:
    """The same head with a face that nobody has: eyes far apart, a long nose, a wide mouth."""
    stretched = face.landmarks.copy()
    stretched[3:, 1] += 0.25 * (stretched[3, 1] - stretched[0, 1])
    return cv2.resize(cut_close_up(portrait, stretched)[40:], (150, 150))


def test_a_damaged_copy_is_nearer_than_another_face(
    recogniser: Recogniser, portrait: Pixels, face: Face
) -> None:
    noisy = np.clip(portrait + np.random.default_rng(0).normal(0, 8, portrait.shape), 0, 255)
    copies = [portrait[:, ::-1], np.rint(noisy).astype(np.uint8), portrait * np.float32(0.8)]
    mirrored = face.landmarks[[1, 0, 2, 4, 3]] * (-1, 1) + (511, 0)
    places = [mirrored, face.landmarks, face.landmarks]
    close_ups = [cut_close_up(np.asarray(c, np.uint8), p) for c, p in zip(copies, places, strict=True)]
    own, *near, far = recogniser.describe(
        [cut_close_up(portrait, face.landmarks), *close_ups, otherwise(portrait, face)]
    )
    assert own.shape == (128,)
    assert max(distance(own, each) for each in near) < 0.3
    assert distance(own, far) > 0.3
    assert distance(own, own) == 0


def test_faces_are_described_in_a_batch_as_alone(
    recogniser: Recogniser, portrait: Pixels, face: Face
) -> None:
    crops = [cut_close_up(portrait, face.landmarks), otherwise(portrait, face)]
    np.testing.assert_allclose(
        recogniser.describe(crops), [recogniser.describe([crop])[0] for crop in crops], atol=1e-4
    )


def sface(path: Path, side: int = 112, batch: int | str = 1) -> Path:
    """A network with the shape of SFace that answers with the means of eight stripes."""
    pool = [side // 8, side]
    nodes = [
        helper.make_node("AveragePool", ["data"], ["means"], kernel_shape=pool, strides=pool),
        helper.make_node("Reshape", ["means", "shape"], ["fc1"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "sface",
        [value("data", TensorProto.FLOAT, [batch, 3, side, side])],
        [value("fc1", TensorProto.FLOAT, [batch, 24])],
        [numpy_helper.from_array(np.array([-1, 24], np.int64), "shape")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("batch", [1, "batch"])
def test_the_users_sface_measures_on_the_same_scale(tmp_path: Path, batch: int | str) -> None:
    opened = open_recogniser(sface(tmp_path / "sface.onnx", batch=batch), 1)
    red, green = np.zeros((2, 150, 150, 3), np.float32)
    red[..., 0], green[..., 1] = 1, 1
    one, other = opened.describe([red, green])
    assert distance(one, other) == pytest.approx(2**0.5 * ANOTHER / 1.128, rel=1e-3)


def test_a_file_that_is_no_recogniser_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    for path in (tmp_path / "none.onnx", tmp_path / "text.onnx", sface(tmp_path / "small.onnx", side=64)):
        with pytest.raises(SettingsError) as raised:
            open_recogniser(path, 1)
        assert path.name in str(raised.value)
        assert str(raised.value).isprintable()


def test_blur_lowers_sharpness_and_size_light_and_contrast_do_not(portrait: Pixels, face: Face) -> None:
    values = [
        face_sharpness(np.asarray(cv2.GaussianBlur(portrait, (0, 0), s), np.uint8), face) for s in (1, 2, 4)
    ]
    values = [face_sharpness(portrait, face), *values]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.7
    assert values[-1] < 0.2
    dark = np.asarray(40 + portrait // 3, np.uint8)
    assert face_sharpness(dark, face) == pytest.approx(values[0], abs=0.1)
    assert face_sharpness(np.full_like(portrait, 90), face) == 0
