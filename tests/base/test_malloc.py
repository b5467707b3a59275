import os
import subprocess
import sys

import pytest

from base.malloc import glibc

HEAPS = """
import ctypes, os, sys, threading
from base.malloc import glibc, share_freed_memory


share_freed_memory()
libc = glibc()
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
together, places = threading.Barrier(8), []

def allocate():
    together.wait()
    places.append(libc.malloc(1000) >> 26)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(len(set(places)))
"""
"""Prints in how many heaps, each 64 MiB, eight threads were given memory."""


@pytest.mark.skipif(glibc() is None, reason="glibc's malloc")
def test_threads_share_the_memory_that_they_free():
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", HEAPS], capture_output=True, text=True, check=True, env=environment
    )
    assert int(done.stdout) <= 3
