"""Rates of wrong verdicts of `search.verdict`, and of effects that it notices: simulated accuracies, its own analysis.

    python -m benchmarks.verdict_rates --trials 40000
    python -m benchmarks.verdict_rates --trials 40000 --networks 0.3 --noise 0.8

Networks of the same cost differ (--networks, the standard deviation in points), and so do trainings of one (--noise).
*No effect*: what a search finds is a random network, and the baseline's accuracy is the mean of those; for one search
the claim against the baseline is of the network, which then is as accurate as it. *Effect*: what is found is better by
so much than both. Printed are the shares of "Yes" and "No" among verdicts. The exit status is 1 if one of them is above
3 % without any effect. `earlier`: the analysis before, Welch's test between trainings, three random networks at most
as dear, uncorrected.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from config_file.errors import run_main
from search.comparison.analysis import compare

EFFECT = 1.0
PLANS = ((1, 3, 10), (1, 5, 20), (3, 3, 10), (5, 3, 10), (5, 3, 20), (10, 2, 20))


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row for each plan; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000, help="simulated comparisons per row")
    parser.add_argument("--networks", type=float, default=0.7, help="spread of networks of one cost, points")
    parser.add_argument("--noise", type=float, default=0.4, help="spread of trainings of one network, points")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    print("| searches | trainings of each | random networks | random: Yes, No | baseline: Yes, No | either: Yes, No | "
          f"with +{EFFECT:g} points: random Yes | baseline Yes |")  # fmt: skip
    print("|---:|---:|---:|---|---|---|---:|---:|")
    worst = 0.0
    spreads = options.networks, options.noise
    for plan in PLANS:
        none = verdicts(np.random.default_rng([options.seed, *plan]), options.trials, plan, spreads)
        some = verdicts(np.random.default_rng([options.seed, 1, *plan]), options.trials, plan, spreads, EFFECT)
        rates = [(each == said).mean() for each in none for said in (1, -1)]
        either = [(none == said).any(0).mean() for said in (1, -1)]
        worst = max(worst, *rates, *either)
        shown = [f"{yes:.1%}, {no:.1%}" for yes, no in (rates[:2], rates[2:], either)]
        power = [f"{(each == 1).mean():.0%}" for each in some]
        print(f"| {' | '.join([*map(str, plan), *shown, *power])} |")
    shown = [f"{share:.1%}" for share in earlier(np.random.default_rng(options.seed), options.trials, spreads)]
    print(f"| 1, earlier | 3 | 3 | {shown[0]}, {shown[1]} | {shown[2]}, {shown[3]} | | | |")
    return int(worst > 0.03)


def verdicts(
    rng: np.random.Generator,
    trials: int,
    plan: tuple[int, int, int],
    spreads: tuple[float, float],
    effect: float = 0.0,
) -> NDArray[np.int_]:
    """(2, trials): 1 for a "Yes", -1 for a "No", 0 otherwise; against random networks, and against the baseline."""
    (searches, trainings, random), (spread, noise) = plan, spreads
    networks = effect + spread * rng.normal(size=(trials, searches, 1, 1))
    found = networks + noise * rng.normal(size=(trials, searches, 1, trainings))
    drawn = spread * rng.normal(size=(trials, random)) + noise * rng.normal(size=(trials, random))
    baseline = noise * rng.normal(size=(trials, trainings))
    if searches == 1:  # the claim is of this network: without effect the baseline is as accurate as it
        baseline += networks[:, 0, 0] - effect
    differences = compare(found, drawn, baseline)
    return np.stack([np.where(each.shown, np.sign(each.mean), 0).astype(int) for each in differences])


def earlier(rng: np.random.Generator, trials: int, spreads: tuple[float, float]) -> list[float]:
    """Shares of "Yes" and "No" of the analysis before, where a search finds a random network."""
    spread, noise = spreads
    found = spread * rng.normal(size=(trials, 1)) + noise * rng.normal(size=(trials, 3))
    drawn = spread * rng.normal(size=(trials, 3)) + noise * rng.normal(size=(trials, 3))
    baseline = noise * rng.normal(size=(trials, 3))
    shares = []
    for others in (drawn, baseline):
        test = stats.ttest_ind(found, others, axis=1, equal_var=False)
        shares += [float(((test.pvalue < 0.05) & (way * test.statistic > 0)).mean()) for way in (1, -1)]
    return shares


if __name__ == "__main__":
    run_main(main, sys.argv[1:])
