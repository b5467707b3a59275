from hypothesis import given
from hypothesis import strategies as st

from engines.phases import Phases


def recorded():
    told = []
    return Phases(lambda phase, share: told.append((phase, share))), told


def test_the_innermost_phase_is_told_and_counts_within_its_parents():
    phases, told = recorded()
    phases.start("build", None, 4)
    phases.step("build", 0)
    phases.start("time", "build", 2)
    phases.step("time", 0)
    phases.finish("time")
    phases.finish("build")
    assert told == [("build", 0), ("build", 0.25), ("time", 0.25), ("time", 0.375), ("build", 0.375)]


@given(st.lists(st.tuples(st.sampled_from("sdf"), st.sampled_from("abc"), st.integers(-1, 9))))
def test_the_share_stays_within_bounds_and_never_falls(events):
    phases, told = recorded()
    for what, phase, number in events:
        if what == "s":
            phases.start(phase, None, number)
        elif what == "d":
            phases.step(phase, number)
        else:
            phases.finish(phase)
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
