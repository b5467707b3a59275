import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.network.schedule import ROUNDING, gain, iterations_for, kappa, pass_schedule, progress

etas = st.floats(0.005, 1)
iterations = st.integers(1, 60)
epsilons = st.floats(0.01, 1)


@pytest.mark.parametrize(
    ("eta", "times", "steps"),
    [
        (0.1, (0, 3, 7, 13, 28), (3, 4, 6, 15, 2)),
        (0.04, (0, 6, 14, 25), (6, 8, 11, 5)),
        (0.02, (0, 12, 27), (12, 15, 3)),
    ],
)
def test_the_passes_of_the_design_page(eta, times, steps):
    schedule = pass_schedule(eta, 30)
    assert schedule.times == times
    assert schedule.steps == steps


@given(etas, iterations, st.integers(1, 6))
def test_a_schedule_cut_short_begins_like_the_whole_one_and_ends_with_it(eta, n, most):
    whole, cut = pass_schedule(eta, n), pass_schedule(eta, n, most=most)
    assert cut.times == whole.times[:most]
    assert sum(cut.steps) == n


def test_classic_is_one_pass_of_one_step():
    schedule = pass_schedule(1, 1)
    assert schedule.times == (0,)
    assert schedule.steps == (1,)


def test_a_step_that_reaches_the_threshold_exactly_calls_for_a_pass():
    assert pass_schedule(0.2, 30).times[1] == 1  # 1 − 0.8 is a little under 0.2 in floats


@given(etas, iterations, epsilons)
def test_the_steps_after_the_passes_lead_from_time_to_time_and_to_the_end(eta, n, epsilon):
    schedule = pass_schedule(eta, n, epsilon)
    assert schedule.times[0] == 0
    assert min(schedule.steps) >= 1
    assert tuple(np.cumsum(schedule.steps)) == (*schedule.times[1:], n)


@given(etas, iterations, epsilons)
def test_each_pass_comes_at_the_first_step_that_is_near_enough(eta, n, epsilon):
    times = pass_schedule(eta, n, epsilon).times
    remaining = (1 - eta) ** np.arange(n)
    for before, now in itertools.pairwise([*times, n]):
        assert all(remaining[before] - remaining[before + 1 : now] < epsilon)
    for before, now in itertools.pairwise(times):
        assert remaining[before] - remaining[now] >= epsilon - 2 * ROUNDING


@given(etas, iterations, epsilons)
def test_no_more_passes_than_thresholds_in_the_whole_way(eta, n, epsilon):
    assert len(pass_schedule(eta, n, epsilon).times) <= 1 + (1 + ROUNDING) / (epsilon - ROUNDING)


@given(etas, st.floats(0.01, 0.99))
def test_iterations_for_is_the_least_number_that_gets_there(eta, wanted):
    n = iterations_for(eta, wanted)
    assert progress(eta, n) >= wanted - 2 * ROUNDING
    assert n == 1 or progress(eta, n - 1) < wanted


def test_half_the_way_by_steps_of_two_percent_takes_35():
    assert progress(0.02, 30) < 0.5
    assert iterations_for(0.02, 0.5) == 35


@settings(deadline=None)
@given(st.floats(0.02, 0.1), st.integers(0, 30), st.integers(0, 30))
def test_the_gain_of_two_stretches_is_that_of_both_at_once(eta, one, other):
    eta_rho = np.float32(eta) * np.linspace(0, 2, 50, dtype=np.float32)
    left = (1 - gain(eta_rho, one)) * (1 - gain(eta_rho, other))
    np.testing.assert_allclose(left, 1 - gain(eta_rho, one + other), atol=1e-5)
    assert gain(eta_rho, one).dtype == np.float32


@given(st.floats(0.02, 0.1), st.integers(1, 30))
def test_kappa_falls_with_the_weight_and_weight_0_leaves_all_to_the_photo(eta, n):
    share = kappa(eta, np.linspace(0, 2, 50, dtype=np.float32), n)
    assert share.dtype == np.float32
    assert share[0] == 1
    assert (np.diff(share) < 0).all()
    assert share[-1] >= 0


def test_kappa_is_0_in_classic_and_never_outside_0_to_1():
    weights = np.array([[0, 0.5, 1], [1.5, 1.9, 2]], np.float32)
    assert kappa(1, weights, 1).tolist() == [[1, 0.5, 0], [0, 0, 0]]
