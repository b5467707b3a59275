from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import skimage.data
from onnx import TensorProto, helper, numpy_helper

import runtime.faces.detect
from base.errors import BackendError, SettingsError
from runtime.faces.align import crop_matrix, inverted, joined
from runtime.faces.detect import CenterFaceDetector, YuNetDetector, open_detector

FACE = (225.7, 118.0, 88.4)  # middle and width of the face in scikit-image's astronaut
EYES_NOSE_MOUTH = [(203, 101), (247, 104), (223, 125), (203, 142), (241, 144)]


@pytest.fixture(scope="module")
def detector():
    return CenterFaceDetector()


def with_face(photo, x, y, wide, angle=0.0):
    """Put the astronaut's head, cut out as a disc, into the photo."""
    size, head = wide / FACE[2], skimage.data.astronaut()
    if size < 1:
        head = cv2.resize(head, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    middle = (FACE[0] * min(1, size), FACE[1] * min(1, size))
    turn = cv2.getRotationMatrix2D(middle, angle, max(1, size))
    turn[:, 2] += np.array([x, y]) - middle
    placed = cv2.warpAffine(head, turn, photo.shape[1::-1], flags=cv2.INTER_CUBIC)
    disc = np.zeros(photo.shape[:2], np.uint8)
    cv2.circle(disc, (round(x), round(y)), round(1.15 * wide), 1, -1)
    photo[disc > 0] = placed[disc > 0]
    return photo


def background(width, height):
    return cv2.resize(skimage.data.coffee(), (width, height))


def middle(face):
    return (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2


def test_landmarks_come_as_eyes_nose_mouth_from_the_left(detector):
    (face,) = detector.detect(skimage.data.astronaut())
    np.testing.assert_allclose(face.landmarks, EYES_NOSE_MOUTH, atol=5)
    assert middle(face) == pytest.approx(FACE[:2], abs=5)
    assert 0.8 < face.score <= 1


@pytest.mark.parametrize(("wide", "angle"), [(24, 30), (40, -30), (90, 0), (250, -30), (700, 30)])
def test_faces_of_all_sizes_and_slants_are_found_once(detector, wide, angle):
    share = 1 if wide > 250 else 0.6
    x, y = 900 * share, 580 * share
    photo = with_face(background(round(1600 * share), round(1200 * share)), x, y, wide, angle)
    (face,) = detector.detect(photo)
    assert middle(face) == pytest.approx((x, y), abs=0.2 * wide)
    assert face.width == pytest.approx(wide, rel=0.3)


def turned(photo, degrees):
    """Return the photo turned anticlockwise on a larger grey canvas, and the matrix that turns it."""
    high, wide = photo.shape[:2]
    turn = cv2.getRotationMatrix2D(((wide - 1) / 2, (high - 1) / 2), degrees, 1)
    c, s = np.abs(turn[0, :2])
    size = round(wide * c + high * s), round(wide * s + high * c)
    turn[:, 2] += (np.array(size) - (wide, high)) / 2
    return cv2.warpAffine(photo, turn, size, flags=cv2.INTER_CUBIC, borderValue=(128, 128, 128)), turn


def askew(upright, face, turn=None):
    """Return by how many degrees and by which factor a face's crop differs from that of the upright photo."""
    crop = crop_matrix(face.landmarks, 256)
    crop = crop if turn is None else joined(crop, turn)
    (cosine, _, _), (sine, _, _) = joined(crop, inverted(crop_matrix(upright.landmarks, 256)))
    return abs(np.degrees(np.arctan2(sine, cosine))), np.hypot(cosine, sine)


@cache
def portrait_and_face(size):
    photo = cv2.resize(skimage.data.astronaut(), (size, size), interpolation=cv2.INTER_AREA)
    (face,) = CenterFaceDetector().detect(photo)
    return photo, face


TURNS = [30, 60, 90, 135, 180, -150, -105, -75]


@pytest.mark.parametrize(
    ("degrees", "size"),
    [*((degrees, 512) for degrees in TURNS), *((degrees, 200) for degrees in TURNS[::3]), (180, 1400)],
)
def test_turned_portraits_are_cut_out_upright(detector, degrees, size):
    photo, upright = portrait_and_face(size)
    photo, turn = turned(photo, degrees)
    (face,) = detector.detect(photo)
    off, scale = askew(upright, face, turn)
    assert off < 10
    assert 1 / 1.15 < scale < 1.15
    middle_before = turn[:, :2] @ middle(upright) + turn[:, 2]
    assert middle(face) == pytest.approx(middle_before, abs=0.15 * upright.width)


def test_a_group_comes_largest_first_and_has_the_same_faces_when_it_is_turned(detector):
    photo = background(1200, 420)
    for x, wide in ((60, 30), (190, 60), (420, 120), (640, 45), (960, 150)):
        with_face(photo, x, 210, wide)
    upright = detector.detect(photo)
    assert [round(middle(face)[0], -1) for face in upright] == pytest.approx([960, 420, 190, 640, 60], abs=20)
    for turns in (1, 2):
        faces = detector.detect(np.ascontiguousarray(np.rot90(photo, turns)))
        assert len(faces) == 5
        for before, after in zip(upright, faces, strict=True):
            assert np.hypot(*(after.landmarks[1] - after.landmarks[0])) == pytest.approx(
                np.hypot(*(before.landmarks[1] - before.landmarks[0])), rel=0.2
            )


def test_a_face_upside_down_among_upright_ones_is_turned_alone(detector):
    photo = with_face(with_face(background(1200, 600), 300, 300, 120), 850, 300, 100, 180)
    first, second = detector.detect(photo)
    assert first.landmarks[0, 0] < first.landmarks[1, 0]  # the left eye
    assert first.landmarks[0, 1] < first.landmarks[3, 1]  # is above the mouth
    assert second.landmarks[0, 0] > second.landmarks[1, 0]
    assert second.landmarks[0, 1] > second.landmarks[3, 1]


@pytest.mark.parametrize(
    ("name", "turns"),
    [("coffee", 1), ("chelsea", 2), ("rocket", 3), ("gravel", 3)],
)
def test_turned_pictures_without_a_face_have_none(detector, name, turns):
    picture = np.rot90(getattr(skimage.data, name)(), turns)
    picture = picture if picture.ndim == 3 else np.dstack([picture] * 3)
    assert detector.detect(np.ascontiguousarray(picture)) == ()


def test_a_24_pixel_face_is_found_in_a_6_megapixel_photo(detector):
    (face,) = detector.detect(with_face(background(3000, 2000), 2231, 1133, 24))
    assert middle(face) == pytest.approx((2231, 1133), abs=6)


def test_a_face_that_fills_a_large_photo_is_found_whole(detector):
    photo = cv2.resize(skimage.data.astronaut()[20:220, 130:330], (3000, 3000))
    (face,) = detector.detect(photo)
    assert face.width == pytest.approx(FACE[2] * 15, rel=0.25)


def test_a_grey_photo_has_the_same_face(detector):
    grey = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY)
    (face,) = detector.detect(np.dstack([grey] * 3))
    np.testing.assert_allclose(face.landmarks, EYES_NOSE_MOUTH, atol=6)


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "brick"])
def test_pictures_without_a_face_have_none(detector, name):
    picture = getattr(skimage.data, name)()
    assert detector.detect(picture if picture.ndim == 3 else np.dstack([picture] * 3)) == ()


@pytest.mark.parametrize("shape", [(1, 1), (2, 2000), (20, 9000), (3000, 4000), (40, 33)])
def test_blank_and_odd_pictures_have_none(detector, shape):
    assert detector.detect(np.full((*shape, 3), 128, np.uint8)) == ()


@pytest.mark.parametrize("shape", [(1, 1), (2, 2000), (2000, 2), (20, 9000), (40, 33)])
def test_noise_of_odd_shapes_has_none(detector, shape):
    assert detector.detect(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)) == ()


def test_boxes_end_at_the_photos_edge(detector):
    (face,) = detector.detect(np.ascontiguousarray(skimage.data.astronaut()[70:, 195:]))
    assert face.box[0] >= 0
    assert face.box[1] >= 0


def test_a_higher_threshold_leaves_no_face_below_it():
    assert open_detector(threshold=0.99).detect(skimage.data.astronaut()) == ()


def test_a_broken_bundled_network_is_one_line(tmp_path, monkeypatch):
    broken = tmp_path / "centerface.onnx"
    broken.write_bytes(runtime.faces.detect.BUNDLED.read_bytes()[:5000])
    monkeypatch.setattr(runtime.faces.detect, "BUNDLED", broken)
    with pytest.raises(BackendError, match="cannot open") as caught:
        open_detector()
    assert "\n" not in str(caught.value)


def test_a_network_that_fails_is_an_error_of_the_backend(tmp_path, monkeypatch):
    float32 = TensorProto.FLOAT
    ports = [helper.make_tensor_value_info(name, float32, [1]) for name in ("other", "heatmap")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["other"], ["heatmap"])], "", ports[:1], ports[1:]
    )
    file = tmp_path / "centerface.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    monkeypatch.setattr(runtime.faces.detect, "BUNDLED", file)
    with pytest.raises(BackendError, match="the face detector failed"):
        open_detector().detect(skimage.data.astronaut())


def test_a_missing_yunet_file_is_one_line(tmp_path):
    with pytest.raises(SettingsError, match="is not a file"):
        open_detector(tmp_path / "yunet.onnx")


@pytest.mark.parametrize("content", [b"", b"not a network", runtime.faces.detect.BUNDLED.read_bytes()])
def test_a_foreign_yunet_file_is_one_line(tmp_path, content):
    foreign = tmp_path / "yunet.onnx"
    foreign.write_bytes(content)
    with pytest.raises(SettingsError, match="is not a YuNet face detector") as caught:
        open_detector(foreign)
    assert "\n" not in str(caught.value)


def blob_yunet(path: Path) -> None:
    """Write a network with YuNet's outputs that takes each white 8×8 block for a face of 48×48."""

    def constant(name, values):
        return numpy_helper.from_array(np.array(values, np.float32).reshape(1, 1, -1), name)

    points = np.array([(-1, -1), (2, -1), (0.5, 0.5), (-1, 2), (2, 2)]).ravel()
    weights = [
        constant("nothing4", [0] * 4),
        constant("nothing10", [0] * 10),
        constant("box", [0.5, 0.5, np.log(6), np.log(6)]),
        constant("points", points),
        numpy_helper.from_array(np.array([1, -1, 1], np.int64), "listed"),
        numpy_helper.from_array(np.float32(1 / 255), "unit"),
        numpy_helper.from_array(np.float32(0), "none"),
    ]
    nodes, outputs = [], []
    for stride in (8, 16, 32):
        side = [stride, stride]
        nodes += [
            helper.make_node("AveragePool", ["input"], [f"mean{stride}"], kernel_shape=side, strides=side),
            helper.make_node("ReduceMean", [f"mean{stride}"], [f"grey{stride}"], axes=[1], keepdims=1),
            helper.make_node("Reshape", [f"grey{stride}", "listed"], [f"list{stride}"]),
            helper.make_node("Mul", [f"list{stride}", "unit" if stride == 8 else "none"], [f"cls_{stride}"]),
            helper.make_node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]),
            helper.make_node("Mul", [f"list{stride}", "nothing4"], [f"four{stride}"]),
            helper.make_node("Add", [f"four{stride}", "box"], [f"bbox_{stride}"]),
            helper.make_node("Mul", [f"list{stride}", "nothing10"], [f"ten{stride}"]),
            helper.make_node("Add", [f"ten{stride}", "points"], [f"kps_{stride}"]),
        ]
    for name, columns in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            shape = [1, None, columns]
            outputs.append(helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, shape))
    photo = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, None, None])
    graph = helper.make_graph(nodes, "blobs", [photo], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def test_yunet_boxes_and_landmarks_come_in_photo_pixels(tmp_path):
    blob_yunet(tmp_path / "yunet.onnx")
    photo = np.zeros((200, 320, 3), np.uint8)
    photo[80:88, 160:168] = 255
    (face,) = YuNetDetector(tmp_path / "yunet.onnx").detect(photo)
    assert face.box == pytest.approx((140, 60, 188, 108), abs=0.1)
    np.testing.assert_allclose(
        face.landmarks, [(152, 72), (176, 72), (164, 84), (152, 96), (176, 96)], atol=0.1
    )
    assert face.score == pytest.approx(1, abs=0.01)


def test_several_threads_share_a_yunet(tmp_path):
    blob_yunet(tmp_path / "yunet.onnx")
    detector = YuNetDetector(tmp_path / "yunet.onnx")
    photos = []
    for i in range(4):  # of different sizes
        photos.append(np.zeros((200 + 40 * i, 320 - 32 * i, 3), np.uint8))
        photos[-1][80:88, 160:168] = 255
    with ThreadPoolExecutor(4) as threads:
        assert {len(faces) for faces in threads.map(detector.detect, 10 * photos)} == {1}


def test_yunet_faces_of_a_large_photo_are_found_on_a_smaller_copy(tmp_path):
    blob_yunet(tmp_path / "yunet.onnx")
    photo = np.zeros((1200, 1600, 3), np.uint8)
    photo[800:816, 640:656] = 255
    (face,) = open_detector(tmp_path / "yunet.onnx").detect(photo)
    assert face.box == pytest.approx((600, 760, 696, 856), abs=0.1)
