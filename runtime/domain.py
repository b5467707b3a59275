"""How far a face is from the portraits that a package's model is known to serve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import PackageError
from engines.package import Package

LIMIT = "0.995"
"""A face farther off than this share of portraits is out of domain."""


@dataclass(frozen=True, eq=False)
class Spread:
    """Where the normalised latents of portraits lie."""

    mean: NDArray[np.float64]
    """D"""
    whitening: NDArray[np.float64]
    """D×D: takes a difference from the mean to one whose every direction has variance 1."""


@dataclass(frozen=True)
class Domain:
    """The portraits of a package, and how far from them is too far."""

    spread: Spread
    limit: float


def open_domain(package: Package) -> Domain | None:
    """Read a package's latent statistics, or None when it has none. Raises PackageError for damaged ones."""
    latents = package.manifest.latents
    if latents is None:
        return None
    width = package.manifest.style_dim
    try:
        rows = np.load(package.folder / latents.file, allow_pickle=False)
        if rows.shape != (width + 1, width) or not np.isfinite(rows).all():
            raise ValueError(f"it should be {width + 1}×{width} finite numbers")
        return Domain(spread_of(rows[0], rows[1:]), latents.quantiles[LIMIT])
    except (OSError, ValueError, KeyError, TypeError, np.linalg.LinAlgError) as error:
        raise PackageError(
            f"package {package.folder}: {latents.file} holds no latent statistics ({error}): "
            "run python -m calibration latents again"
        ) from error


def spread_of(mean: NDArray[np.floating], covariance: NDArray[np.floating]) -> Spread:
    """Return the spread of a mean, D, and a positive definite covariance, D×D. Raises LinAlgError."""
    root = np.linalg.cholesky(covariance.astype(np.float64))
    return Spread(mean.astype(np.float64), np.asarray(np.linalg.inv(root), np.float64))


def normalised(z: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return latents of mean square 1, …×D: what the mapping sees of them (design §3)."""
    z = z.astype(np.float64)
    return np.asarray(z / np.sqrt((z**2).mean(axis=-1, keepdims=True) + 1e-8))


def distance(spread: Spread, z: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how far latents lie from the portraits: the Mahalanobis distance over √D, near 1 for a portrait.

    P. C. Mahalanobis, "On the generalised distance in statistics", 1936.

    z  …×D as the encoder returns them
    """
    away = (normalised(z) - spread.mean) @ spread.whitening.T
    return np.asarray(np.sqrt((away**2).mean(axis=-1)))


def is_far(domain: Domain | None, z: NDArray[np.floating]) -> bool:
    """Return whether a face's latent, D, is farther from the portraits than they are from each other."""
    return domain is not None and not float(distance(domain.spread, z)) <= domain.limit
