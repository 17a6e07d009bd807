"""The plots of the report."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from config_file.quantity import quantity
from search.reporting.finished_search import FinishedSearch
from search.reporting.svg_plot import Box, Plot, plot, stairs
from search.result import Result
from supernet.decisions import DecisionSpace
from supernet.metrics import FLOPS

COLOURS = ("#3b6fb6", "#e08a2e", "#4a9d6f", "#c8525d", "#8566b0", "#97704f", "#d682b8", "#5fa9c4", "#a9a432", "#6b7785")
"""Of options and of runs, in order; repeated where there are more."""
FIXED = "#9aa5b1"
ARMS = {"found": "found", "random": "random, same cost", "mobilenetv2": "MobileNetV2, same cost"}


def tip(run: FinishedSearch, result: Result, number: int | None = None) -> str:
    """The text that hovering over an evaluation shows."""
    confirmed = run.confirmed.get(result.architecture)
    lines = [
        *([f"evaluation {number}"] if number else []),
        run.measured.in_words(run.measured.value(result)),
        *([] if confirmed is None else [f"confirmed: {in_words(run, confirmed)}"]),
        ", ".join(run.cost_in_words(name, cost) for name, cost in result.cost.items()),
        " ".join(run.space.names(result.architecture)),
    ]
    return "\n".join(lines)


def in_words(run: FinishedSearch, result: Result) -> str:
    """The metric of a confirmation with its interval."""
    interval = f" (95 % interval {run.interval_in_words(result.interval)})" if result.interval else ""
    return run.measured.in_words(run.measured.value(result)) + interval


def metric_against_cost(run: FinishedSearch, metric: str) -> Plot:
    """Every evaluation, the front, the limits, the random baseline and the chosen one."""
    unit, word = run.metric(metric).per_flag, run.metric(metric).axis(metric)
    allowed = {n for n, _ in run.inside}
    outside = [(n, r) for n, r in enumerate(run.results, start=1) if not r.failed and n not in allowed]
    costs, values = zip(*_points(run, metric, [*outside, *run.inside]), strict=True)
    low, high = (limit / unit for limit in run.limits) if metric == run.metrics[0] else (-math.inf, math.inf)
    wide = max(costs) - min(costs)
    # A limit far from everything evaluated would squeeze the points together.
    limits = [limit for limit in (low, high) if min(costs) - wide < limit < max(costs) + wide]
    interval, front = run.ends(run.interval), run.front(metric)
    confirmed = [(r, run.confirmed[r.architecture]) for _, r in front if r.architecture in run.confirmed]
    shown = [*values, *interval, run.found, *(run.value(judged) for _, judged in confirmed)]
    figure = plot(f"{run.measured.title} against {word}", ([*costs, *limits], word), (shown, run.axis))
    for limit, end in ((low, figure.x.low), (high, figure.x.high)):
        if limit in limits:
            figure.box((limit, end), (figure.y.low, figure.y.high), "forbidden")
            figure.line([(limit, figure.y.low), (limit, figure.y.high)], "limit")
    began = [run.value(result) for result in run.random_start]
    if began:
        figure.line([(figure.x.low, median(began)), (figure.x.high, median(began))], "baseline")
    colours = _by_evaluation(len(run.results))
    for (n, r), cost, value in zip([*outside, *run.inside], costs, values, strict=True):
        kind, fill = ("point", colours[n - 1]) if n in allowed else ("outside", "")
        figure.mark(cost, value, kind, tip(run, r, n), fill)
    points = _points(run, metric, front)
    figure.line(stairs(points, min(high, figure.x.high)), "front")
    for point, (n, r) in zip(points, front, strict=True):
        figure.mark(*point, "on-front", "on the front, " + tip(run, r, n))
    for result, judged in confirmed:
        at = result.cost[metric] / unit
        figure.mark(at, run.value(judged), "confirmed", "on the front, confirmed\n" + tip(run, result))
    at = run.best["cost"][metric] / unit
    figure.line([(at, end) for end in interval], "interval")
    best = next(r for r in run.results if r.architecture == run.chosen)
    figure.mark(at, run.found, "chosen", "chosen\n" + tip(run, best))
    figure.legend = [
        ("star", "", "chosen, confirmed, with its 95 % interval" if run.is_confirmed else "chosen, not confirmed"),
        ("ring", "", "front: best at or below its cost, by the scores it was selected by"),
        *([("diamond", "", "the front, confirmed")] if confirmed else []),
        ("dot", colours[0], "first evaluations"),
        ("dot", colours[-1], "last evaluations"),
    ]
    if began:
        figure.legend.append(("dots", "", f"baseline: median of the {len(began)} random networks it began with"))
    if limits:
        figure.legend.append(("dashes", "", "limit"))
    return figure


def _points(run: FinishedSearch, metric: str, of: Sequence[tuple[int, Result]]) -> list[tuple[float, float]]:
    """(cost in the unit of the flags, metric as shown) of numbered results."""
    return [(result.cost[metric] / run.metric(metric).per_flag, run.value(result)) for _, result in of]


def best_so_far(runs: Sequence[FinishedSearch]) -> Plot:
    """The most accurate within the limits after each evaluation; of one run with every evaluation."""
    alone = len(runs) == 1
    curves = []
    for run in runs:
        best, curve = run.measured.worst, []
        for n, r in run.inside:
            if run.measured.better(run.value(r), best):
                best = run.value(r)
                curve.append((float(n), best))
        curves.append(curve)
    known = [runs[0].value(r) for _, r in runs[0].inside] if alone else [a for curve in curves for _, a in curve]
    evaluations = [float(max(len(run.results) for run in runs))]
    figure = plot("best so far", (evaluations, "evaluations"), (known, runs[0].axis), from_zero=True)
    if alone:
        for n, r in runs[0].inside:
            figure.mark(n, runs[0].value(r), "faint", tip(runs[0], r, n))
    for index, (run, curve) in enumerate(zip(runs, curves, strict=True)):
        colour = "" if alone else COLOURS[index % len(COLOURS)]
        figure.line(stairs(curve, len(run.results)), "best", colour)
        if not alone:
            figure.legend.append(("line", colour, run.name))
    return figure


def fronts(runs: Sequence[FinishedSearch], metric: str) -> Plot:
    """The fronts of several runs over each other, with what each chose."""
    word = runs[0].metric(metric).axis(metric)
    points = [_points(run, metric, run.front(metric)) for run in runs]
    every = [point for front in points for point in front]
    figure = plot(f"fronts over {word}", ([c for c, _ in every], word), ([a for _, a in every], runs[0].axis))
    for index, (run, front) in enumerate(zip(runs, points, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        figure.line(stairs(front, figure.x.high), "best", colour)
        for c, a in front:
            figure.mark(c, a, "point", f"{run.name}: {run.measured.digits(a, unit=True)} at {c:.4g}", colour)
        figure.legend.append(("line", colour, run.name))
    return figure


def generations(run: FinishedSearch) -> Plot:
    """The metric within each generation: its range, its middle half, its median, and every member."""
    groups = [(name, [(n, r) for n, r in members if run.allows(r)]) for name, members in run.generations()]
    every = [run.value(r) for _, members in groups for _, r in members]
    evolution = groups and groups[0][0] == "0"
    title = "generation" if evolution else "evaluations, in tenths of the search"
    figure = plot(f"{run.measured.title} by generation", ([-0.5, len(groups) - 0.5], title), (every, run.axis))
    for at, (name, members) in enumerate(groups):
        values = np.array([run.value(r) for _, r in members])
        if len(values):
            low, first, middle, third, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
            best = high if run.measured.maximise else low
            top, half = (run.measured.digits(value, unit=True) for value in (best, middle))
            words = f"{title} {name}: best {top}, median {half}, {quantity(len(values), 'evaluation')}"
            figure.line([(at, low), (at, high)], "whisker")
            figure.box((at - 0.3, at + 0.3), (first, third), "quartiles", words)
            figure.line([(at - 0.3, middle), (at + 0.3, middle)], "median")
            for spot, (n, r) in enumerate(members):
                aside = at + 0.24 * math.sin(2.4 * spot)  # so that equal ones are seen beside each other
                figure.mark(aside, run.value(r), "faint", tip(run, r, n))
    return figure


def trained_alone(run: FinishedSearch) -> Plot | None:
    """The networks that the verdict trained: test accuracy against cost."""
    if not run.verdict:
        return None
    rows, name = run.verdict["trainings"], run.metrics[0]
    costs = [row.get("cost", {}).get(name) for row in rows]
    if None in costs:  # where the cost was measured, the baseline outside the space has only counts
        name, costs = FLOPS.name, [row[FLOPS.key] for row in rows]
    metric = run.metric(name)
    costs = [cost / metric.per_flag for cost in costs]
    accuracies = [100 * row["test_accuracy"] for row in rows]
    axis = "test accuracy, trained alone (%)"
    figure = plot("networks trained alone", (costs, metric.axis(name)), (accuracies, axis))
    for (arm, words), colour in zip(ARMS.items(), (COLOURS[3], FIXED, COLOURS[0]), strict=True):
        for row, cost, accuracy in zip(rows, costs, accuracies, strict=True):
            if row["arm"] == arm:
                text = f"{words}, seed {row['seed']}: {accuracy:.2f} %\n{' '.join(row['names'])}"
                figure.mark(cost, accuracy, "trained", text, colour)
        figure.legend.append(("dot", colour, words))
    return figure


def option_colours(space: DecisionSpace) -> Mapping[str, str]:
    """A colour for every option name of the space."""
    names = dict.fromkeys(option for decision in space.decisions for option in decision.options)
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def choices(space: DecisionSpace, of: Sequence[Result], chosen: Sequence[int], words: str) -> Plot:
    """A map of how often each option (row) is taken in each decision (column), where the decision matters."""
    indices = space.encode([r.architecture for r in of])  # (N, D)
    shares, samples = [], []
    for column, decision in enumerate(space.decisions):
        matters = indices[:, column] >= 0
        taken = indices[matters, column, None] == np.arange(len(decision.options))  # (M, options)
        shares.append(taken.mean(0) if matters.any() else np.zeros(len(decision.options)))
        samples.append(f" of {int(matters.sum())}")
    return _option_map(space, shares, samples, chosen, words)


def probabilities(space: DecisionSpace, rows: Sequence[NDArray[np.float64]], chosen: Sequence[int], words: str) -> Plot:
    """The same map of learnt probabilities, (options,) per decision."""
    return _option_map(space, rows, [""] * len(rows), chosen, words)


def skips(counts: Mapping[str, Sequence[int]]) -> Plot:
    """The number of skips that would have been derived after each epoch, one line per kind of cell."""
    epochs = [float(epoch) for epoch in range(1, 1 + max(map(len, counts.values())))]
    values = [float(count) for row in counts.values() for count in row]
    figure = plot("skips that were derived", (epochs, "epoch"), ([*values, 1.0], "skips"), from_zero=True)
    for index, (kind, row) in enumerate(counts.items()):
        figure.line([(float(epoch), float(count)) for epoch, count in enumerate(row, 1)], "best", COLOURS[index])
        if kind:
            figure.legend.append(("line", COLOURS[index], f"{kind} cell"))
    return figure


def _option_map(
    space: DecisionSpace,
    shares: Sequence[NDArray[np.float64]],
    samples: Sequence[str],
    chosen: Sequence[int],
    words: str,
) -> Plot:
    names = list(option_colours(space))
    left, cell_height = 12.0 + 6.6 * max(map(len, names)), 22.0
    wide = min(44.0, (1000.0 - left) / len(space.decisions))
    height = cell_height * len(names)
    figure = plot(words, ([0.0], ""), ([0.0], ""), width=left + wide * len(space.decisions) + 4, height=height + 86)
    for column, (decision, row, sample) in enumerate(zip(space.decisions, shares, samples, strict=True)):
        for option, (name, share) in enumerate(zip(decision.options, row.tolist(), strict=True)):
            kind = "cell picked" if chosen[column] == option else "cell"
            text = f"{decision.name}: {name} in {share:.0%}{sample}" + ("\nchosen" if chosen[column] == option else "")
            x, y = left + column * wide, names.index(name) * cell_height
            inside = f"{100 * share:.0f}" if share >= 0.01 and wide > 22 else ""
            figure.boxes.append(
                Box(x + 1.5, y + 1.5, wide - 3, cell_height - 3, kind, text, "", round(share, 3), inside)
            )
    return figure


def silhouette(rows: Sequence[Mapping[str, object]], colours: Mapping[str, str]) -> Plot:
    """The network as a row of blocks: as high as its feature maps, as wide as their channels; a skip is an outline."""
    sizes = [tuple(map(int, row["output_shape"])) for row in rows]  # type: ignore[call-overload]
    highest = max(h for _, h, _ in sizes)
    widest = max(c for c, _, _ in sizes)
    widths = [12 + 26 * math.sqrt(c / widest) for c, _, _ in sizes]
    gap = 5.0
    shrink = min(1.0, (1000 - gap * len(rows)) / sum(widths))
    total = sum(widths) * shrink + gap * len(rows)
    figure = plot("the chosen network, layer by layer", ([0.0], ""), ([0.0], ""), width=total + 18, height=170)
    x = 14.0  # the first label leans out to the left
    for row, (c, h, w), natural in zip(rows, sizes, widths, strict=True):
        width, height = natural * shrink, 14 + 92 * math.sqrt(h / highest)
        op = str(row["op"])
        skipped = not row["macs"] and not row["params"]
        text = f"{row['site']}: {op}\noutput {c} x {h} x {w}\n{row['macs']:,} MACs, {row['params']:,} parameters"
        kind = "block skipped" if skipped else "block"
        figure.boxes.append(Box(x, 60 - height / 2, width, height, kind, text, colours.get(op, FIXED), 1.0, op))
        x += width + gap
    return figure


def _by_evaluation(count: int) -> list[str]:
    return [to_hex(colormaps["viridis_r"](0.08 + 0.92 * n / max(1, count - 1))) for n in range(count)]
