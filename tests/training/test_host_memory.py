"""Freed memory is kept: blocks that come and go are not mapped anew."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from training.host_memory import keep_freed_memory
kept = keep_freed_memory()
np.ones(8_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8_000_000)  # 64 MB
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> tuple[bool, int]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", PROGRAM]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=inherited | environment).stdout
    kept, count = output.split()
    return kept == "True", int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_blocks_that_come_and_go_are_mapped_once():
    # Ten blocks of 64 MB; a page is at most 2 MB where the kernel uses huge ones, and 4 kB elsewhere.
    left_alone, mapped_anew = faults(MALLOC_ARENA_MAX="2")
    kept, mapped_once = faults()
    assert (left_alone, kept) == (False, True)
    assert mapped_once < mapped_anew / 10
