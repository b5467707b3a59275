"""How far latents are from those of portraits, and what becomes of damaged statistics."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.errors import PackageError
from engines.package import Latents, Manifest, Package, open_package
from runtime.domain import Domain, distance, is_far, open_domain, spread_of

WIDTH = 12


@pytest.fixture
def domain() -> Domain:
    covariance = np.diag(np.linspace(0.01, 0.2, WIDTH))
    return Domain(spread_of(np.ones(WIDTH) / 2, covariance), limit=2.0)


def test_the_distance_is_that_of_mahalanobis_of_the_normalised_latent(domain: Domain) -> None:
    z = np.random.default_rng(0).normal(size=(5, WIDTH)).astype(np.float32)
    unit = z / np.sqrt((z**2).mean(axis=1, keepdims=True))
    expected = np.sqrt((((unit - 0.5) ** 2) / np.linspace(0.01, 0.2, WIDTH)).mean(axis=1))
    assert distance(domain.spread, z) == pytest.approx(expected, rel=1e-4)
    assert distance(domain.spread, 7 * z) == pytest.approx(expected, rel=1e-4)


def test_a_latent_beyond_the_limit_is_far_and_one_that_is_no_number_too(domain: Domain) -> None:
    near = np.ones(WIDTH, np.float32)
    assert not is_far(Domain(domain.spread, 1e6), near)
    assert is_far(domain, -near)
    assert is_far(domain, np.full(WIDTH, np.nan, np.float32))
    assert not is_far(None, -near)


def test_a_package_without_statistics_has_no_domain(tiny_package: Path) -> None:
    assert open_domain(open_package(tiny_package)) is None


@pytest.mark.parametrize(
    "rows",
    [np.zeros((3, 3), np.float32), None, "nan", "singular"],
)
def test_damaged_statistics_are_one_clear_error(tiny_package: Path, tmp_path: Path, rows: object) -> None:
    opened = open_package(tiny_package)
    width = opened.manifest.style_dim
    file = tmp_path / "latents-0.npy"
    if rows is None:
        file.write_bytes(b"no array")
    elif isinstance(rows, np.ndarray):
        np.save(file, rows)
    else:
        np.save(file, np.full((width + 1, width), np.nan if rows == "nan" else 1.0, np.float32))
    latents = Latents("latents-0.npy", "", 8, 32, 0.1, {"0.995": 2.0})
    manifest: Manifest = replace(opened.manifest, latents=latents)
    with pytest.raises(PackageError, match="holds no latent statistics"):
        open_domain(Package(tmp_path, manifest))
