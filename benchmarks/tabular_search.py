"""500 regularised-evolution runs of 300 evaluations on a table, through the public ask and tell, on one core.

    python -m benchmarks.tabular_search [--runs 500]

The table has one score for each of the 15,625 architectures of a space of 6 decisions with 5 options (the size of
NAS-Bench-201). Every evaluation makes a `Result` as all evaluators do. Timed in CPU seconds: of one thread they are
what a clock shows on an idle machine, and they hold on a busy one. The last line is JSON; the exit status is 1 if it
takes longer than the limit.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence

# Before NumPy loads its thread pool: the limit is for one core.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np

from lookup_tables.limits import Limits
from search.evaluators.table import TableEvaluator
from search.problem import Problem
from search.strategies.random_search import RandomOptions, RandomSearch
from search.strategies.regularized_evolution import RegularizedEvolution, RegularizedEvolutionOptions
from supernet import Architecture, Decision
from supernet.decisions import DecisionSpace

EVALUATIONS = 300
LIMIT = 2.0  # seconds for 500 runs


def space_of(decisions: int = 6, options: int = 5) -> DecisionSpace:
    """That many decisions, of a table: nothing is built."""
    names = tuple(f"option{option}" for option in range(options))
    return DecisionSpace("table", tuple(Decision(f"decision{number}", names) for number in range(decisions)))


def scores_of(space: DecisionSpace, seed: int = 0) -> dict[Architecture, float]:
    """A score with an effect of every option, of every pair of neighbouring ones, and noise."""
    rng = np.random.default_rng(seed)
    every = np.array(list(space.enumerate()))
    size = space.sizes[0]
    score = rng.normal(0, 0.3, len(every))
    for decision in range(len(space.sizes)):
        score += rng.normal(0, 1, size)[every[:, decision]]
        if decision:
            score += rng.normal(0, 0.7, (size, size))[every[:, decision - 1], every[:, decision]]
    score = 0.9 + 0.05 * (score - score.mean()) / np.ptp(score)
    return {tuple(row): value for row, value in zip(every.tolist(), score.tolist(), strict=True)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=500, help="runs, each with its own seed (default: 500)")
    runs = parser.parse_args(argv).runs
    problem, settings = Problem(Limits(space_of())), RegularizedEvolutionOptions()
    table = scores_of(problem.space)
    rows = {architecture: {"accuracy": score} for architecture, score in table.items()}
    best = max(table.values())
    RegularizedEvolution(problem, settings, 0).ask(2)  # what a space works out once

    regrets, seconds = [], []
    for seed in range(runs):
        evaluated: list[Architecture] = []
        start = time.process_time()
        strategy, evaluator = RegularizedEvolution(problem, settings, seed), TableEvaluator(rows)
        while left := EVALUATIONS - len(evaluated):
            proposals = strategy.ask(left)
            strategy.tell(list(evaluator.evaluate(proposals)))
            evaluated += proposals
        seconds.append(time.process_time() - start)
        regrets.append(best - max(table[architecture] for architecture in evaluated))
    total = 500 * statistics.median(seconds)  # a busy neighbour on the core slows single runs down
    random = [
        best - max(table[a] for a in RandomSearch(problem, RandomOptions(), seed).ask(EVALUATIONS))
        for seed in range(min(runs, 50))
    ]
    each = 1e6 * statistics.median(seconds) / EVALUATIONS
    print(f"500 runs of {EVALUATIONS} evaluations: {total:.2f} CPU s, {each:.1f} us per evaluation")
    print(f"mean regret {100 * statistics.mean(regrets):.3f} points; random search {100 * statistics.mean(random):.3f}")
    summary = {
        "benchmark": "tabular_search",
        "seconds": round(total, 3),
        "limit": LIMIT,
        "over_limit": round(total / LIMIT, 3),
        "runs": runs,
        "evaluations": EVALUATIONS,
        "mean_regret": round(statistics.mean(regrets), 5),
        "mean_regret_random": round(statistics.mean(random), 5),
        "passed": total <= LIMIT,
    }
    print(json.dumps(summary))
    return 0 if summary["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
