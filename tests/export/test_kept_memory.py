import resource

import pytest
import torch

from base.malloc import glibc
from export.kept_memory import memory_kept


def page_faults() -> int:
    """Return how many pages the system clears for a tensor of 40 MB that is allocated four times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(glibc() is None, reason="glibc's malloc")
def test_freed_memory_is_used_again_within_the_block_alone():
    with memory_kept():
        kept = min(page_faults() for _ in range(5))  # the first ones find the room
    assert 2 * kept < page_faults()
