"""Blur and compress a crop, so that fine texture and damage do not mislead the prior (design §4, D_s)."""

import cv2
import numpy as np

from runtime.pixels import Crop


def degrade(crop: Crop, scale: float) -> Crop:
    """Return D_s of a crop: a Gaussian blur of σ = s·S/512 pixels, then JPEG of quality round(95 − 15 s).

    crop   S×S×3 float32 in [0, 1], RGB; not changed
    scale  s, in [0.3, 1.2]; at 0 the crop itself is returned
    """
    if scale == 0:
        return crop
    blurred = cv2.GaussianBlur(crop, (0, 0), scale * len(crop) / 512)
    return _through_jpeg(np.asarray(blurred, np.float32), quality=round(95 - 15 * scale))


def _through_jpeg(crop: Crop, quality: int) -> Crop:
    pixels = np.rint(np.clip(crop, 0, 1) * 255).astype(np.uint8)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.float32) / 255
    return np.ascontiguousarray(decoded[..., ::-1], np.float32)
