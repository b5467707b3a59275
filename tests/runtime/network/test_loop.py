"""The latent-decay loop through real graphs: what it computes, and when it stops."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import RestoreSettings, preset
from runtime.faces.align import align
from runtime.faces.detect import open_detector
from runtime.network.backends import Backend
from runtime.network.degrade import degrade
from runtime.network.loop import restore_crops
from runtime.network.schedule import pass_schedule

GOLDEN = Path(__file__).parents[2] / "data" / "tiny64.npz"
PATIENT = RestoreSettings(budget=600)

Array = NDArray[np.float32]


@pytest.fixture
def crop(portrait: NDArray[np.uint8]) -> Array:
    (face,) = open_detector().detect(portrait)
    return align(portrait, face, 64).crop


def ones(crops: Array) -> Array:
    return np.ones(crops.shape[:3], np.float32)


def test_classic_settings_equal_the_published_single_pass(backend: Backend) -> None:
    golden = np.load(GOLDEN)
    crops = (golden["input"].transpose(0, 2, 3, 1) + 1) / 2
    results = restore_crops(backend, crops, ones(crops), preset("classic"))
    expected = np.clip((golden["output"].transpose(0, 2, 3, 1) + 1) / 2, 0, 1)
    for result, picture in zip(results, expected, strict=True):
        assert np.abs(result.restored - picture).max() < 1e-4
        assert (result.passes, result.steps, result.changes) == (1, 1, ())


def test_the_loop_is_the_iteration_of_the_design_done_step_by_step(backend: Backend, crop: Array) -> None:
    """The closed form over a pass's steps equals the page's loop, with r and w* frozen between passes."""
    settings = replace(PATIENT, degradation_scale=1, iterations=6)
    rho = np.linspace(0, 2, 64 * 64, dtype=np.float32).reshape(64, 64)
    (result,) = restore_crops(backend, crop[None], rho[None], settings)

    eta = settings.latent_step_decay
    schedule = pass_schedule(eta, 6)
    u = degrade(crop, settings.degradation_scale)
    state = _encoded(backend, u)
    for j, k in enumerate(schedule.steps):
        backend.generate(state)
        r = (backend.restored(state)[0].transpose(1, 2, 0) + 1) / 2
        if j == len(schedule.steps) - 1:
            break
        for _ in range(k):
            u = u + eta * rho[..., None] * (r - u)
        target, w = _encoded(backend, u).w.numpy(), state.w.numpy().copy()
        for _ in range(k):
            w = w + eta * (target - w)
        state.w.update_inplace(w)
    assert result.passes == len(schedule.times) == 2
    assert np.abs(result.restored - np.clip(r, 0, 1)).max() < 1e-3


def test_a_latent_that_is_held_takes_one_pass_and_all_steps(backend: Backend, crop: Array) -> None:
    (held,) = restore_crops(backend, crop[None], ones(crop[None]), PATIENT, most=1)
    (first,) = restore_crops(backend, crop[None], ones(crop[None]), replace(PATIENT, iterations=1))
    assert (held.passes, held.steps) == (1, PATIENT.iterations)
    assert np.array_equal(held.restored, first.restored)


def test_standard_settings_take_at_most_five_passes(backend: Backend, crop: Array) -> None:
    (result,) = restore_crops(backend, crop[None], ones(crop[None]), PATIENT)
    assert 1 < result.passes <= 5
    assert result.steps == 30
    assert not result.over_budget


def test_crops_come_out_of_a_batch_as_they_would_alone(backend: Backend, crop: Array) -> None:
    crops = np.stack([crop, crop[:, ::-1], crop[::-1], crop**2, crop[::-1, ::-1]])
    together = restore_crops(backend, crops, ones(crops), PATIENT)
    assert len(crops) > backend.max_batch
    for result, one in zip(together, crops, strict=True):
        (alone,) = restore_crops(backend, one[None], ones(one[None]), PATIENT)
        assert np.abs(result.restored - alone.restored).max() < 1e-3


def test_a_spent_budget_stops_between_passes_and_still_returns_a_face(backend: Backend, crop: Array) -> None:
    (result,) = restore_crops(backend, crop[None], ones(crop[None]), replace(PATIENT, budget=1e-9))
    (first,) = restore_crops(backend, crop[None], ones(crop[None]), replace(PATIENT, iterations=1))
    assert (result.passes, result.over_budget) == (1, True)
    assert result.steps == pass_schedule(0.1, 30).times[1]
    assert np.array_equal(result.restored, first.restored)


def test_a_latent_that_has_arrived_needs_no_further_pass(backend: Backend, crop: Array) -> None:
    # With all weights 0 the estimate stays the photo, so its latent is where it was from the start.
    settings = replace(PATIENT, degradation_scale=0.0)
    (result,) = restore_crops(backend, crop[None], np.zeros((1, 64, 64), np.float32), settings)
    assert result.passes == 1
    assert result.steps == 30
    assert result.changes[0] < 1e-3


class SideBySide:
    """A backend that takes one crop at a time, in two threads at once."""

    max_batch = 1

    def __init__(self, backend: Backend) -> None:
        self._backend, self.begun, self.may_go_on = backend, 0, threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def for_group(self, faces: int) -> tuple[Backend, int]:
        return cast(Backend, self), 2

    def encode(self, crops: Array, moves: Any = ()) -> Any:
        self.begun += 1
        if self.begun > 4:
            self.may_go_on.wait()
        return self._backend.encode(crops, moves)


def test_crops_side_by_side_come_out_in_order_as_they_would_alone(backend: Backend, crop: Array) -> None:
    crops, done = np.stack([crop, crop[::-1], crop[:, ::-1]]), list[int]()
    beside = cast(Backend, SideBySide(backend))
    results = restore_crops(beside, crops, ones(crops), PATIENT, done=done.append)
    for result, one in zip(results, crops, strict=True):
        (alone,) = restore_crops(backend, one[None], ones(one[None]), PATIENT)
        assert np.abs(result.restored - alone.restored).max() < 1e-3
    assert done == [1, 1, 1]


def test_a_group_that_is_cancelled_begins_no_further_face(backend: Backend, crop: Array) -> None:
    beside, crops = SideBySide(backend), np.stack([crop] * 60)

    def cancel(count: int) -> None:
        beside.may_go_on.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_crops(cast(Backend, beside), crops, ones(crops), PATIENT, done=cancel)
    assert 0 < beside.begun < len(crops)


def _encoded(backend: Backend, crop: Array) -> Any:
    return backend.encode(np.ascontiguousarray(crop.transpose(2, 0, 1)[None] * 2 - 1))
