"""python -m search.report runs/first [runs/second ...]

The report of a search as one file, `report.html`, that opens in any browser without a network: accuracy against every
cost, best so far, generations, the chosen network layer by layer, which options the good architectures took, the
ranking quality and the verdict where they are known, settings and environment. Several runs are compared.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Environment, StrictUndefined, Template

from config_file.errors import UserError, nearest
from config_file.files import atomic_write_text
from config_file.quantity import quantity
from config_file.readers.door import reading
from search.reporting import report_plots
from search.reporting.cell_drawing import cell_drawings
from search.reporting.finished_search import BEST, FinishedSearch, read_search
from search.reporting.front_report import front_among
from search.reporting.predictors import in_words
from search.reporting.report_plots import COLOURS
from search.result import Result
from supernet.cell_space import CellSpace
from supernet.describe import layers
from supernet.genotype import genotype_of
from supernet.metrics import counted_metrics

TEMPLATE = "report.html.j2"
NAME = "report.html"
BEST_ROWS = 20
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def main(argv: Sequence[str] | None = None) -> int:
    """Write a report; returns the exit status.

    Raises:
        UserError: bad options, or a folder without a finished search.
    """
    parser = _Parser(
        prog="python -m search.report",
        description="The report of a finished search, or of several beside each other, as one HTML file.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run (runs/first) or of its search")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="what to write (default: report.html in the search's folder; in the current folder for several runs)",
    )
    parser.add_argument(
        "--search-space", metavar="NAME", help="module:callable where the search was of a space of your own code"
    )
    options = parser.parse_args(argv)
    folders = [Path(run).expanduser() for run in options.runs]
    searches = [read_search(folder, options.search_space) for folder in folders]
    if options.output:
        path = Path(options.output).expanduser()
    elif len(folders) == 1:
        path = (folders[0] / "search" if (folders[0] / "search").is_dir() else folders[0]) / NAME
    else:
        path = Path(NAME)
    with reading(", ".join(options.runs), "cannot be reported: files of theirs do not fit together"):
        write_report(path, searches)
    print(path)
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        hint = nearest(unknown[1], ["--output", "--search-space", "--help"]) if unknown else ""
        raise UserError(f"{message}{hint} (python -m search.report --help)")


def renew_report(stage: Path, trusted: str | None = None) -> list[str]:
    """Write the report of the search beside a stage of the same run again, with what the stage found.

    Args:
        stage: its folder.
        trusted: the space that the command at hand names, see `supernet.saved`.

    Returns a line that says so, none where there is no finished search.
    """
    search = stage.parent / "search"
    if not (search / BEST).is_file():
        return []
    with reading(search, "cannot be reported: files of its do not fit together"):
        write_report(search / NAME, [read_search(search, trusted)])
    return [f"report     {search / NAME}"]


def write_report(path: Path, runs: Sequence[FinishedSearch]) -> None:
    """Render one or several searches into one HTML file that needs no other file and no network."""
    text = template().render(
        title=" and ".join(run.name for run in runs),
        runs=[about(run) for run in runs],
        comparison=compare(runs) if len(runs) > 1 else None,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    atomic_write_text(path, text)


@cache
def template() -> Template:
    """The page, whose compilation takes longer than writing it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("search.reporting").joinpath(TEMPLATE).read_text(encoding="utf-8"))


def about(run: FinishedSearch) -> dict[str, Any]:
    """Plots and rows of text that the template shows of one search."""
    best, space = run.best, run.space
    chosen = run.chosen
    rows = layers(space, chosen)
    colours = report_plots.option_colours(space)
    inside = sorted((r for _, r in run.inside), key=run.measured.score, reverse=True)
    good = inside[: max(10, len(inside) // 10)]
    searched = best["search"]
    failed = sum(r.failed for r in run.results)
    on = f" {'on' if 'images' in run.fidelity else 'at'} {run.fidelity}" if run.fidelity else ""
    evaluations = quantity(len(run.results), "evaluation").partition(" ")[2]
    limits = [
        f"{word} {run.cost_in_words(run.metrics[0], limit)}"
        for word, limit in zip(("at least", "at most"), run.limits, strict=True)
        if abs(limit) != float("inf")
    ]
    return {
        "name": run.name,
        "heading": f"{searched['strategy']} over {space.name}, {best['dataset']} at {best['resolution']} px",
        "tiles": [
            *_chosen_tiles(run),
            *(
                (
                    run.cost_in_words(metric, best["cost"][metric]),
                    f"limit: {' and '.join(limits)}" if limits and metric == run.metrics[0] else "",
                )
                for metric in run.metrics
            ),
            (f"{len(run.results):,}", f"{evaluations}{on}{f', {failed} failed' if failed else ''}"),
            (_size(space.size), "architectures in the space"),
            *([(f"{run.spent.epochs:,.6g}", "epochs of training")] if run.spent.epochs else []),
            (_duration(run.spent.seconds), "of evaluation"),
        ],
        "metric": run.measured.title,
        "column": column(run),
        "pareto": [report_plots.metric_against_cost(run, metric) for metric in run.metrics],
        "progress": report_plots.best_so_far([run]),
        "generations": report_plots.generations(run),
        "silhouette": report_plots.silhouette(rows, colours),
        "cells": cell_drawings(space, chosen, colours) if isinstance(space, CellSpace) else [],
        "genotype": genotype_of(space, chosen),
        "layers": _layer_rows(rows, colours),
        "totals": [(metric.unit, sum(int(row[metric.key]) for row in rows)) for metric in counted_metrics()],
        "choices": [
            report_plots.choices(space, part, chosen, words)
            for part, words in (
                (good, f"the best {len(good)} within the limits"),
                ([r for r in run.results if not r.failed], f"all {len(run.results) - failed}"),
            )
        ],
        "learnt": None
        if run.learnt is None
        else report_plots.probabilities(space, run.learnt, chosen, "probabilities at the end of the learning"),
        "skips": report_plots.skips(run.skips) if run.skips else None,
        "choice_names": list(colours),
        "decisions": [decision.name for decision in space.decisions],
        "confirmed": bool(run.confirmed),
        "budgets": [_row(run, r) for _, r in run.front(run.metrics[0])],
        "front": _front_facts(run, inside),
        "predictors": [in_words(row, run.objectives) for row in best["search"].get("predictors", ())],
        "best": [_row(run, r) for r in inside[:BEST_ROWS]],
        "metrics": run.metrics,
        "verdict": run.verdict,
        "trained": report_plots.trained_alone(run),
        "ranking": run.ranking,
        "supernet": _supernet(run.supernet),
        "spent": run.spent.facts(),
        "settings": _settings(run.config),
        "environment": _environment(run.environment),
    }


def compare(runs: Sequence[FinishedSearch]) -> dict[str, Any]:
    """Runs beside each other: a row each, best so far, and fronts over the costs that all have."""
    shared = [metric for metric in runs[0].metrics if all(metric in run.metrics for run in runs)]
    rows = [
        {
            "name": run.name,
            "colour": COLOURS[index % len(COLOURS)],
            "strategy": run.best["search"].get("strategy", "unknown"),
            "space": run.space.name,
            "dataset": run.best.get("dataset", "unknown"),
            "evaluations": f"{len(run.results):,}",
            "value": run.measured.digits(run.found),
            "interval": run.interval_in_words(run.interval) if run.is_confirmed else "not confirmed",
            "images": f"{run.judged_on['images']:,}" if "images" in run.judged_on else str(run.judged_on),
            "costs": [run.cost_in_words(metric, run.best["cost"][metric]) for metric in shared],
            "weights": str(run.best["search"].get("supernet_sha256", ""))[:8],
            "method": run.best["search"]["method"],
            "time": _duration(run.spent.seconds),
        }
        for index, run in enumerate(runs)
    ]
    return {
        "rows": rows,
        "metrics": shared,
        "metric": column(runs[0]),
        "comparable": len({(row["dataset"], row["images"], row["weights"], row["method"]) for row in rows}) == 1,
        "plots": [report_plots.best_so_far(runs), *(report_plots.fronts(runs, metric) for metric in shared)],
    }


def column(run: FinishedSearch) -> str:
    """The heading of the metric's column."""
    return f"{run.measured.title} (%)" if run.measured.percent else run.measured.title


def _front_facts(run: FinishedSearch, inside: Sequence[Result]) -> list[tuple[str, str]]:
    """Facts of a front that was searched for; none where there was one objective."""
    if len(run.objectives) < 2 or not inside:
        return []
    front = front_among(inside, run.objectives, {name: run.metric(name) for name in run.metrics}, run.confirmed)
    return [
        ("Objectives", ", ".join(objective.name for objective in front.objectives)),
        ("On the front", f"{len(front.members)} of {len(front.candidates):,}"),
        ("Hypervolume", front.volume_in_words()),
        ("Knee", front.of(front.knee, run.space)),
        *((f"Best within {budgets}", front.of(position, run.space)) for budgets, position in front.within_in_words()),
    ]


def _chosen_tiles(run: FinishedSearch) -> list[tuple[str, str]]:
    """The worth of the chosen one, and the score that it was selected with."""
    title, best_of = run.measured.title, f"the best of {quantity(len(run.results), 'evaluation')}"
    found, selected = (run.measured.digits(value, unit=True) for value in (run.found, run.selected))
    if not run.is_confirmed:
        return [(selected, f"{title} of the chosen one, not confirmed: {best_of}, so optimistic")]
    interval = f", 95 % interval {run.interval_in_words(run.interval)}" if run.interval else ""
    images = "images" if "images" not in run.judged_on else str(run.judged_on)
    return [
        (found, f"{title} of the chosen one, confirmed on {images} that nothing was selected by{interval}"),
        (selected, f"{title} that it was selected with: {best_of}, so optimistic"),
    ]


def _row(run: FinishedSearch, result: Result) -> dict[str, Any]:
    confirmed = run.confirmed.get(result.architecture)
    return {
        "value": run.measured.digits(run.value(result)),
        "confirmed": "" if confirmed is None else run.measured.digits(run.value(confirmed)),
        "interval": "" if confirmed is None else run.interval_in_words(confirmed.interval),
        "costs": [run.cost_in_words(metric, result.cost[metric]) for metric in run.metrics],
        "names": run.space.names(result.architecture),
        "chosen": result.architecture == run.chosen,
    }


def _layer_rows(rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """Text of each layer; of each cost the number, its share of the network and its length as a bar, in percent."""
    keys = [metric.key for metric in counted_metrics()]
    totals = {key: sum(row[key] for row in rows) or 1 for key in keys}
    largest = {key: max(row[key] for row in rows) or 1 for key in keys}
    return [
        {
            "site": row["site"],
            "op": row["op"],
            "colour": colours.get(row["op"], report_plots.FIXED),
            "skipped": not any(row[key] for key in keys),
            "output": " × ".join(map(str, row["output_shape"])),
            "costs": [(f"{row[key]:,}", 100 * row[key] / totals[key], 100 * row[key] / largest[key]) for key in keys],
        }
        for row in rows
    ]


def _supernet(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not info:
        return []
    train, classes = info.get("train", {}), info.get("classes", [])
    facts = {
        "classes": f"{len(classes)}: {', '.join(map(str, classes[:30]))}{', ...' if len(classes) > 30 else ''}",
        "images": ", ".join(f"{part} {count:,}" for part, count in info.get("split", {}).get("sizes", {}).items()),
        "trained": ", ".join(quantity(train[f"{what}s"], what) for what in ("epoch", "step") if train.get(f"{what}s")),
        "batch size": train.get("batch_size"),
        "path sampling": train.get("sample_strategy"),
        "weights": f"SHA-256 {str(info.get('sha256', ''))[:16]}",
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _settings(config: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (group, [(name.replace("_", "-"), _plain(value)) for name, value in values.items() if value is not None])
        for group, values in config.items()
    ]


def _environment(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`env.json` without the lists of the stage's files."""
    shown = {**content, **content.get("packages", {})}
    hidden = ("packages", "format", "files", "runs")
    return [(name, _plain(value)) for name, value in shown.items() if name not in hidden and value != []]


def _plain(value: Any) -> str:
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _size(size: int) -> str:
    """Exact up to ten million, then with a power of ten."""
    if size < 10**7:
        return f"{size:,}"
    power = len(str(size)) - 1
    return f"{size // 10 ** (power - 1) / 10:g} × 10{str(power).translate(SUPERSCRIPTS)}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
