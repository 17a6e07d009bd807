"""The agreement of scores with a truth, beside that of simple baselines, compared in pairs on the same networks.

Two scores of the same networks err together, so their separate intervals may overlap where their difference is clear:
in 200 samples of 300 networks of NAS-Bench-Macro, a tau of 0.61 (the number of layers, some noise added) was told from
one of 0.56 (FLOPs) by separate intervals in 4 % of them, by the paired difference in 73 %.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from search.ranking.statistics import (
    Estimate,
    Floats,
    Stratum,
    drawn_with_replacement,
    estimate,
    kendall_tau,
    ndcg,
    resampled,
    spearman_rho,
    stratified_tau,
    stratified_taus,
    top_k_regret,
)

TOP_K = (1, 5, 10)
UNKNOWN = Estimate(float("nan"))
NDCG_AT = 10
ALL, HALF, TENTH = "all", "best half", "best tenth"
FEW = 5  # networks in a part of equal cost
FEWEST = 10  # networks in the best tenth (or half) from which their order is looked at


@dataclass(frozen=True)
class Agreement:
    """The agreement of one kind of score with the truth.

    Attributes:
        name: of the score.
        tau: Kendall's tau-b over all networks.
        spearman: Spearman's rho.
        regret: points of accuracy lost by training the best k of TOP_K.
        ndcg: nDCG of the best NDCG_AT.
        within: {group: tau within}, such as among networks of equal cost, or of the best half by the truth.
        kind: "score", "baseline" or "trainings" (what those agree on).
        against: {baseline or raw score: {"all" or group: tau less that of it}}, paired.
    """

    name: str
    tau: Estimate
    spearman: Estimate
    regret: list[Estimate]
    ndcg: Estimate = UNKNOWN
    within: Mapping[str, Estimate] = field(default_factory=dict)
    kind: str = "score"
    against: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)

    def tau_in(self, group: str) -> Estimate:
        """Tau over ALL networks, or within a group; NaN where it is not known."""
        return self.tau if group == ALL else self.within.get(group, UNKNOWN)


def compare(
    scores: Mapping[str, Floats],
    truth: Floats,
    resamples: int,
    seed: int,
    baselines: Collection[str] = (),
    strata: Mapping[str, Sequence[Stratum]] | None = None,
    raw: str | None = None,
) -> list[Agreement]:
    """One row per kind of score; all intervals, those of differences too, from the same resampled networks.

    Args:
        scores: (N,) by name; greater is better.
        truth: (N,) accuracies in points.
        baselines: names of those scores that the others are compared with.
        strata: {group: strata} within which tau is asked for as well.
        raw: the name of a score that the others are compared with like with a baseline.
    """
    samples = drawn_with_replacement(len(truth), resamples, seed)
    groups = {**(strata or {}), **_best(truth)}
    statistics = (spearman_rho, ndcg(NDCG_AT), *map(top_k_regret, TOP_K))
    rows, taus = [], {}
    for name, values in scores.items():
        taus[name] = {ALL: _all_taus(values, truth, samples)} | {
            group: stratified_taus(values, truth, strata, samples) for group, strata in groups.items()
        }
        rho, gain, *regret = (estimate(s(values, truth), resampled(s, values, truth, samples)) for s in statistics)
        within = {
            group: estimate(stratified_tau(values, truth, strata), taus[name][group])
            for group, strata in groups.items()
        }
        tau = estimate(kendall_tau(values, truth), taus[name][ALL])
        kind = "baseline" if name in baselines else "score"
        rows.append(Agreement(name, tau, rho, regret, gain, within, kind))
    return [
        row if row.kind == "baseline" else replace(row, against={
            base.name: _less(row, base, taus) for base in rows
            if base.kind == "baseline" or (base.name == raw and base is not row)
        })
        for row in rows
    ]  # fmt: skip


def strongest(rows: Sequence[Agreement], group: str = ALL) -> Agreement | None:
    """The baseline of the greatest tau; None where there is none."""
    known = [row for row in rows if row.kind == "baseline" and not np.isnan(row.tau_in(group).value)]
    return max(known, key=lambda row: row.tau_in(group).value, default=None)


def equal_groups(values: Floats) -> list[Stratum]:
    """The networks of each value, such as of equally many layers."""
    return [np.flatnonzero(values == value) for value in np.unique(values)]


def parts(networks: int) -> int:
    """The number of parts that so many networks are parted into by their cost."""
    return min(10, max(1, networks // FEW))


def tenths(values: Floats) -> list[Stratum]:
    """The networks between neighbouring deciles of a cost; equal costs stay together, so some may be larger.

    Fewer than 50 networks are parted less finely, so that five are in each part.
    """
    cuts = np.quantile(values, np.linspace(0, 1, parts(len(values)) + 1)[1:-1])
    return equal_groups(np.searchsorted(cuts, values, side="left").astype(np.float64))


def _best(truth: Floats) -> dict[str, list[Stratum]]:
    found = {}
    for group, share in ((HALF, 0.5), (TENTH, 0.1)):
        count = round(share * len(truth))
        if count >= FEWEST:
            found[group] = [np.flatnonzero(truth >= np.sort(truth)[-count])]
    return found


def _all_taus(values: Floats, truth: Floats, samples: Stratum) -> Floats:
    if np.ptp(values) == 0:
        return np.full(len(samples), np.nan)
    return stratified_taus(values, truth, [np.arange(len(truth))], samples)


def _less(row: Agreement, base: Agreement, taus: Mapping[str, Mapping[str, Floats]]) -> dict[str, Estimate]:
    return {
        group: estimate(row.tau_in(group).value - base.tau_in(group).value, values - taus[base.name][group])
        for group, values in taus[row.name].items()
    }
