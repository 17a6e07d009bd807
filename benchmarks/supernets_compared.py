"""Two kinds of supernets by how their scores rank: means over trainings, and differences paired by seed and network.

    python -m benchmarks.supernets_compared --first runs/uq-s*/rank-refit --second runs/bq-s*/rank-refit

Reads the scores.csv and rank.json that `python -m search.rank` leaves (with `--score structured` those too), of the
same networks throughout, seed by seed in the order given. Intervals are by bootstrap over networks, 95 %, of the mean
over seeds: another choice of networks, not another training; the differences of single seeds stand beside them.
"""

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.ranking.agreement import equal_groups
from search.ranking.statistics import (
    drawn_with_replacement,
    estimate,
    kendall_tau,
    stratified_tau,
    stratified_taus,
    top_k_regret,
)

Floats = NDArray[np.float64]
Table = dict[str, Floats]
ALL = "all"


def read(folder: Path) -> Table:
    """The columns of a ranking by the names of its table, and `truth`, in the order of the architectures."""
    first = json.loads((folder / "rank.json").read_text())["rows"][0]["name"]
    with (folder / "scores.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["architecture"])
    names = [name for name in rows[0] if name != "architecture"]
    return {first if name == "score" else name: np.array([float(row[name]) for row in rows]) for name in names}


def taus(scores: Floats, table: Table, samples: NDArray[np.intp]) -> dict[str, tuple[float, Floats]]:
    """{over all, within equal layers: (tau, (resamples,) taus)}."""
    truth, groups = table["truth"], equal_groups(table["layers"])
    everything = [np.arange(len(truth))]
    return {
        ALL: (kendall_tau(scores, truth), stratified_taus(scores, truth, everything, samples)),
        "equal layers": (stratified_tau(scores, truth, groups), stratified_taus(scores, truth, groups, samples)),
    }


def mean(parts: Sequence[tuple[float, Floats]]) -> tuple[float, Floats]:
    """Of values and their resamples."""
    return float(np.mean([value for value, _ in parts])), np.mean([resamples for _, resamples in parts], axis=0)


def less(one: tuple[float, Floats], other: tuple[float, Floats]) -> str:
    """A difference with its interval, in words."""
    return estimate(one[0] - other[0], one[1] - other[1]).words(sign="+")


def compare(first: Sequence[Table], second: Sequence[Table], resamples: int, show: Callable[[str], None]) -> None:
    """Show a row for each score of each kind, and the differences."""
    samples = drawn_with_replacement(len(first[0]["truth"]), resamples, 0)
    for table in (*first, *second):
        if not np.array_equal(table["truth"], first[0]["truth"]):
            raise SystemExit("the rankings are of different networks")
    counted = taus(first[0]["layers"], first[0], samples)
    names = [name for name in first[0] if name.startswith("supernet") and all(name in t for t in (*first, *second))]
    for name in names:
        kinds = []
        for kind, tables in (("first", first), ("second", second)):
            parts = [taus(table[name], table, samples) for table in tables]
            means = {where: mean([part[where] for part in parts]) for where in parts[0]}
            regret = np.mean([top_k_regret(1)(table[name], table["truth"]) for table in tables])
            singles = ", ".join(f"{part[ALL][0]:.3f}" for part in parts)
            words = "; ".join(f"{where} {estimate(*means[where]).words()}" for where in means)
            against = less(means[ALL], counted[ALL])
            show(f"{kind:6} {name}: {words}; less layers {against}; regret {regret:.2f}; by seed {singles}")
            kinds.append((parts, means))
        (one_parts, one), (other_parts, other) = kinds
        for where in one:
            pairs = zip(one_parts, other_parts, strict=False)
            gaps = ", ".join(f"{b[where][0] - a[where][0]:+.3f}" for a, b in pairs)
            show(f"second less first, {name}, {where}: {less(other[where], one[where])}; by seed {gaps}")


def main() -> None:
    """Compare the rankings of two lists of folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=Path, nargs="+", required=True)
    parser.add_argument("--second", type=Path, nargs="+", required=True)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    compare([*map(read, arguments.first)], [*map(read, arguments.second)], arguments.resamples, print)


if __name__ == "__main__":
    main()
