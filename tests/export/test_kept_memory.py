import resource

import pytest
import torch

from base.malloc import glibc
from export.kept_memory import memory_kept


def page_faults() -> int:
    """Return how many pages the system clears for a tensor of 32 MB that is allocated four times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(glibc() is None, reason="glibc's malloc")
def test_freed_memory_is_used_again_within_the_block_alone():
    with memory_kept():
        page_faults()
        kept = page_faults()
    assert 2 * kept < page_faults()
