"""Coverage of the 95 % interval of what a search chose, simulated, since there the truth is known.

    python -m benchmarks.winners_interval --trials 2000

Networks with normally distributed true accuracies (mean 60 %, several spreads) answer images, a shared difficulty of
which makes their mistakes alike (half of the variance behind an answer). The best by its answers is chosen. *Selected*:
the interval of the score it was chosen by, on all images. *Confirmed*: chosen on three quarters of the images, its
interval from the last quarter (`--confirm-images`). What holding images back costs is the last column: how much less
accurate, in truth, the chosen network is. The exit status is 1 if the confirmed interval covers less than 93 %.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from config_file.errors import run_main
from search.evaluators.held_back import SHARE
from tasks import wilson_interval

ALIKE = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row for each number of networks and spread; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300, help="simulated searches per row")
    parser.add_argument("--images", type=int, default=2000, help="validation images")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    print("| networks | spread of the truth | selected: covers, too good by | confirmed: covers, too good by | cost |")
    print("|---:|---:|---|---|---:|")
    least = 1.0
    for networks in (20, 280):
        for spread in (0.0, 0.005, 0.01, 0.02):
            rng = np.random.default_rng([options.seed, networks, round(1000 * spread)])
            rows = [search(rng, networks, spread, options.images) for _ in range(options.trials)]
            old, old_bias, new, new_bias, cost = np.mean(rows, axis=0)
            least = min(least, new)
            print(
                f"| {networks} | {100 * spread:g} points | {old:.1%}, {100 * old_bias:+.2f} | {new:.1%}, "
                f"{100 * new_bias:+.2f} | {100 * cost:.2f} points |"
            )
    return int(least < 0.93)


def search(rng: np.random.Generator, networks: int, spread: float, images: int) -> tuple[float, ...]:
    """One search: whether the interval covers and by how much the score is too good, of both ways; the cost."""
    truth = np.clip(rng.normal(0.6, spread, networks), 0.01, 0.99)
    difficulty = rng.normal(size=images).astype(np.float32)
    own = rng.standard_normal((networks, images), dtype=np.float32)
    answers = np.sqrt(ALIKE) * difficulty + np.sqrt(1 - ALIKE) * own < norm.ppf(truth)[:, None]
    seen = images - images // SHARE
    found, outcomes = [], []
    for chosen_on, judged_on in ((answers, answers), (answers[:, :seen], answers[:, seen:])):
        best = int(chosen_on.sum(1).argmax())
        right = int(judged_on[best].sum())
        low, high = wilson_interval(right, judged_on.shape[1])
        outcomes += [float(low <= truth[best] <= high), right / judged_on.shape[1] - truth[best]]
        found.append(truth[best])
    return (*outcomes, found[0] - found[1])


if __name__ == "__main__":
    run_main(main, sys.argv[1:])
