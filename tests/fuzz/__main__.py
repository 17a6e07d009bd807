"""python -m tests.fuzz --count 10000 --seed 0 [--kind NAME ...]: the long form of test_fuzz.py; prints a table.

Each damaged file is a function of its seed: `--kind NAME --seed S --count 1` makes one again and shows its traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

from tests.fuzz.fuzz import Count, damaged, fuzz
from tests.fuzz.kinds import KINDS
from tests.fuzz.world import make_world

COLUMNS = ("tried", "one line", "accepted", "tracebacks", "hangs", "wrong")
STEP = 20  # files between two looks at the clock


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first one")
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each kind; it then ends early")
    parser.add_argument("--memory", type=float, default=10, help="GiB of address space; more is a MemoryError")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (int(options.memory * 2**30),) * 2)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with redirect_stdout(io.StringIO()):  # the stages' own words
            space = make_world(Path())
        print(f"| file | {' | '.join(COLUMNS)} | s |\n|---|{'---|' * (len(COLUMNS) + 1)}", flush=True)
        for name in options.kind:
            began, total, end = time.perf_counter(), Count(), options.seed + options.count
            for start in range(options.seed, end, STEP):
                total = total + fuzz(KINDS[name], space, range(start, min(start + STEP, end)))
                if time.perf_counter() - began > options.seconds:
                    break
            found = (total.tracebacks, total.hangs, total.wrong)
            numbers = [total.tried, total.refused, total.accepted, *map(len, found)]
            print(f"| {name} | {' | '.join(map(str, numbers))} | {time.perf_counter() - began:.0f} |", flush=True)
            for line in total.bad:
                print(f"{name}, {line}", file=sys.stderr, flush=True)
            lines += total.bad
            if options.count == 1:
                path = Path(KINDS[name].file)
                path.write_bytes(damaged(KINDS[name], path.read_bytes(), options.seed))
                KINDS[name].read(path, space)
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
