"""Findings of the comparison, in lines for people and in `verdict.json`."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from config_file.files import write_sealed
from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from search.comparison.analysis import Difference, compare, in_words
from search.comparison.options import BASELINE, FOUND, RANDOM
from search.reporting.finished_search import VERDICT
from search.reporting.report import renew_report

ONE_SEARCH = (
    "One search was run, so this is said of the network that it found, not of searching: for that give --searches 5 or "
    "more."
)


def write_findings(
    run: RunFolder,
    rows: Sequence[Mapping[str, Any]],
    searches: int = 1,
    same_cost: bool = True,
    trusted: str | None = None,
) -> None:
    """Say and write what the trainings show.

    Args:
        rows: of `trainings.jsonl`; the found networks are numbered search by search.
        searches: how many there were.
        same_cost: also the baseline was scaled to the searched cost.
        trusted: the space that the command at hand names, see `supernet.saved`.
    """
    accuracies = {arm: by_network(rows, arm) for arm in (FOUND, RANDOM, BASELINE)}
    run.log()
    for arm, networks in accuracies.items():
        values = np.concatenate([*networks.values()])
        macs = np.mean([row["macs"] for row in rows if row["arm"] == arm]) / 1e6
        run.log(
            f"{arm:12s} test accuracy {values.mean():.2f} % (sd {values.std(ddof=1):.2f}, "
            f"{quantity(len(values), 'training')} of {quantity(len(networks), 'network')}, "
            f"{macs:.2f} M multiply-accumulates)"
        )
    found = list(accuracies[FOUND].values())
    each = len(found) // searches
    against = differences(found, searches, list(accuracies[RANDOM].values()), *accuracies[BASELINE].values())
    subject = "the search" if searches > 1 else "this network" if each == 1 else "the mean of these networks"
    scaled = f"a MobileNetV2 of {'the same cost' if same_cost else 'as many multiply-accumulates'}"
    words = [
        in_words(against[RANDOM], subject, "random networks of the same cost"),
        in_words(against[BASELINE], subject, scaled),
        *([] if searches > 1 else [ONE_SEARCH]),
    ]
    for line in words:
        run.log(line)
    content = {
        "format": VERDICT,
        "verdict": words,
        "searches": searches,
        "differences": {arm: _plain(difference) for arm, difference in against.items()},
        "trainings": list(rows),
    }
    write_sealed(run.file("verdict.json"), content)
    for line in renew_report(run.path, trusted):
        run.log(line)


def by_network(rows: Sequence[Mapping[str, Any]], arm: str) -> dict[int, list[float]]:
    """{number of a network: test accuracies of its trainings in percent} of an arm, in order of the numbers."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for row in sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["network"]):
        found[row["network"]].append(100 * row["test_accuracy"])
    return dict(found)


def differences(
    found: Sequence[Sequence[float]], searches: int, random: Sequence[Sequence[float]], baseline: Sequence[float]
) -> dict[str, Difference]:
    """Against random networks and the baseline; trainings of each network, the found ones search by search."""
    drawn = np.array([np.mean(trainings) for trainings in random])
    trained = np.array(found)
    compared = compare(trained.reshape(searches, -1, trained.shape[1]), drawn, np.array(baseline))
    return dict(zip((RANDOM, BASELINE), compared, strict=True))


def _plain(difference: Difference) -> dict[str, Any]:
    """As JSON: a number that is not finite becomes null."""
    values = {name: np.asarray(value).item() for name, value in vars(difference).items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
