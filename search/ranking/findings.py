"""Findings of a ranking: the lines for people, `rank.json`, `scores.csv` and `ranking.png`."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from config_file.files import atomic_path, atomic_write_text
from config_file.run_folder import RunFolder
from lookup_tables import build_table
from search.ranking.agreement import TOP_K, Agreement, ceiling, compare
from search.ranking.options import RankOptions
from search.ranking.scores import Scores
from search.ranking.truth import Truth
from search.reporting.picture import ACCENT, INK, MUTED, tidy
from search.reporting.report import renew_report
from supernet import SearchSpace
from supernet.decisions import DecisionSpace
from supernet.metrics import counted_metrics


def write_findings(
    run: RunFolder,
    scores: Scores,
    truth: Truth,
    options: RankOptions,
    space: DecisionSpace | None = None,
    resolution: int = 0,
) -> None:
    """Compare the scores with the truth, say what comes out and write it."""
    networks = scores.networks
    values = np.array([scores.values[a] for a in networks])
    accuracy = np.array([truth.accuracy[a] for a in networks])
    of_truth = truth.rows(networks)
    costs = {metric: known[of_truth] for metric, known in truth.costs.items()}
    if isinstance(space, SearchSpace):
        for name in (metric.name for metric in counted_metrics()):
            if name not in costs:
                costs[name] = build_table(space, name, resolution).cost(networks)
    others = {name: np.array([found[a] for a in networks]) for name, found in scores.others.items()}
    rows = compare({scores.name: values, **others, **costs}, accuracy, options.resamples, options.random_seed)
    if truth.seeds is not None:
        top = ceiling(truth.seeds[of_truth], options.resamples, options.random_seed)
        rows += [] if top is None else [top]
    title = f"{len(networks):,} networks of {truth.name}"
    tau = f"Kendall τ {rows[0].tau.words()}"
    words = [f"{title}{f', {scores.method}' if scores.method else ''}: {tau}."]
    best = max((row for row in rows[1:] if row.name in costs), key=lambda row: row.tau.value, default=None)
    if best is not None:
        words.append(_verdict(rows[0], best))
    run.log(f"{'scores':36s}{'Kendall tau-b':26s}{'Spearman':26s}" + "".join(f"{f'regret top {k}':24s}" for k in TOP_K))
    for row in rows:
        regrets = "".join(f"{regret.words(2):24s}" for regret in row.regret)
        run.log(f"{row.name:36s}{row.tau.words():26s}{row.spearman.words():26s}{regrets}")
    for line in words:
        run.log(line)
    metric = scores.metric
    shown = (
        values if metric is None else np.array([metric.shown(value if metric.maximise else -value) for value in values])
    )
    axis = f"score: {scores.name if metric is None else metric.axis(scores.method)}"
    _picture(run.file("ranking.png"), shown, accuracy, int(np.argmax(values)), f"{title}: {tau}", axis)
    lines = [f"{' '.join(map(str, a))},{scores.values[a]:.6f},{truth.accuracy[a]:.4f}" for a in networks]
    atomic_write_text(run.file("scores.csv"), "\n".join(["architecture,score,truth", *lines]) + "\n")
    content = {
        "truth": truth.name,
        "networks": len(networks),
        "words": words,
        "top_k": list(TOP_K),
        "rows": [
            {
                "name": row.name,
                "tau": row.tau.words(),
                "spearman": row.spearman.words(),
                "regret": [regret.words(2) for regret in row.regret],
                "numbers": asdict(row),
            }
            for row in rows
        ],
    }
    atomic_write_text(run.file("rank.json"), json.dumps(content, indent=1) + "\n")
    for line in renew_report(run.path, options.search_space):
        run.log(line)


def _verdict(ours: Agreement, cost: Agreement) -> str:
    better, worse = ours.tau.low > cost.tau.high, ours.tau.high < cost.tau.low
    words = "better" if better else "worse" if worse else "not shown to be better"
    return f"The order is {words} than that by {cost.name} alone (τ {cost.tau.words()})."


def _picture(
    path: Path, scores: NDArray[np.float64], truth: NDArray[np.float64], best: int, title: str, axis: str
) -> None:
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.scatter(scores, truth, s=10, color=INK, alpha=0.35, linewidths=0)
    axes.plot(scores[best], truth[best], "*", color=ACCENT, markersize=14, label="greatest score")
    axes.set_xlabel(axis, color=INK)
    axes.set_ylabel("accuracy trained alone (%)", color=INK)
    axes.set_title(title, fontsize=9, color=MUTED, loc="left")
    tidy(axes)
    axes.legend(frameon=False, loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
