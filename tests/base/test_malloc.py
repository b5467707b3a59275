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


FREED = """
import resource
from base.malloc import return_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

blocks = [bytearray(b"x" * 100_000) for _ in range(1000)]
last = blocks[-1]
del blocks
before = resident()
return_freed_memory()
print(before - resident())
"""
"""Prints how many bytes went back to the system of 100 MB that were freed below what is in use."""


@pytest.mark.skipif(glibc() is None, reason="glibc's malloc")
def test_freed_memory_is_returned() -> None:
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 80e6
