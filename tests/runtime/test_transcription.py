"""The loop and the composition against design §4, written down as it stands there."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.package import open_package
from portraits.aligned import AlignedPortraits
from runtime import Restorer, RestoreSettings
from runtime.faces.head import head_shape
from runtime.faces.regions import region_weights
from runtime.finish.compose import compose
from runtime.finish.hand_back import HandBack
from runtime.finish.paste import FEATHER, paste_all
from runtime.network.backends import Backend, open_backend
from runtime.network.degrade import degrade
from runtime.network.loop import restore_crops
from runtime.network.schedule import kappa

S = 64
Array = NDArray[np.float32]


@pytest.fixture
def crop(portrait: NDArray[np.uint8]) -> Array:
    return portrait[40:168:2, 160:288:2].astype(np.float32) / 255


@pytest.mark.parametrize(("eta", "N", "s"), [(0.1, 8, 1.0), (0.04, 5, 0.5), (1.0, 3, 0.0)])
def test_with_a_pass_for_each_step_the_loop_is_the_pseudo_code(
    backend: Backend, crop: Array, eta: float, N: int, s: float
) -> None:
    rho = np.linspace(0, 1, S * S, dtype=np.float32).reshape(S, S)
    expected = transcription(backend, crop, rho, s, eta, N)
    settings = RestoreSettings(degradation_scale=s, latent_step_decay=eta, iterations=N, budget=600)
    (result,) = restore_crops(backend, crop[None], rho[None], settings, epsilon=0, settled=0)
    assert result.passes == N
    assert np.abs(result.restored - expected).max() < 1e-4


def transcription(backend: Backend, x: Array, rho: Array, s: float, eta: float, N: int) -> Array:
    """u₀ = D_s(x); (z₀, F) = E(u₀); w₀ = M(z₀); for t: r = G(w_t, F), then u and w move by η."""
    u = degrade(x, s)
    state = encoded(backend, u)
    w = state.w.numpy().copy()
    for t in range(N):
        state.w.update_inplace(w)
        backend.generate(state)
        r = (backend.restored(state)[0].transpose(1, 2, 0) + 1) / 2
        if t == N - 1:
            break
        u = u + np.float32(eta) * rho[..., None] * (r - u)
        w = w + np.float32(eta) * (encoded(backend, u).w.numpy() - w)
    return np.asarray(np.clip(r, 0, 1), np.float32)


def encoded(backend: Backend, u: Array):  # type: ignore[no-untyped-def]
    return backend.encode(np.ascontiguousarray(u.transpose(2, 0, 1)[None] * 2 - 1))


@pytest.mark.parametrize("weights", [{}, {"eye": 1.5, "hair": 0.0, "cheek": 0.4}])
def test_without_coring_the_face_in_the_photo_is_the_formula(
    tiny_package: Path, crop: Array, weights: dict[str, float]
) -> None:
    """photo′ = r + (1−ηρ)^N (photo − r), to the rounding of 8 bits, where the paste is whole."""
    photo = np.rint(crop * 255).astype(np.uint8)
    settings = RestoreSettings(latent_step_decay=0.04, face_mask_weights=weights, budget=600)
    package = open_package(tiny_package)
    with Restorer(package, open_backend("auto", package, threads=1), AlignedPortraits()) as restorer:
        (face,) = restorer.restore(photo, settings).faces
    assert face.aligned is not None
    assert face.loop is not None
    rho = region_weights(face.aligned, weights)
    r, own = face.loop.restored.astype(np.float64), photo / 255
    formula = r + (1 - 0.04 * rho[..., None].astype(np.float64)) ** 30 * (own - r)

    left = kappa(0.04, rho, 30)
    composed = compose(own.astype(np.float32), face.loop.restored, left, 0)
    np.testing.assert_allclose(composed, formula, atol=1e-5)
    inside = head_shape(face.aligned) == 1
    margin = int(np.ceil(FEATHER * S))
    inside[[*range(margin), *range(S - margin, S)]] = False
    assert inside.mean() > 0.2
    paste_all(photo, [(face.aligned, face.loop.restored)], [HandBack(left, sigma=0)])
    assert np.abs(photo[inside] - 255 * formula[inside]).max() < 0.5 + 1e-3
