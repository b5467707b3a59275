"""Inputs for measuring a package's networks: crops of portraits, from clean to badly damaged."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portraits.damage import DAMAGES, damaged
from portraits.reading import LEAST, check_count, crops_of, pictures_in
from runtime.faces.detect import Detector
from runtime.network.degrade import degrade
from runtime.pixels import Crop

Sample = NDArray[np.float32]
"""1×3×S×S in [−1, 1], RGB."""

SCALES = (0.0, 1.0)
"""Degradation scales s: the presets encode the crop unchanged, a user may request a blurred one."""


def samples(
    folder: Path,
    size: int,
    detector: Detector | None,
    *,
    limit: int,
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Sample]:
    """Yield one sample for each of `limit` faces of a folder, or for all if there are fewer.

    The kinds of damage alternate, with and without the degradation before the encoder. The same folder and
    seed give the same samples in the same order.

    size      S of the package
    detector  None if the pictures are aligned crops
    tick      called after each sample

    Raises PhotoError, before the last sample, if there are too few faces.
    """
    paths = pictures_in(folder, least=LEAST)
    found = 0
    for i in np.random.default_rng(seed).permutation(len(paths)):
        for crop in crops_of(paths[i], size, detector):
            if found == limit:
                return
            yield _sample(crop, found, np.random.default_rng((seed, found)))
            found += 1
            tick()
    check_count(folder, found)


def _sample(crop: Crop, index: int, rng: np.random.Generator) -> Sample:
    damage = DAMAGES[index % len(DAMAGES)]
    scale = SCALES[index // len(DAMAGES) % len(SCALES)]
    version = degrade(damaged(crop, damage, rng), scale)
    return np.ascontiguousarray(version.transpose(2, 0, 1)[None] * 2 - 1, np.float32)
