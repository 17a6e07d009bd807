"""A finished search read back from its folder: what the report and comparisons of runs are made of."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.files import read_jsonl
from config_file.yaml_text import read_mapping
from lookup_tables.constraint_text import limited
from lookup_tables.limits import raw
from search.archive import check_format, results_of
from search.objectives import Objective, chosen_by, parse_objectives
from search.result import FULL, Fidelity, Result, of_greatest_fidelity
from search.strategies import STRATEGIES
from supernet import Architecture, SearchSpace
from supernet.metrics import Metric, metric_called
from supernet.saved import space_of
from tasks import Task, task_of
from training.differentiable_search.distribution_file import load_distribution

ARCHIVE, BEST = "archive.jsonl", "best.json"


@dataclass(frozen=True)
class FinishedSearch:
    """One search and what is known around it.

    Attributes:
        name: of the run, for people.
        space: what was searched.
        best: the content of `best.json`.
        results: of every architecture the one of the greatest fidelity, in the order first made, failed ones included.
        config: the saved options by group.
        environment: the content of `env.json`.
        supernet: the content of `supernet.json`, {} where the supernet's folder is not beside the search's.
        verdict, ranking: what `search.verdict` and `search.rank` found, None where they have not been run.
        learnt: of a differentiable search the probabilities of every decision's options, where their file is there.
    """

    name: str
    space: SearchSpace
    best: Mapping[str, Any]
    results: list[Result]
    config: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any]
    supernet: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] | None = None
    ranking: Mapping[str, Any] | None = None
    learnt: Sequence[NDArray[np.float64]] | None = None

    @property
    def chosen(self) -> Architecture:
        return tuple(self.best["architecture"])

    @property
    def task(self) -> Task:
        """The task of the networks."""
        return task_of(dict(self.best))

    @cached_property
    def measures(self) -> dict[str, bool]:
        """{metric: whether more is better} that the evaluator measured."""
        return dict(self.best["search"]["measures"])

    @cached_property
    def measured(self) -> Objective:
        """The metric that is shown."""
        return chosen_by((), self.measures)

    def value(self, result: Result) -> float:
        """The metric of a result, as it is shown."""
        return self.measured.shown(self.measured.value(result))

    @property
    def axis(self) -> str:
        """The title of an axis of the metric."""
        return self.measured.axis(self.best["search"]["method"])

    @cached_property
    def fidelity(self) -> Fidelity:
        """The fidelity of the chosen architecture's evaluation."""
        return next((r.fidelity for r in self.results if r.architecture == self.chosen), FULL)

    @property
    def found(self) -> float:
        """The metric of the chosen architecture, as it is shown."""
        return self.measured.shown(float(self.best[self.measured.name]))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `found`, where it is known."""
        return self.shown_interval(self.best["interval"])

    def shown_interval(self, interval: Sequence[float] | None) -> tuple[float, float] | None:
        """The ends of an interval as they are shown."""
        return None if interval is None else (self.measured.shown(interval[0]), self.measured.shown(interval[1]))

    @property
    def metrics(self) -> list[str]:
        """The costs that every evaluation has, the limited one first."""
        limited = self.best["search"].get("info_metric")
        return sorted(self.best["cost"], key=lambda metric: metric != limited)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives that were optimised."""
        return parse_objectives(",".join(self.best["search"].get("objectives", ())), self.measures)

    def metric(self, name: str) -> Metric:
        """The metric of a cost, whatever its table was called."""
        return metric_called(self.best["search"].get("metrics", {}).get(name, name))

    @property
    def limits(self) -> tuple[float, float]:
        """(least, greatest) cost that was allowed, in the raw unit of the first metric."""
        return self.limits_by_metric[self.metrics[0]]

    @property
    def limits_by_metric(self) -> dict[str, tuple[float, float]]:
        """{name: (least, greatest)} that was allowed, of every limited cost, in raw units; the first metric's first."""
        names = ("target_hc", "min_hc", "constraint")
        stated = {name: self.best["search"].get(name) for name in names} | {"info_metric": self.metrics[0]}
        return {name: raw(ends, self.metric(name)) for name, ends in limited(SimpleNamespace(**stated)).items()}

    def allows(self, result: Result) -> bool:
        """True for a result within the limits that did not fail and is of the fidelity of the chosen one."""
        limits = self.limits_by_metric.items()
        as_chosen = not result.failed and result.fidelity == self.fidelity
        return as_chosen and all(low <= result.cost[metric] <= high for metric, (low, high) in limits)

    @property
    def options(self) -> dict[str, Any]:
        """The saved options of all groups."""
        return {name: value for group in self.config.values() for name, value in group.items()}

    @property
    def random_start(self) -> list[Result]:
        """The random networks within the limits that the search began with: the baseline of what it added."""
        options = self.options
        strategy = STRATEGIES.get(str(options.get("search_strategy")))
        began = int(options.get(getattr(strategy, "random_start", ""), 0))
        warm = options.get("warm_start") not in (None, "none")
        return [] if warm else [result for result in self.results[:began] if self.allows(result)]

    def generations(self) -> list[tuple[str, list[tuple[int, Result]]]]:
        """(name, [(number of the evaluation from 1, result)]): generations of an evolution, else tenths of the search.

        Where proposals repeat, evaluations cannot be told apart by generation, and tenths are given too.
        """
        numbered = list(enumerate(self.results, start=1))
        options = self.options
        evolution = options.get("search_strategy") == "evolution" and options.get("dedup") == "true"
        if evolution and {"population", "parent_num", "evolution_form"} <= options.keys():
            first = int(options["population"])
            size = first if options["evolution_form"] == "spos" else first - int(options["parent_num"])
            starts = [0, *range(first, len(numbered), size)]
            names = [f"{number}" for number in range(len(starts))]
        else:
            starts = [round(part * len(numbered) / 10) for part in range(10)]
            names = [f"{start + 1}+" for start in starts]
        ends = [*starts[1:], len(numbered)]
        return [(name, numbered[a:b]) for name, a, b in zip(names, starts, ends, strict=True) if a < b]


def read_search(folder: Path, trusted: str | None = None) -> FinishedSearch:
    """Read a search from its folder, or from the run's folder that holds it.

    Args:
        folder: either.
        trusted: the space that the command at hand names, see `supernet.saved`.

    Raises:
        UserError: there is no finished search, or a file of it is damaged.
    """
    if (folder / "search").is_dir():
        folder = folder / "search"
    if not (folder / BEST).is_file():
        raise UserError(f"no finished search in {folder}: {BEST} is missing")
    best = _read_json(folder / BEST)
    try:
        rows = read_jsonl(folder / ARCHIVE)
        check_format(folder / ARCHIVE, rows[0])
        needed = {"space_options", "interval", "cost", "names", "resolution", *best["search"]["measures"]}
        if not needed <= best.keys():
            raise ValueError
        space = space_of(best, folder / BEST, trusted)
        results = list(of_greatest_fidelity(results_of(folder / ARCHIVE, rows)).values())
        if not results or not space.is_valid(best["architecture"]):
            raise ValueError
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise UserError(f"{folder}: {BEST} or {ARCHIVE} is damaged or not of a search") from None
    around = folder.parent if folder.name == "search" else None
    return FinishedSearch(
        name=folder.parent.name if around else folder.name,
        space=space,
        best=best,
        results=results,
        config=_groups(folder / "config.yaml"),
        environment=_environment(folder),
        supernet=_beside(around, "supernet/supernet.json") or {},
        verdict=_beside(around, "verdict/verdict.json"),
        ranking=_beside(around, "rank/rank.json"),
        learnt=_learnt(folder, around, best, space),
    )


def _learnt(
    folder: Path, around: Path | None, best: Mapping[str, Any], space: SearchSpace
) -> list[NDArray[np.float64]] | None:
    """Learnt on frozen weights by the search itself, or with the supernet beside it if that is what was searched."""
    if best["search"].get("strategy") != "differentiable":
        return None
    places = [folder / "learning"]
    beside = _beside(around, "supernet/supernet.json") or {}
    if around is not None and beside.get("sha256") == best["search"].get("supernet_sha256", ""):
        places.append(around / "supernet")
    for place in places:
        with contextlib.suppress(UserError):  # missing, or damaged: then a report does without
            return [np.exp(row) for row in load_distribution(place, space).log_probabilities]
    return None


def _groups(path: Path) -> dict[str, dict[str, Any]]:
    content = read_mapping(path) if path.is_file() else {}
    return {group: values for group, values in content.items() if isinstance(values, dict)}


def _beside(around: Path | None, name: str) -> dict[str, Any] | None:
    return _read_json(around / name) if around is not None and (around / name).is_file() else None


def _environment(folder: Path) -> dict[str, Any]:
    """`env.json` without the list of the stage's files."""
    if not (folder / "env.json").is_file():
        return {}
    return {key: value for key, value in _read_json(folder / "env.json").items() if key not in ("files", "runs")}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is damaged: not JSON") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: not a JSON object")
    return content
