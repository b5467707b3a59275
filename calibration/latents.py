"""Where the latents of portraits lie, so that the runtime knows a face that is far from them."""

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration import moving
from calibration.damage import DAMAGES, damaged
from calibration.portraits import Crop, check_count, crops_of, pictures_in
from calibration.samples import SCALES
from engines.errors import PhotoError
from engines.package import LATENTS, MANIFEST, Latents, Package, manifest_bytes
from runtime.atomic import write_atomically
from runtime.backends import Backend, BatchLostError
from runtime.degrade import degrade
from runtime.detect import Detector
from runtime.domain import LIMIT, Spread, distance, normalised, spread_of

QUANTILES = ("0.5", "0.9", "0.99", LIMIT, "1")
FOLDS = 5
"""The distances are those of portraits to statistics of the other portraits, so many groups in turn."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is known of the latents of portraits."""

    mean: NDArray[np.float32]
    """D, of the normalised latents."""
    covariance: NDArray[np.float32]
    """D×D, shrunk."""
    portraits: int
    pictures: int
    shrinkage: float
    quantiles: dict[str, float]
    gain_of_moving: float = 0.0
    """dB, by moving the latent in the loop; in the renewed loop, by its further passes."""

    @property
    def held(self) -> bool:
        """Say whether the loop is to keep the first latent, unless it is the renewed loop."""
        return self.gain_of_moving < -moving.TOLERATED


def measure(
    backend: Backend,
    size: int,
    folder: Path,
    detector: Detector | None,
    *,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> Statistics:
    """Encode the faces of a folder, clean and damaged, and return the statistics of their latents.

    Of some of them also whether the loop gains by moving the latent.

    Users' photos are damaged; without damaged portraits each of them would be far from all portraits.

    size      S of the package
    detector  None when the pictures are aligned crops
    tick      called after each picture, and moving.STEPS times more

    Raises PhotoError when there are too few faces, or they cannot be told apart.
    """
    found: list[NDArray[np.float64]] = []
    portraits: list[Crop] = []
    for path in pictures_in(folder):
        for crop in crops_of(path, size, detector):
            if len(portraits) < moving.PORTRAITS:
                portraits.append(crop)
            found.append(normalised(_latents(backend, crop, np.random.default_rng((seed, len(found))))))
        tick()
    check_count(folder, len(found))
    spread = statistics(np.stack(found))
    gain = moving.gain_of_moving(backend, np.stack(portraits), seed, tick)
    return replace(spread, gain_of_moving=gain)


def statistics(latents: NDArray[np.float64]) -> Statistics:
    """Return the statistics of normalised latents, portraits × versions × D.

    Raises PhotoError when all portraits have the same latents.
    """
    portraits, versions, width = latents.shape
    if np.ptp(latents, axis=0).max() < 1e-6:
        raise PhotoError("the network cannot tell the portraits apart: give pictures of different people")
    mean, covariance, shrinkage = shrunk_covariance(latents.reshape(-1, width))
    unseen = []
    for fold in range(FOLDS):
        others = np.delete(latents, np.s_[fold::FOLDS], axis=0)
        unseen.append(distance(_spread(others.reshape(-1, width)), latents[fold::FOLDS]).ravel())
    levels = np.quantile(np.concatenate(unseen), [float(share) for share in QUANTILES])
    return Statistics(
        mean.astype(np.float32),
        covariance.astype(np.float32),
        portraits,
        portraits * versions,
        shrinkage,
        dict(zip(QUANTILES, np.round(levels, 6).tolist(), strict=True)),
    )


def shrunk_covariance(
    x: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return mean, covariance and shrinkage of samples, N×D.

    Of a few hundred portraits a covariance of width D is nearly singular, and its inverse would call any
    new face far. Shrunk towards the even one, by what makes the expected error least, it can be inverted
    whatever N is: O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance
    matrices", Journal of Multivariate Analysis 88, 2004, equations 14 to 16 and lemmas 3.2 to 3.4.
    """
    n, width = x.shape
    mean = x.mean(axis=0)
    centred = x - mean
    S = centred.T @ centred / n
    m = np.trace(S) / width
    even = m * np.eye(width)
    d2 = ((S - even) ** 2).sum()
    b2 = min(d2, ((centred**2).sum(axis=1) ** 2).sum() / n**2 - (S**2).sum() / n)
    shrinkage = float(b2 / d2) if d2 > 0 else 1.0
    return mean, shrinkage * even + (1 - shrinkage) * S, shrinkage


def write(package: Package, found: Statistics) -> None:
    """Write the statistics into a package, in place of older ones; until all is written these stay.

    Raises PhotoError when the package's folder cannot be written.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.vstack([found.mean, found.covariance]))
    digest = sha256(buffer.getvalue()).hexdigest()
    latents = Latents(
        file=f"{LATENTS}{digest[:12]}.npy",
        sha256=digest,
        portraits=found.portraits,
        pictures=found.pictures,
        shrinkage=round(found.shrinkage, 6),
        quantiles=found.quantiles,
        gain_of_moving=round(found.gain_of_moving, 2),
        held=found.held and package.manifest.loop_kind != "renewed",
    )
    with write_atomically(package.folder / latents.file) as file:
        file.write(buffer.getvalue())
    with write_atomically(package.folder / MANIFEST) as file:
        file.write(manifest_bytes(replace(package.manifest, latents=latents)))
    before = package.manifest.latents
    if before is not None and before.file != latents.file:
        (package.folder / before.file).unlink(missing_ok=True)


def _spread(x: NDArray[np.float64]) -> Spread:
    mean, covariance, _ = shrunk_covariance(x)
    return spread_of(mean, covariance)


def _latents(backend: Backend, crop: Crop, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the latents of a crop and its damaged versions: versions × D."""
    first = int(rng.integers(len(SCALES)))
    versions = [
        degrade(damaged(crop, damage, rng), SCALES[(first + i) % len(SCALES)])
        for i, damage in enumerate(DAMAGES)
    ]
    batch = np.ascontiguousarray(np.stack(versions).transpose(0, 3, 1, 2) * 2 - 1, np.float32)
    latents: list[NDArray[np.float32]] = []
    while len(latents) < len(batch):
        with suppress(BatchLostError):
            state = backend.encode(batch[len(latents) : len(latents) + backend.max_batch])
            latents += list(backend.first_latent(state))
            backend.release(state)
    return np.stack(latents)
