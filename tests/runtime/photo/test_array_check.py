"""What a program hands over as a photo is refused in one line that says what it is, unless it is one."""

import numpy as np
import pytest
from PIL import Image

from engines.package import open_package
from runtime import GpenEdgeError, PhotoError, PixelsError, Restorer
from runtime.photo.array_check import check_pixels

RGB = np.zeros((40, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (RGB / 255.0, ("40×30×3 float64", "np.uint8")),
        (RGB.astype(np.float32), ("40×30×3 float32",)),
        (RGB.astype(np.float16), ("40×30×3 float16",)),
        (RGB[..., 0], ("40×30 uint8", "np.dstack")),
        (RGB[..., :1], ("40×30×1 uint8", "np.dstack")),
        (np.dstack([RGB, RGB[..., 0]]), ("40×30×4 uint8", "photo[..., :3]")),
        (RGB[..., :2], ("40×30×2 uint8", "three colours")),
        (RGB.transpose(2, 0, 1), ("3×40×30 uint8", "transpose(1, 2, 0)")),
        (RGB[None], ("1×40×30×3 uint8", "one photo")),
        (np.zeros((0, 30, 3), np.uint8), ("0×30×3 uint8", "empty")),
        (np.zeros((40, 0, 3), np.uint16), ("40×0×3 uint16", "empty")),
        (np.zeros((0,), np.uint8), ("0 uint8",)),
        (np.zeros((), np.uint8), ("a single number",)),
        (RGB.astype(np.int64), ("40×30×3 int64", "astype")),
        (RGB.astype(bool), ("40×30×3 bool",)),
        (RGB.astype(object), ("40×30×3 object",)),
        (RGB.astype(">u2"), ("40×30×3 >u2",)),
        (RGB.tolist(), ("of type list",)),
        (None, ("of type NoneType",)),
        ("photo.jpg", ("of type str",)),
        (Image.new("RGB", (30, 40)), ("a Pillow image", "np.asarray")),
        (Image.new("LA", (30, 40)), ("a Pillow image", 'convert("RGB")')),
    ],
)
def test_what_is_no_photo_is_refused_in_one_line(given, words):
    with pytest.raises(PixelsError) as caught:
        check_pixels(given)
    text = str(caught.value)
    assert "\n" not in text
    assert "H×W×3" in text
    for word in words:
        assert word in text


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_photos_pass(dtype):
    check_pixels(np.zeros((1, 1, 3), dtype))
    check_pixels(np.zeros((40, 30, 3), dtype)[::-1, :, ::-1])


def test_the_error_is_one_that_programs_expect():
    assert issubclass(PixelsError, PhotoError)
    assert issubclass(PixelsError, GpenEdgeError)
    assert issubclass(PixelsError, ValueError)


def test_restorer_refuses_before_it_works_and_takes_views_of_arrays(backend, tiny_package, portrait):
    from runtime.faces.detect import CenterFaceDetector

    restorer = Restorer(open_package(tiny_package), backend, CenterFaceDetector())
    for call in (restorer.restore, restorer.detect):
        with pytest.raises(PixelsError, match="float64"):
            call(portrait / 255)
    backwards = portrait[..., ::-1]  # as OpenCV reads it
    whole = restorer.restore(np.ascontiguousarray(backwards[..., ::-1]))
    view = restorer.restore(backwards[..., ::-1])
    assert len(view.faces) == 1
    np.testing.assert_array_equal(view.photo, whole.photo)
    assert len(restorer.restore(backwards[::-1][::-1]).faces) == 1
    frozen = portrait.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(restorer.restore(frozen).photo, whole.photo)
    negative = np.ascontiguousarray(portrait[:, ::-1, ::-1])[:, ::-1, ::-1]  # negative strides
    np.testing.assert_array_equal(restorer.restore(negative).photo, whole.photo)
