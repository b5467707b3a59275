"""What a package's networks are fed when they are measured: crops of portraits, clean to badly damaged."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portraits.damage import DAMAGES, damaged
from portraits.reading import LEAST, Crop, check_count, crops_of, pictures_in
from runtime.faces.detect import Detector
from runtime.network.degrade import degrade

Sample = NDArray[np.float32]
"""1×3×S×S in [−1, 1], RGB."""

SCALES = (0.0, 1.0)
"""Degradation scales s: the presets encode the crop as it is, a user may ask for a blurred one."""


def samples(
    folder: Path,
    size: int,
    detector: Detector | None,
    *,
    limit: int,
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Sample]:
    """Yield one sample of each of `limit` faces of a folder, or of all if there are fewer.

    Every kind of damage comes up in turn, with and without the degradation before the encoder. The same
    folder and seed give the same samples in the same order.

    size      S of the package
    detector  None when the pictures are aligned crops
    tick      called after each sample

    Raises PhotoError when there are too few faces, before the last one is given.
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
