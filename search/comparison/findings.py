"""Findings of the comparison: how far apart the arms are, in lines for people and in `verdict.json`."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from config_file.files import write_sealed
from config_file.run_folder import RunFolder
from search.comparison.options import BASELINE, FOUND, RANDOM
from search.reporting.finished_search import VERDICT
from search.reporting.report import renew_report


@dataclass(frozen=True)
class Difference:
    """Mean accuracy of the found networks minus that of others, in points, with its 95 % interval (Welch's t)."""

    mean: float
    low: float
    high: float
    p: float

    def words(self, others: str) -> str:
        """The verdict against `others`."""
        interval = f"{self.mean:+.2f} points (95 % interval {self.low:+.2f} to {self.high:+.2f})"
        if self.low > 0:
            return f"Yes: the search beats {others} by {interval}."
        if self.high < 0:
            return f"No: the search is worse than {others}: {interval}."
        return f"No difference shown against {others}: {interval}."


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Welch's t-test between accuracies (fractions); the unit of replication is one training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that accuracies are nearly identical is for the reader to see
        test = stats.ttest_ind(ours, theirs, equal_var=False)
    interval = test.confidence_interval(0.95)
    mean = 100 * (float(np.mean(ours)) - float(np.mean(theirs)))
    return Difference(mean, 100 * float(interval.low), 100 * float(interval.high), float(test.pvalue))


def write_findings(
    run: RunFolder, rows: Sequence[dict[str, Any]], same_cost: bool = True, trusted: str | None = None
) -> None:
    """Say and write what the trainings show.

    Args:
        same_cost: also the baseline was scaled to the searched cost.
        trusted: the space that the command at hand names, see `supernet.saved`.
    """
    accuracy = {}
    run.log()
    for arm in (FOUND, RANDOM, BASELINE):
        accuracy[arm] = [row["test_accuracy"] for row in rows if row["arm"] == arm]
        values = np.array(accuracy[arm])
        macs = np.mean([row["macs"] for row in rows if row["arm"] == arm]) / 1e6
        run.log(
            f"{arm:12s} test accuracy {100 * values.mean():.2f} % "
            f"(sd {100 * values.std(ddof=1):.2f}, {len(values)} trainings, {macs:.2f} M multiply-accumulates)"
        )
    differences = {arm: difference(accuracy[FOUND], accuracy[arm]) for arm in (RANDOM, BASELINE)}
    scaled = f"a MobileNetV2 of {'the same cost' if same_cost else 'as many multiply-accumulates'}"
    words = [
        differences[RANDOM].words("random networks of the same cost"),
        differences[BASELINE].words(scaled),
    ]
    for line in words:
        run.log(line)
    content = {
        "format": VERDICT,
        "verdict": words,
        "differences": {arm: vars(found) for arm, found in differences.items()},
        "trainings": list(rows),
    }
    write_sealed(run.file("verdict.json"), content)
    for line in renew_report(run.path, trusted):
        run.log(line)
