"""A finished search read back from its folder: what the report and comparisons of runs are made of."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.readers.door import reading
from config_file.readers.form import check_form
from config_file.readers.json_text import read_sealed
from config_file.readers.yaml_text import read_mapping
from config_file.run_mark import FORMAT as RUN
from lookup_tables.constraint_text import limited
from lookup_tables.limits import raw
from search.archive import read_archive
from search.objectives import Objective, chosen_by, parse_objectives
from search.pareto import front_over_cost
from search.reporting.predictors import FORM as PREDICTOR
from search.reporting.spent import Spent, read_spent
from search.result import Fidelity, Result, of_greatest_fidelity
from search.strategies import STRATEGIES
from supernet import Architecture, NetworkSpace
from supernet.metrics import Metric, metric_called
from supernet.saved import space_of
from supernet.space import with_sites
from tasks import Task, task_of
from training.differentiable_search.distribution_file import Distribution, load_distribution
from training.supernet_file import FORMAT as SUPERNET

ARCHIVE, BEST, CONFIRMED = "archive.jsonl", "best.json", "confirmed.jsonl"
FORMAT, VERDICT, RANKING = "oneshot-nas search 1", "oneshot-nas verdict 1", "oneshot-nas ranking 1"
"""The formats of `best.json`, and of what `search.verdict` and `search.rank` leave."""

_FORM = {
    "architecture": [int],
    "names": [str],
    "space_options": dict,
    "interval": ([float], None),
    "cost": {...: float},
    "resolution": int,
    "dataset?": str,
    "search": {
        "strategy?": str,
        "measures": {...: bool},
        "method": str,
        "info_metric?": (str, None),
        "target_hc?": (float, None),
        "min_hc?": (float, None),
        "constraint?": (str, None),
        "metrics?": {...: str},
        "objectives?": [str],
        "predictors?": [PREDICTOR],
        "earlier?": int,
    },
}


@dataclass(frozen=True)
class FinishedSearch:
    """One search and what is known around it.

    Attributes:
        name: of the run, for people.
        space: what was searched.
        best: the content of `best.json`.
        results: of every architecture the one of the greatest fidelity, in the order first made, failed ones included.
        confirmed: what was judged once more by what nothing was selected by: the chosen one and the front.
        config: the saved options by group.
        environment: the content of `env.json`.
        supernet: the content of `supernet.json`, {} where the supernet's folder is not beside the search's.
        verdict, ranking: what `search.verdict` and `search.rank` found, {} where they have not been run.
        spent: what it took.
        learnt: of a differentiable search the probabilities of every decision's options, where their file is there.
        skips: of one the number of skips that were derived after each epoch, by kind of cell, or "" of a network.
    """

    name: str
    space: NetworkSpace
    best: Mapping[str, Any]
    results: list[Result]
    config: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any]
    confirmed: Mapping[Architecture, Result] = field(default_factory=dict)
    supernet: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    ranking: Mapping[str, Any] = field(default_factory=dict)
    spent: Spent = field(default_factory=lambda: Spent((), {}))
    learnt: Sequence[NDArray[np.float64]] | None = None
    skips: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def chosen(self) -> Architecture:
        return tuple(self.best["architecture"])

    @cached_property
    def fidelity(self) -> Fidelity:
        """The fidelity of the chosen architecture's evaluation."""
        return next(result.fidelity for result in self.results if result.architecture == self.chosen)

    @property
    def task(self) -> Task:
        return task_of(dict(self.best))

    @property
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
    def found(self) -> float:
        """The metric of the chosen architecture, as it is shown; the confirmed one where there is one."""
        return self.measured.shown(float(self.best[self.measured.name]))

    @property
    def selected(self) -> float:
        """The metric that it was selected with, as it is shown: the best of many."""
        return self.value(next(result for result in self.results if result.architecture == self.chosen))

    @property
    def is_confirmed(self) -> bool:
        """True if the chosen architecture was judged by what nothing was selected by."""
        return bool(self.best.get("confirmed"))

    @property
    def interval(self) -> Sequence[float] | None:
        """The 95 % interval of `found`; None where it is not confirmed: that of an evaluation forgets that it won."""
        return self.best["interval"] if self.is_confirmed else None

    @property
    def judged_on(self) -> Fidelity:
        """The images, or what else, that `found` is of."""
        return self.confirmed[self.chosen].fidelity if self.is_confirmed else self.fidelity

    @property
    def axis(self) -> str:
        """The title of the metric's axis."""
        return self.measured.axis(self.best["search"]["method"])

    def ends(self, interval: Sequence[float] | None) -> list[float]:
        """The ends of an interval of the metric as they are shown; [] where it is not known."""
        return [self.measured.shown(end) for end in interval or ()]

    def interval_in_words(self, interval: Sequence[float] | None) -> str:
        """The same for people; "" where it is not known."""
        return " to ".join(f"{end:.1f}" for end in self.ends(interval))

    @property
    def metrics(self) -> list[str]:
        """The costs that every evaluation has, the limited one first."""
        limited = self.best["search"].get("info_metric")
        return sorted(self.best["cost"], key=lambda metric: metric != limited)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return parse_objectives(",".join(self.best["search"].get("objectives", ())), self.measures)

    def metric(self, name: str) -> Metric:
        """The metric of a cost, whatever its table was called."""
        return metric_called(self.best["search"].get("metrics", {}).get(name, name))

    def cost_in_words(self, name: str, value: float) -> str:
        return self.metric(name).in_short(value, name)

    @property
    def limits(self) -> tuple[float, float]:
        """(least, greatest) cost that was allowed, in the raw unit of the first metric."""
        return self.limits_by_metric[self.metrics[0]]

    @cached_property
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

    @cached_property
    def inside(self) -> list[tuple[int, Result]]:
        """(number of the evaluation from 1, result) of all that is allowed."""
        return [(number, result) for number, result in enumerate(self.results, start=1) if self.allows(result)]

    def front(self, metric: str) -> list[tuple[int, Result]]:
        """Of all that is allowed the best at or below each cost that brings a better one, by rising cost."""
        costs = np.array([result.cost[metric] for _, result in self.inside])
        losses = np.array([-self.measured.score(result) for _, result in self.inside])
        return [self.inside[position] for position in front_over_cost(costs, losses)]

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
        warm = options.get("warm_start") not in (None, "none") or self.best["search"].get("earlier")
        return [] if warm else [result for number, result in self.inside if number <= began]

    def generations(self) -> list[tuple[str, list[tuple[int, Result]]]]:
        """(name, [(number of the evaluation from 1, result)]): generations of an evolution, else tenths of the search.

        Where proposals repeat, evaluations cannot be told apart by generation, and tenths are given too.
        """
        numbered = list(enumerate(self.results, start=1))
        strategy = STRATEGIES.get(str(self.options.get("search_strategy")))
        if (sizes := getattr(strategy, "generation_sizes", lambda saved: None)(self.options)) is not None:
            first, size = sizes
            starts = [0, *range(first, len(numbered), size)]
            names = [f"{number}" for number in range(len(starts))]
        else:
            starts = [round(part * len(numbered) / 10) for part in range(10)]
            names = [f"{start + 1}+" for start in starts]
        ends = [*starts[1:], len(numbered)]
        return [(name, numbered[a:b]) for name, a, b in zip(names, starts, ends, strict=True) if a < b]


def read_search(folder: Path, trusted: str | None = None, best: Mapping[str, Any] | None = None) -> FinishedSearch:
    """Read a search from its folder, or from the run's folder that holds it.

    Args:
        folder: either.
        trusted: the space that the command at hand names, see `supernet.saved`.
        best: the content of `best.json`, of a search that is about to write it.

    Raises:
        UserError: there is no finished search, or a file of it is damaged.
    """
    if (folder / "search").is_dir():
        folder = folder / "search"
    if best is None:
        if not (folder / BEST).is_file():
            raise UserError(f"no finished search in {folder}: {BEST} is missing")
        best = read_sealed(folder / BEST, FORMAT)
        check_form(best, _FORM, folder / BEST)
        check_form(best, dict.fromkeys(best["search"]["measures"], float), folder / BEST)
    with reading(folder, f"holds a {BEST}, {ARCHIVE} or {CONFIRMED} that is damaged or not of a search"):
        _, evaluated = read_archive(folder / ARCHIVE)
        space = space_of(best, folder / BEST, trusted)
        results = of_greatest_fidelity(evaluated)
        again = read_archive(folder / CONFIRMED)[1] if best.get("confirmed") else []
        confirmed = of_greatest_fidelity(again)
        chosen = tuple(best["architecture"])
        if chosen not in results or not space.is_valid(chosen) or (best.get("confirmed") and chosen not in confirmed):
            raise ValueError(f"{list(chosen)} is not what was searched")
    in_a_run = folder.name == "search"
    supernet, verdict, ranking = (
        _sealed_or_nothing(folder.parent / file, form) if in_a_run else {}
        for file, form in (
            ("supernet/supernet.json", SUPERNET),
            ("verdict/verdict.json", VERDICT),
            ("rank/rank.json", RANKING),
        )
    )
    config = read_mapping(folder / "config.yaml") if (folder / "config.yaml").is_file() else {}
    learnt = _learnt(folder, best, supernet, space)
    finished = FinishedSearch(
        name=folder.parent.name if in_a_run else folder.name,
        space=space,
        best=best,
        results=list(results.values()),
        confirmed={architecture: result for architecture, result in confirmed.items() if not result.failed},
        config={group: values for group, values in config.items() if isinstance(values, dict)},
        environment=_sealed_or_nothing(folder / "env.json", RUN),
        supernet=supernet,
        verdict=verdict,
        ranking=ranking,
        spent=read_spent(folder, evaluated),
        learnt=None if learnt is None else [np.exp(row) for row in learnt.log_probabilities],
        skips={} if learnt is None else learnt.about.get("skips", {}),
    )
    with reading(folder, f"holds a {BEST}, {ARCHIVE} or config.yaml that is damaged or not of a search"):
        # What is computed when it is asked for, so that no command stumbles over it later.
        finished.task, finished.objectives, finished.axis, finished.inside, finished.random_start  # noqa: B018
        finished.generations()
        for objective in finished.objectives:
            for _, result in finished.inside:
                objective.value(result)
    return finished


def _learnt(
    folder: Path, best: Mapping[str, Any], supernet: Mapping[str, Any], space: NetworkSpace
) -> Distribution | None:
    """Learnt on frozen weights by the search itself, or with the supernet beside it if that is what was searched."""
    if not getattr(STRATEGIES.get(str(best["search"].get("strategy"))), "needs_distribution", False):
        return None
    searched = supernet and supernet.get("sha256") == best["search"].get("supernet_sha256", "")
    for place in (folder / "learning", *([folder.parent / "supernet"] if searched else [])):
        with contextlib.suppress(UserError):  # missing, or damaged: then a report does without
            return load_distribution(place, with_sites(space))
    return None


def _sealed_or_nothing(path: Path, form: str) -> dict[str, Any]:
    """The JSON object in a file of ours, {} where there is none."""
    return read_sealed(path, form) if path.is_file() else {}
