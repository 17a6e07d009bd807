"""Ask glibc to keep freed memory instead of returning it to the system after each step.

By default it gives large blocks back to the system at once. The activations of every step are then mapped and zeroed
again, page by page (what that costs: `python -m benchmarks.host_memory`).
"""

import ctypes
import os
import platform

# From <malloc.h>: what may stay free at the top, what is asked for at once, from which size a block is mapped apart.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 2**31 - 1
_SETTINGS = {_MMAP_THRESHOLD: 2**30, _TRIM_THRESHOLD: _LARGEST, _TOP_PAD: 2**26}


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory in this process; returns whether it does.

    It is left alone where it is not glibc, and where the user has set it by an environment variable (MALLOC_..._). The
    process holds its highest amount of memory until it ends.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in _SETTINGS.items())
