"""500 MF-NAS runs on a table of NAS-Bench-201's size, through the command, on one core.

    python -m benchmarks.mf_nas_runs [--runs 500]

`search.py --ss nb201 --optimizer MF-NAS` on a generated table with the rungs 12 to 200: each run walks over 2,000
zero-cost scores by local search, halves the best 32 networks over five fidelities, and is written to a file. Timed in
CPU seconds from the first run to the last file: reading the table and starting Python come before. The last line is
JSON; the exit status is 1 if it takes longer than the limit, or a run costs other epochs than the published 1,192.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

# Before NumPy loads its thread pool: the limit is for one core.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

from config_file.loader import parse
from config_file.run_folder import RunFolder
from search.foreign.mf_nas import command
from search.options import SearchOptions
from search.preparation import prepare
from search.runs import repeat
from search.tabular.files import write_benchmark
from search.tabular.generated import generate

LIMIT = 5.0  # seconds for 500 runs
EPOCHS = 1192


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=500, help="runs, each with its own seed (default: 500)")
    runs = parser.parse_args(argv).runs
    with tempfile.TemporaryDirectory() as folder:
        table, words = Path(folder, "table.npz"), ["--ss", "nb201", "--optimizer", "MF-NAS", "--n_run", str(runs)]
        write_benchmark(table, generate("nasbench201"))
        ours = command([*words, "--table", str(table), "--output", f"{folder}/search", "--no-tensorboard"])
        search = prepare(parse(SearchOptions, ours, "search.py", ""))
        with RunFolder.open(search.options) as run:
            began = time.process_time()
            repeat(search, run)
            took = time.process_time() - began
        written = Path(folder, "search", "runs.csv").read_text()
    epochs = {float(row["epochs"]) for row in csv.DictReader(written.splitlines())}
    seconds = took * 500 / runs
    ok = seconds <= LIMIT and epochs == {EPOCHS}
    print(f"{runs} runs in {took:.2f} s of CPU time, {1000 * took / runs:.2f} ms each, {sorted(epochs)} epochs")
    print(json.dumps({"benchmark": "mf_nas_runs", "seconds_for_500": round(seconds, 3), "limit": LIMIT, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
