import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import EngineError
from engines.gpu import Gpu, find_gpu
from engines.targets import AMPERE_PLUS, check_targets, covers, of_gpu, parse_targets

CAPABILITIES = st.sampled_from([(7, 5), (8, 0), (8, 6), (8, 7), (8, 9), (9, 0), (10, 0), (12, 0)])


def test_targets_are_sorted_by_number_and_named_once():
    assert parse_targets(" SM_120,sm_75, sm_89,sm_75,") == ("sm_75", "sm_89", "sm_120")


@pytest.mark.parametrize("text", ["", ",", "89", "sm_8", "sm_89 sm_86", "sm_89;sm_86", "ada", "sm_８９"])
def test_what_is_no_list_of_targets_is_refused(text):
    with pytest.raises(EngineError, match=r"compute capabilities, such as sm_"):
        parse_targets(text)


def test_an_unknown_target_is_refused_with_those_that_are_known():
    check_targets(("sm_89",), ("sm_120", "sm_89"))
    with pytest.raises(EngineError, match=r"cannot build for sm_70: it knows sm_89, sm_120"):
        check_targets(("sm_89", "sm_70"), ("sm_120", "sm_89"))


@given(CAPABILITIES, CAPABILITIES)
def test_a_target_covers_the_gpus_it_names(mine, other):
    gpu = Gpu("NVIDIA A", mine, 20)
    assert covers(gpu.sm, gpu)
    assert covers(of_gpu(gpu), gpu)
    assert not covers(of_gpu(gpu), Gpu("NVIDIA B", mine, 20))
    assert not covers(of_gpu(gpu), Gpu("NVIDIA A", mine, 40))
    assert covers(Gpu("", other, 20).sm + ",sm_75", gpu) == (mine in (other, (7, 5)))
    assert covers(AMPERE_PLUS, gpu) == (mine != (7, 5))


def test_a_machine_without_that_gpu_is_no_error():
    assert find_gpu(10_000) is None
