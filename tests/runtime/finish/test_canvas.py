"""What restored faces are pasted into."""

import numpy as np
from numpy.typing import NDArray

from runtime.finish.canvas import enlarged


def test_the_canvas_is_a_copy_of_the_photo_enlarged(portrait: NDArray[np.uint8]) -> None:
    copy = enlarged(portrait, 1)
    assert np.array_equal(copy, portrait)
    assert not np.shares_memory(copy, portrait)
    assert enlarged(portrait, 2).shape == (2 * portrait.shape[0], 2 * portrait.shape[1], 3)
