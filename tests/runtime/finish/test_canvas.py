"""What restored faces are pasted into."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import Restorer, RestoreSettings
from runtime.finish import canvas
from runtime.finish.canvas import Enhancer, canvas_of, enlarged
from runtime.finish.paste import face_rectangle
from runtime.pixels import Pixels


def inverted(photo: Pixels, factor: int) -> Pixels:
    return 255 - np.repeat(np.repeat(photo, factor, 0), factor, 1)


def test_without_an_enhancer_the_rest_is_the_photo(portrait: NDArray[np.uint8]) -> None:
    assert canvas_of(portrait, RestoreSettings()) is None
    copy = enlarged(portrait, 1)
    assert np.array_equal(copy, portrait)
    assert not np.shares_memory(copy, portrait)
    assert enlarged(portrait, 2).shape == (2 * portrait.shape[0], 2 * portrait.shape[1], 3)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("grey", [False, True])
def test_an_enhancer_makes_the_rest_of_the_photo_and_the_faces_are_as_before(
    tiny_package: Path,
    portrait: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    factor: int,
    grey: bool,
) -> None:
    photo = np.repeat(portrait[..., 1:2], 3, axis=2) if grey else portrait
    settings = RestoreSettings(upscale=factor, budget=600)  # type: ignore[arg-type]
    with Restorer.open(tiny_package, threads=1) as restorer:
        plain = restorer.restore(photo, settings)
        row = Enhancer("face", inverted)  # a field that is always true
        monkeypatch.setattr(canvas, "ENHANCERS", (row,))
        enhanced = restorer.restore(photo, settings)
    (face,) = enhanced.faces
    assert face.aligned is not None
    x0, y0, x1, y1 = (factor * side for side in face_rectangle(face.aligned, photo.shape))
    outside = np.ones(enhanced.photo.shape[:2], bool)
    outside[max(0, y0 - 8) : y1 + 8, max(0, x0 - 8) : x1 + 8] = False
    assert np.array_equal(enhanced.photo[outside], inverted(photo, factor)[outside])
    middle = np.s_[(y0 + y1) // 2 - 5 : (y0 + y1) // 2 + 5, (x0 + x1) // 2 - 5 : (x0 + x1) // 2 + 5]
    assert np.abs(enhanced.photo[middle].astype(int) - plain.photo[middle]).max() <= 1
