"""Square pictures to calibrate with."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight different square pictures of a face."""
    folder = tmp_path_factory.mktemp("faces")
    portrait = astronaut()
    for i in range(8):
        light = np.clip(portrait[:300, 80:380] * (0.6 + 0.06 * i), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(light, 7 * i, axis=1)[..., ::-1])
    return folder
