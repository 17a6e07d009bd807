"""Findings of a ranking: the lines for people, `rank.json`, `rank.csv`, `scores.csv` and `ranking.png`."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from config_file.errors import UserError
from config_file.files import atomic_write_text, write_sealed
from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from search.ranking.agreement import ALL, HALF, NDCG_AT, TENTH, TOP_K, Agreement, compare, parts, strongest
from search.ranking.baselines import (
    EQUAL_COST,
    EQUAL_LAYERS,
    LIVE,
    baselines,
    cost_of,
    equal_networks,
    strata,
)
from search.ranking.noise import levels, trainings_agree, worth
from search.ranking.options import RankOptions
from search.ranking.picture import draw
from search.ranking.scores import Scores, corrected_scores, corrections_of, plain_space, structured_scores
from search.ranking.statistics import Estimate, Floats
from search.ranking.truth import Truth
from search.reporting.finished_search import RANKING
from search.reporting.report import renew_report
from search.structure.calibration import read_trained
from search.structure.selection import SHARED
from supernet import SearchSpace
from supernet.decisions import DecisionSpace
from supernet.metrics import FLOPS

GROUPS = (EQUAL_LAYERS, EQUAL_COST, HALF, TENTH)
CLAIMABLE = 5  # networks: of fewer, chance gives one of the two strict orders more often than once in 20 (2/n!)
LEAST, TAU, NARROW = 24, 27, 8  # characters of the columns


def write_findings(
    run: RunFolder,
    scores: Scores,
    truth: Truth,
    options: RankOptions,
    space: DecisionSpace | None = None,
    resolution: int = 0,
) -> None:
    """Compare the scores with the truth, beside baselines on the same networks, say what comes out and write it.

    Raises:
        UserError: there is nothing to rank.
    """
    networks = scores.networks
    accuracy = np.array([truth.accuracy[a] for a in networks])
    of_truth = truth.rows(networks)
    if truth.space is not None:
        space, resolution = truth.space, truth.space.input_shape[1]
    known = {metric: costs[of_truth] for metric, costs in truth.costs.items()}
    same = None
    if isinstance(space, SearchSpace):
        known = baselines(space, networks, resolution) | known
        if options.score != "raw":
            same = equal_networks(truth.key_space or space, networks)
    raw, chosen = scores.name, []
    if options.score == "corrected":
        cost = cost_of(known)
        assert cost is not None, "checked before anything is scored"
        scores = corrected_scores(scores, cost, same)
    elif options.score == "structured":
        corrections = {} if (cost := cost_of(known)) is None else corrections_of(scores, cost, same)
        error = SHARED if options.score_error is None else options.score_error
        known_space = space or plain_space(networks)
        trained = read_trained(Path(options.calibrate), known_space) if options.calibrate else {}
        scores, selections = structured_scores(scores, known_space, same, error, trained)
        scores = replace(scores, others={**scores.others, **corrections})
        chosen = [f"{name}: {selection.words}" for name, selection in selections.items()]
        chosen = chosen or [f"--score structured: {len(networks)} networks are too few to choose a structure by"]
    given = scores.by_name()
    check_scores(given)
    compared = raw if options.score != "raw" else None
    rows = compare(given | known, accuracy, options.resamples, options.random_seed, [*known], strata(known), compared)
    seeds = None if truth.seeds is None else truth.seeds[of_truth]
    if seeds is not None:
        rows += trainings_agree(seeds, options.random_seed, options.resamples)
    title = f"{len(networks):,} networks of {truth.name}"
    words = [
        f"{title}{f', {scores.method}' if scores.method else ''}: Kendall τ {rows[0].tau.words()}.",
        *verdict(rows, seeds, options.random_seed, len(networks)),
        *chosen,
        *beside_raw(rows, raw),
    ]
    for line in [*truth.notes, *_table(rows), "", *_notes(rows, known), *words]:
        run.log(line)
    metric = scores.metric
    shown = given[scores.name]
    if metric is not None:
        shown = np.array([metric.shown(value if metric.maximise else -value) for value in shown])
    axis = f"score: {scores.name if metric is None else metric.axis(scores.method)}"
    best = int(np.argmax(given[scores.name]))
    draw(run.file("ranking.png"), shown, accuracy, best, words[0].rstrip("."), axis, rows)
    atomic_write_text(run.file("scores.csv"), _csv(_networks(scores, accuracy, given | known)))
    atomic_write_text(run.file("rank.csv"), _csv(_numbers(rows)))
    content = {
        "format": RANKING,
        "truth": truth.name,
        "networks": len(networks),
        "score": options.score,
        "words": words,
        "top_k": list(TOP_K),
        "rows": [
            {
                "name": row.name,
                "kind": row.kind,
                "tau": row.tau.words(),
                "spearman": row.spearman.words(),
                "regret": [regret.words(2) for regret in row.regret],
                "within": {group: tau.words() for group, tau in row.within.items()},
                "numbers": asdict(row),
            }
            for row in rows
        ],
    }
    write_sealed(run.file("rank.json"), {name: _finite(value) for name, value in content.items()})
    for line in renew_report(run.path, options.search_space):
        run.log(line)


def check_scores(given: Mapping[str, Floats]) -> None:
    """Raises UserError where every network has the same score, by whatever it is judged."""
    if all(np.ptp(values) == 0 for values in given.values()):
        name, values = next(iter(given.items()))
        raise UserError(f"{name}: all {len(values):,} networks have the same score: there is no order to judge")


def verdict(rows: Sequence[Agreement], seeds: Floats | None, seed: int, networks: int) -> list[str]:
    """Words on what the first row is worth: beside the strongest baseline, over all networks and at equal cost.

    Of fewer than `CLAIMABLE` networks no order is said to be better or worse than another.
    """
    first, words = rows[0], []
    if np.isnan(first.tau.value):
        return [f"{first.name}: all networks have the same score, so it gives no order."]
    for group, where in ((ALL, ""), (EQUAL_COST, "Among networks of equal cost: ")):
        base = strongest(rows, group)
        if base is None or group not in first.against[base.name]:
            continue
        less = first.against[base.name][group]
        better = "better" if less.low > 0 else "worse" if less.high < 0 else "not shown to be better"
        better = better if networks >= CLAIMABLE else "not shown to be better"
        if where:
            start = f"{where}τ {first.tau_in(group).words()}, an order {better} than"
        else:
            start = f"The order is {better} than"
        words.append(
            f"{start} that by {base.name}, the strongest baseline (τ {base.tau_in(group).value:.3f}): difference "
            f"{less.words(3, '+')}."
        )
    if seeds is not None and (np.isfinite(seeds).sum(1) >= 2).sum() >= 3:
        known = levels(seeds, seed)
        words.append(f"The order is {worth(first.tau.value, known, lambda row: row.tau.value)}.")
        regret = worth(first.regret[0].value, known, lambda row: row.regret[0].value)
        words.append(f"Training only the first one loses {first.regret[0].value:.2f} points: {regret}.")
    return words


def beside_raw(rows: Sequence[Agreement], raw: str) -> list[str]:
    """Words on how much better than the raw scores others order the networks that are compared with these in pairs."""
    return [
        f"{row.name}, less {raw}: "
        + ", ".join(
            f"{'τ' if group == ALL else f'{group} τ'} {row.against[raw][group].words(3, '+')}"
            for group in (ALL, EQUAL_LAYERS, EQUAL_COST)
            if group in row.against[raw]
        )
        for row in rows
        if raw in row.against and row.kind == "score" and row.name.startswith(f"{raw}, ")
    ]


def _notes(rows: Sequence[Agreement], known: Mapping[str, Floats]) -> list[str]:
    if not known:
        return []
    lines = ["less: tau less that of the strongest baseline, paired, with its 95 % interval"]
    if EQUAL_COST in rows[0].within:
        of = LIVE if LIVE in known else FLOPS.name
        count = parts(len(known[of]))
        lines.append(
            f"equal layers, equal cost: tau among networks of equally many layers, and in {quantity(count, 'part')} by "
            f"{of}; within a budget these count"
        )
    if LIVE in known and FLOPS.name in known and np.array_equal(known[LIVE], known[FLOPS.name]):
        lines.append("live flops: in these networks every block is used, so they are the flops")
    return [*lines, ""]


def _table(rows: Sequence[Agreement]) -> list[str]:
    """The rows to read, under two lines of titles; regrets are in points of accuracy."""
    groups = [group for group in GROUPS if group in rows[0].within]
    base = strongest(rows)
    wide = max(LEAST, *(len(row.name) + 2 for row in rows))
    titles = [("scores", "", wide), ("Kendall", "tau-b", TAU)]
    titles += [("less", base.name, TAU)] if base else []
    titles += [(*group.partition(" ")[::2], NARROW) for group in groups]
    titles += [("nDCG", f"@{NDCG_AT}", NARROW)]
    titles += [("regret (points)" if k == TOP_K[0] else "", f"top {k}", NARROW) for k in TOP_K]
    above = "".join(f"{first:{width}}" for first, _, width in titles[: -len(TOP_K)]) + titles[-len(TOP_K)][0]
    lines = [above, "".join(f"{second:{width}}" for _, second, width in titles).rstrip()]
    for kind in ("score", "baseline", "trainings"):
        for row in (row for row in rows if row.kind == kind):
            cells = [f"{row.name:{wide}}", f"{row.tau.words():{TAU}}"]
            if base:
                less = row.against[base.name][ALL].words(3, "+") if base.name in row.against else ""
                cells.append(f"{less:{TAU}}")
            cells += [f"{_short(row.within.get(group)):{NARROW}}" for group in groups]
            cells += [f"{_short(row.ndcg):{NARROW}}", *(f"{regret.value:<{NARROW}.2f}" for regret in row.regret)]
            lines.append("".join(cells).rstrip())
    return lines


def _short(value: Estimate | None) -> str:
    return "" if value is None or np.isnan(value.value) else f"{value.value:z.3f}"


def _networks(scores: Scores, accuracy: Floats, known: Mapping[str, Floats]) -> list[list[str]]:
    """One row per network: its score, its accuracy in percent, further scores and costs."""
    others = {name: values for name, values in known.items() if name != scores.name}
    rows = [["architecture", "score", "truth", *others]]
    for position, architecture in enumerate(scores.networks):
        numbers = [f"{known[scores.name][position]:.6f}", f"{accuracy[position]:.4f}"]
        numbers += [f"{values[position]:.10g}" for values in others.values()]
        rows.append([" ".join(map(str, architecture)), *numbers])
    return rows


def _numbers(rows: Sequence[Agreement]) -> list[list[str]]:
    """One row per score and number: its value and the ends of its interval."""
    lines = [["scores", "kind", "number", "value", "low", "high"]]
    for row in rows:
        numbers = {"tau": row.tau, "spearman": row.spearman, f"ndcg@{NDCG_AT}": row.ndcg}
        numbers |= {f"regret top {k}": regret for k, regret in zip(TOP_K, row.regret, strict=True)}
        numbers |= {f"tau, {group}": tau for group, tau in row.within.items()}
        for base, groups in row.against.items():
            numbers |= {f"tau less {base}, {group}": less for group, less in groups.items()}
        for number, found in numbers.items():
            cells = ("" if np.isnan(end) else f"{end:.6f}" for end in (found.value, found.low, found.high))
            lines.append([row.name, row.kind, number, *cells])
    return lines


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _finite(value: object) -> object:
    """The same as JSON that every reader understands: null for NaN."""
    if isinstance(value, Mapping):
        return {name: _finite(inside) for name, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inside) for inside in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
