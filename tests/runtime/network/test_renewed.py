"""The renewed loop (design §4): each pass encodes the present estimate, and r̄ is what is composed."""

import itertools
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from base.errors import BackendError
from engines.package import open_package
from portraits.aligned import AlignedPortraits
from runtime import Restorer, RestoreSettings, preset
from runtime.commands.report import describe_photo, describe_run, write_report
from runtime.faces.align import align
from runtime.faces.detect import open_detector
from runtime.faces.regions import region_weights
from runtime.network.backends import Backend, Move, open_backend
from runtime.network.degrade import degrade
from runtime.network.loop import AT_REST, DRAWING, LEAST, LoopResult, own_part, restore_crops
from runtime.network.schedule import gain, kappa, pass_schedule

GOLDEN = Path(__file__).parents[2] / "data" / "tiny64.npz"
PATIENT = RestoreSettings(budget=600)
S = 64

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def backend(renewed_package: Path) -> Iterator[Backend]:
    opened = open_backend("onnxruntime", open_package(renewed_package), device="cpu", threads=1)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def crop(portrait: NDArray[np.uint8]) -> Array:
    (face,) = open_detector().detect(portrait)
    return align(portrait, face, S).crop


@pytest.fixture(scope="module")
def crops(crop: Array) -> Array:
    return np.stack([crop, crop[:, ::-1], crop[::-1], crop**2])


@pytest.fixture
def marked(tiny_package: Path, tmp_path: Path) -> Path:
    """A package exported for another loop, in whose manifest somebody has written `renewed`."""
    return with_loop(tiny_package, tmp_path, "renewed")


def with_loop(package: Path, folder: Path, loop: str | None) -> Path:
    copy = Path(shutil.copytree(package, folder / "marked"))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"loop": loop}))
    return copy


def even(crops: Array, weight: float = 1) -> Array:
    return np.full(crops.shape[:3], weight, np.float32)


def restored_by(backend: Backend, u: Array) -> Array:
    """Return r = G(M(z), F) of (z, F) = E(u), S×S×3, not clipped."""
    state = backend.encode(np.ascontiguousarray(u.transpose(2, 0, 1)[None] * 2 - 1))
    backend.generate(state)
    return np.asarray((backend.restored(state)[0].transpose(1, 2, 0) + 1) / 2, np.float32)


def by_hand(
    backend: Backend, y: Array, rho: Array, eta: float, stretches: tuple[int, ...]
) -> tuple[Array, Array]:
    """Return u and r̄ after stretches of single steps, each towards what a pass makes of u at its start."""
    u = y
    for k in stretches:
        r = restored_by(backend, u)
        for _ in range(k):
            u = u + np.float32(eta) * rho[..., None] * (r - u)
    left = ((1 - eta * rho.astype(np.float64)) ** sum(stretches))[..., None]
    own = (u - left * y) / np.where(left < 1, 1 - left, 1)
    return u, np.asarray(np.clip(own, 0, 1), np.float32)


@pytest.mark.parametrize(("eta", "n", "s"), [(0.1, 8, 0.0), (0.04, 5, 0.5), (0.1, 3, 1.0)])
def test_with_a_pass_for_each_step_the_loop_is_direct_iteration(
    backend: Backend, crop: Array, eta: float, n: int, s: float
) -> None:
    rho = np.linspace(0.2, 2, S * S, dtype=np.float32).reshape(S, S)
    settings = RestoreSettings(degradation_scale=s, latent_step_decay=eta, iterations=n, budget=600)
    (result,) = restore_crops(backend, crop[None], rho[None], settings, epsilon=0, settled=0)
    _, expected = by_hand(backend, degrade(crop, s), rho, eta, (1,) * n)
    assert result.passes == n
    assert np.abs(result.restored - expected).max() < 1e-3


@pytest.mark.parametrize(("eta", "passes"), [(0.1, 5), (0.04, 4), (0.02, 3)])
def test_between_two_passes_the_steps_are_closed_form(
    backend: Backend, crop: Array, eta: float, passes: int
) -> None:
    rho = np.linspace(0.2, 2, S * S, dtype=np.float32).reshape(S, S)
    settings = replace(PATIENT, latent_step_decay=eta)
    (result,) = restore_crops(backend, crop[None], rho[None], settings, settled=0)
    _, expected = by_hand(backend, crop, rho, eta, pass_schedule(eta, 30).steps)
    assert (result.passes, result.steps, len(result.changes)) == (passes, 30, passes - 1)
    assert np.abs(result.restored - expected).max() < 1e-3


def test_what_each_pass_changed_is_relative_to_the_range_of_pixels(backend: Backend, crop: Array) -> None:
    (result,) = restore_crops(backend, crop[None], even(crop[None]), PATIENT, settled=0)
    estimates = [by_hand(backend, crop, even(crop[None])[0], 0.1, steps)[0] for steps in ((), (3,), (3, 4))]
    changes = [np.sqrt(np.mean((b - a) ** 2)) for a, b in itertools.pairwise(estimates)]
    assert result.changes[:2] == pytest.approx(changes, rel=1e-3)


def test_a_small_region_that_moves_does_not_settle_because_the_rest_stays(
    backend: Backend, crop: Array
) -> None:
    eye = np.zeros((1, S, S), np.float32)
    eye[:, 28:32, 20:28] = 1
    (result,) = restore_crops(backend, crop[None], eye, PATIENT, settled=0)
    u, _ = by_hand(backend, crop, eye[0], 0.1, (3,))
    moved = eye[0] > 0
    assert result.changes[0] == pytest.approx(float(np.sqrt(np.mean((u - crop)[moved] ** 2))), rel=1e-3)


def test_classic_is_the_published_single_pass(backend: Backend) -> None:
    golden = np.load(GOLDEN)
    crops = (golden["input"].transpose(0, 2, 3, 1) + 1) / 2
    expected = np.clip((golden["output"].transpose(0, 2, 3, 1) + 1) / 2, 0, 1)
    results = restore_crops(backend, crops, even(crops), preset("classic"))
    for result, picture in zip(results, expected, strict=True):
        assert np.abs(result.restored - picture).max() < 1e-4
        assert (result.passes, result.steps, result.changes) == (1, 1, ())


@pytest.mark.parametrize("options", [{"most": 1}, {"epsilon": 0.99}])
@pytest.mark.parametrize("weight", [1e-4, 0.3, 2])
def test_of_one_pass_the_picture_is_its_own(
    backend: Backend, crop: Array, options: dict[str, float], weight: float
) -> None:
    (result,) = restore_crops(backend, crop[None], even(crop[None], weight), PATIENT, **options)
    assert (result.passes, result.steps) == (1, 30)
    assert np.array_equal(result.restored, np.clip(restored_by(backend, crop), 0, 1))


pixels = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)


@given(
    st.floats(0.02, 0.1),
    st.integers(2, 60),
    st.lists(pixels, min_size=6, max_size=6),
    st.lists(st.floats(0, 2, width=32), min_size=4, max_size=4),
)
def test_the_estimate_is_its_own_part_and_what_is_left_of_the_crop(
    eta: float, n: int, pictures: list[list[float]], weights: list[float]
) -> None:
    """u_N = (1−κ) r̄ + κ y for every weight, and r̄ is a mean of the pictures it was moved towards."""
    rho = np.array(weights, np.float32)[None, None]
    y, *r = [np.full((1, 1, 4, 3), picture, np.float32) for picture in pictures]
    u, stretches = y, pass_schedule(eta, n).steps
    for picture, k in zip(r, stretches, strict=False):
        u = u + gain(eta * rho, k)[..., None] * (picture - u)
    left = kappa(eta, rho, n)[..., None]
    own = own_part(u, y, left)
    assert own.dtype == np.float32
    seen = [y, *r[: len(stretches)]]
    assert (own > np.min(seen, 0) - 1e-3).all()
    assert (own < np.max(seen, 0) + 1e-3).all()
    told = 1 - left > LEAST
    error = np.abs((1 - left) * own + left * y - u)
    assert error[np.broadcast_to(told, error.shape)].max(initial=0) < 1e-6
    assert error.max() < LEAST
    assert np.array_equal(own[np.broadcast_to(left == 1, own.shape)], y[np.broadcast_to(left == 1, y.shape)])


def test_a_region_of_weight_0_keeps_the_photo_and_the_rest_is_restored(
    renewed_package: Path, portrait: NDArray[np.uint8]
) -> None:
    photo = np.ascontiguousarray(portrait[40:168:2, 160:288:2])
    package = open_package(renewed_package)
    weights = {"hair": 0.0, "cheek": 0.0, "forehead": 0.02, "other": 0.0}
    with Restorer(package, open_backend("auto", package, threads=1), AlignedPortraits()) as restorer:
        untouched = restorer.restore(photo, replace(PATIENT, face_mask_weights={"face": 0.0}))
        result = restorer.restore(photo, replace(PATIENT, face_mask_weights=weights))
    (face,), (none,) = result.faces, untouched.faces
    assert np.array_equal(untouched.photo, photo)
    assert none.loop is not None
    assert (none.loop.passes, none.loop.changes) == (1, (0.0,))
    assert face.aligned is not None
    assert face.loop is not None
    assert face.loop.passes > 1
    assert np.isfinite(face.loop.restored).all()
    kept = region_weights(face.aligned, weights) == 0
    assert 0.1 < kept.mean() < 0.9
    assert np.array_equal(result.photo[kept], photo[kept])
    assert not np.array_equal(result.photo, photo)


def test_a_budget_that_runs_out_on_the_way_gives_what_the_steps_done_give(
    backend: Backend, crop: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fewer,) = restore_crops(backend, crop[None], even(crop[None]), replace(PATIENT, iterations=7), settled=0)
    seconds = itertools.count()
    # Each call of the clock is a second later.
    monkeypatch.setattr("runtime.network.loop.time.perf_counter", lambda: float(next(seconds)))
    settings = replace(PATIENT, budget=3.5)
    (result,) = restore_crops(backend, crop[None], even(crop[None]), settings, settled=0)
    assert (result.passes, result.steps, result.over_budget) == (2, 7, True)
    assert np.abs(result.restored - fewer.restored).max() < 1e-5


def test_a_budget_spent_in_the_first_pass_gives_its_picture(backend: Backend, crop: Array) -> None:
    (result,) = restore_crops(backend, crop[None], even(crop[None]), replace(PATIENT, budget=1e-9))
    assert (result.passes, result.steps, result.over_budget) == (1, 3, True)
    assert np.array_equal(result.restored, np.clip(restored_by(backend, crop), 0, 1))


def assert_the_same(result: LoopResult, alone: LoopResult) -> None:
    assert (result.passes, result.steps, result.over_budget) == (alone.passes, alone.steps, alone.over_budget)
    assert result.changes == pytest.approx(alone.changes, rel=1e-2, abs=1e-6)
    assert np.abs(result.restored - alone.restored).max() < 1e-3


def test_crops_come_out_of_a_batch_as_they_would_alone(backend: Backend, crops: Array) -> None:
    for result, one in zip(restore_crops(backend, crops, even(crops), PATIENT), crops, strict=True):
        (alone,) = restore_crops(backend, one[None], even(one[None]), PATIENT)
        assert_the_same(result, alone)


def test_a_crop_ends_where_it_would_alone_whenever_the_others_settle(backend: Backend, crops: Array) -> None:
    rho = np.stack([even(crops)[0] * weight for weight in (0, 0.3, 0.8, 2)])
    settings = replace(PATIENT, iterations=6)
    free = restore_crops(backend, crops, rho, settings, epsilon=0, settled=0)
    changes = sorted(change for result in free for change in result.changes)
    seen = set()
    for settled in [(a + b) / 2 for a, b in itertools.pairwise(changes) if b > 1.01 * a][::3]:
        options = {"epsilon": 0, "settled": settled}
        together = restore_crops(backend, crops, rho, settings, **options)
        for i, result in enumerate(together):
            part = slice(i, i + 1)
            assert_the_same(*restore_crops(backend, crops[part], rho[part], settings, **options), result)
        seen.add(tuple(result.passes for result in together))
    assert any(1 < min(passes[1:]) < max(passes) for passes in seen)


def test_a_settled_estimate_makes_the_steps_that_are_left(backend: Backend, crop: Array) -> None:
    free, rho = restore_crops(backend, crop[None], even(crop[None]), PATIENT, settled=0)[0], even(crop[None])
    settled = 1.0001 * min(free.changes)
    passes = 1 + next(i for i, change in enumerate(free.changes) if change < settled)
    (result,) = restore_crops(backend, crop[None], rho, PATIENT, settled=settled)
    steps = pass_schedule(0.1, 30).steps
    _, expected = by_hand(backend, crop, rho[0], 0.1, (*steps[: passes - 1], sum(steps[passes - 1 :])))
    assert (result.passes, result.steps) == (passes, 30)
    assert np.abs(result.restored - expected).max() < 1e-3


def test_weights_beyond_a_full_step_go_all_the_way_and_no_further(backend: Backend, crop: Array) -> None:
    settings = RestoreSettings(latent_step_decay=1, iterations=3, budget=600)
    (twice,) = restore_crops(backend, crop[None], even(crop[None], 2), settings)
    (once,) = restore_crops(backend, crop[None], even(crop[None]), settings)
    assert np.abs(twice.restored - once.restored).max() < 1e-5


def test_a_package_marked_by_hand_comes_to_the_same(backend: Backend, crops: Array, marked: Path) -> None:
    other = open_backend("onnxruntime", open_package(marked), device="cpu", threads=1)
    rho = np.stack([even(crops)[0] * weight for weight in (0, 0.3, 1, 2)])
    expected = restore_crops(backend, crops, rho, PATIENT, settled=0)
    for result, alone in zip(restore_crops(other, crops, rho, PATIENT, settled=0), expected, strict=True):
        assert_the_same(result, alone)
    other.close()


def test_a_package_exported_for_it_is_no_other(renewed_package: Path, tmp_path: Path) -> None:
    package = open_package(with_loop(renewed_package, tmp_path, None))
    with pytest.raises(BackendError, match="was exported with --loop renewed, and its manifest says moved"):
        open_backend("auto", package, threads=1)


def test_passes_write_into_the_same_arrays_again(renewed_package: Path, crops: Array) -> None:
    backend = open_backend("onnxruntime", open_package(renewed_package), device="cpu", threads=1)
    batch = np.ascontiguousarray(crops[:2].transpose(0, 3, 1, 2) * 2 - 1)
    kept = batch.copy()
    state = backend.encode(batch, [Move(np.full((2, 1, S, S), 0.3, np.float32), 0.3)])

    def places() -> set[int]:
        arrays = (state.estimate, state.next_estimate, state.w, state.next_w, state.restored, state.change)
        return {array.data_ptr() for array in (*arrays, *state.features.values())}

    before, first = places(), {name: value.numpy().copy() for name, value in state.features.items()}
    for _ in range(3):
        backend.generate(state)
        backend.step(state, 0)
    backend.generate(state)
    assert places() == before
    assert all(not np.array_equal(state.features[name].numpy(), value) for name, value in first.items())
    assert np.array_equal(batch, kept)
    backend.close()


def test_all_passes_are_made_and_the_report_has_what_each_changed(
    renewed_package: Path, portrait: NDArray[np.uint8], tmp_path: Path
) -> None:
    with Restorer.open(renewed_package, "onnxruntime", device="cpu", threads=1) as restorer:
        blurred = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 2))
        result = restorer.restore(blurred, PATIENT)
        described = describe_photo(Path("a"), Path("b"), result.faces, result.timings)
        header = describe_run(restorer, {"settings": {}})
        write_report(tmp_path / "report.json", header, {}, [described])
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["package"]["loop"] == "renewed"
    (face,) = told["photos"][0]["faces"]
    assert (face["passes"], face["progress"], face["latent_changes"]) == (5, 0.9576, [])
    assert len(face["estimate_changes"]) == 4
    assert all(0 < change < 1 for change in face["estimate_changes"])
    assert not np.array_equal(result.photo, blurred)


def test_a_held_package_takes_one_pass_whatever_its_latents_are(
    tiny_package: Path, tmp_path: Path, portrait: NDArray[np.uint8]
) -> None:
    with Restorer.open(with_loop(tiny_package, tmp_path, "held")) as restorer:
        (face,) = restorer.restore(portrait, PATIENT).faces
    assert face.loop is not None
    assert (face.loop.passes, face.loop.renewed) == (1, False)


def test_the_change_of_a_step_is_finite_whatever_moves(renewed_package: Path) -> None:
    step = open_package(renewed_package).graph("step")
    session = onnxruntime.InferenceSession(str(step), providers=["CPUExecutionProvider"])
    u, r = np.zeros((3, 3, S, S), np.float32), np.full((3, 3, S, S), 2, np.float32)
    gains = np.zeros((3, 1, S, S), np.float32)
    gains[1], gains[2, 0, 0, 0] = 0.25, 0.5
    moved, change = session.run(None, {"estimate": u, "restored": r, "picture_gain": gains})
    assert np.array_equal(moved, np.broadcast_to(2 * gains, moved.shape))
    assert change[:, 0] == pytest.approx([0, 0.25, 0.5])
    assert math.isfinite(change.sum())


class Fading:
    """A backend whose passes see each crop ever greyer."""

    max_batch, renews = 4, True

    def __init__(self, *shares: tuple[float, ...]) -> None:
        self._shares = np.asarray(shares, np.float32)
        """How grey each crop is after each pass: B×passes."""

    def encode(self, crops: Array, moves: Sequence[Move] = ()) -> dict[str, Any]:
        return {"crop": crops, "u": crops, "moves": moves, "passes": 0}

    def generate(self, state: dict[str, Any]) -> None:
        grey = self._shares[:, state["passes"], None, None, None]
        state["r"], state["passes"] = (1 - grey) * state["crop"], state["passes"] + 1

    def step(self, state: dict[str, Any], move: int) -> Array:
        state["u"] = state["u"] + state["moves"][move].picture_gain * (state["r"] - state["u"])
        return np.ones(len(state["u"]), np.float32)

    def restored(self, state: dict[str, Any]) -> Array:
        return np.asarray(state["r"])

    def estimate(self, state: dict[str, Any]) -> Array:
        return np.asarray(state["u"])

    def release(self, state: dict[str, Any]) -> None:
        state.clear()


def test_of_two_passes_each_picture_counts_for_the_share_of_the_way_that_it_begins(crop: Array) -> None:
    backend, rho = cast(Backend, Fading((0.1, 0.12))), np.linspace(0, 2, S * S, dtype=np.float32)
    (result,) = restore_crops(backend, crop[None], rho.reshape(1, S, S), PATIENT, most=2)
    after_three, at_the_end = kappa(0.1, rho.reshape(S, S, 1), 3), kappa(0.1, rho.reshape(S, S, 1), 30)
    share = (1 - after_three) / np.maximum(1 - at_the_end, LEAST)
    expected = 0.5 + (0.88 + 0.02 * share) * (crop - 0.5)
    assert result.passes == 2
    np.testing.assert_allclose(
        result.restored[rho.reshape(S, S) > 0.1], expected[rho.reshape(S, S) > 0.1], atol=1e-5
    )
    assert np.array_equal(result.restored[0, 0], crop[0, 0])


def test_a_face_that_has_nearly_arrived_ends_with_the_last_picture(crop: Array) -> None:
    class Slowing(Fading):
        def step(self, state: dict[str, Any], move: int) -> Array:
            super().step(state, move)
            return np.array([AT_REST, (AT_REST + DRAWING) / 2, DRAWING], np.float32)

    shares = (0.1, 0.11, 0.12, 0.13, 0.14)
    crops = np.stack([crop] * 3)
    results = restore_crops(cast(Backend, Slowing(*[shares] * 3)), crops, even(crops), PATIENT)
    arrived, between, drawing = (result.restored for result in results)
    np.testing.assert_allclose(arrived, 0.5 + 0.86 * (crop - 0.5), atol=1e-5)
    np.testing.assert_allclose(between, (arrived + drawing) / 2, atol=1e-5)
    u, left = np.zeros(1), 1.0
    for share, k in zip(shares, pass_schedule(0.1, 30).steps, strict=True):
        u = share + 0.9**k * (u - share)
        left *= 0.9**k
    np.testing.assert_allclose(drawing, 0.5 + (1 - u / (1 - left)) * (crop - 0.5), atol=1e-5)


def test_what_later_passes_would_spoil_stays_as_the_first_one_made_it(crop: Array) -> None:
    backend = cast(Backend, Fading((0.1, 0.3, 0.4, 0.5, 0.6), (0.1, 0.12, 0.1, 0.08, 0.1)))
    spoiled, kept = restore_crops(backend, np.stack([crop, crop]), even(np.stack([crop] * 2)), PATIENT)
    assert (spoiled.passes, spoiled.steps, kept.passes) == (1, 30, 5)
    np.testing.assert_allclose(spoiled.restored, 0.5 + 0.9 * (crop - 0.5), atol=1e-5)
    np.testing.assert_allclose(kept.restored, 0.5 + 0.9 * (crop - 0.5), atol=0.02)


def test_a_crop_that_settles_spoiled_is_the_first_pass_in_a_batch_as_it_is_alone(crop: Array) -> None:
    class Settling(Fading):
        def step(self, state: dict[str, Any], move: int) -> Array:
            changes = super().step(state, move)
            changes[0] = 0 if state["passes"] == 3 else 1
            return changes

    spoiled, kept = (0.1, 0.4, 0.5, 0.5, 0.5), (0.1,) * 5
    alone, together = (
        restore_crops(cast(Backend, Settling(*each)), crops, even(crops), PATIENT)
        for each in ((spoiled,), (spoiled, kept))
        for crops in [np.stack([crop] * len(each))]
    )
    assert [result.passes for result in (*alone, *together)] == [1, 1, 5]
    np.testing.assert_allclose(together[0].restored, alone[0].restored, atol=1e-5)
