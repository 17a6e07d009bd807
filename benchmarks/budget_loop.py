"""The search loop under a budget: what charging, schedules and the archive cost beside the evaluations.

    python -m benchmarks.budget_loop [--architectures 2000]

Random architectures of a generated table of learning curves (five rungs, 12 to 200 epochs), halved, in hyperband's
brackets and by ASHA, with an archive on disk that is flushed after every result. In CPU seconds of one thread. The last
line is JSON; the exit status is 1 if an evaluation takes longer than the limit in any of them.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

# Before NumPy loads its thread pool: the limit is for one core.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

from lookup_tables.limits import Limits
from search import engine
from search.archive import Archive
from search.ledger import Ledger, Stop
from search.objectives import ACCURACY
from search.problem import Problem
from search.result import Fidelity, Result
from search.schedules import make_schedule
from search.strategies.random_search import RandomOptions, RandomSearch
from supernet import Architecture, Decision
from supernet.decisions import DecisionSpace

RUNGS = tuple(Fidelity(epochs=epochs) for epochs in (12, 25, 50, 100, 200))
LIMIT = 3.0  # milliseconds per evaluation


class Curves:
    """A table that says what a fidelity takes from scratch."""

    cumulative = True

    def price(self, architecture: Architecture, fidelity: Fidelity) -> dict[str, float]:
        return {"epochs": fidelity["epochs"], "seconds": 2.0 * fidelity["epochs"]}

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        fidelity = fidelity or RUNGS[-1]
        for architecture in architectures:
            accuracy = Random(f"{architecture} {fidelity}").random()
            yield Result(architecture, {"accuracy": accuracy}, fidelity, self.price(architecture, fidelity))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--architectures", type=int, default=2000, help="proposals (default: 2000)")
    count = parser.parse_args(argv).architectures
    space = DecisionSpace("table", tuple(Decision(f"decision{number}", tuple("abcde")) for number in range(6)))
    found = {}
    for name in ("all", "halving", "hyperband", "asha"):
        strategy = RandomSearch(Problem(Limits(space)), RandomOptions(random_iteration=count), 0)
        ledger = Ledger(Stop(epochs=200 * count))
        with tempfile.TemporaryDirectory() as folder:
            archive = Archive(Path(folder) / "archive.jsonl", {})
            start = time.process_time()
            schedule = make_schedule(name, RUNGS, ACCURACY)
            engine.run(strategy, Curves(), archive, {}, ledger=ledger, schedule=schedule)
            seconds = time.process_time() - start
        found[name] = 1000 * seconds / ledger.results
        print(
            f"{name:10} {ledger.results:6,} evaluations, {ledger.spent['epochs']:9,.0f} epochs: "
            f"{seconds:.2f} CPU s, {found[name]:.3f} ms each"
        )
    worst = max(found.values())
    record = {"benchmark": "budget_loop", "ms": found, "limit": LIMIT, "over_limit": worst / LIMIT}
    print(json.dumps({**record, "architectures": count, "passed": worst <= LIMIT}))
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
