"""A first stage: a search on zero-cost scores, whose best architectures the search proper begins with.

MF-NAS (Phan and Luong, GECCO 2024) scores 2,000 architectures by synflow before it trains the 32 best of them; R-MF-NAS
takes a third of the best, a third of the starts of its local search and a third from between. What the first stage
takes is charged to the same budget of seconds, and its results are kept in an archive of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass, replace
from random import Random
from typing import Any, cast

import numpy as np
from tqdm import tqdm

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options
from config_file.progress import progress
from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from search import engine
from search.archive import Archive
from search.corrected import log_rank
from search.evaluators import Context, Evaluator
from search.evaluators.crew import FIRST, Crew, judge_of
from search.evaluators.zero_cost import ZeroCostEvaluator
from search.ledger import Ledger, Stop
from search.objectives import Objective
from search.problem import Problem
from search.proxies import SCORES
from search.result import Result
from search.strategies import STRATEGIES, Strategy, make_strategy
from search.strategies.mf_nas import spread
from search.strategies.walk import Role
from supernet import Architecture
from supernet.space import NetworkSpace

ARCHIVE = "first.jsonl"
JOINT = Objective("log_ranks", maximise=True, measured=True)
"""What several scores are joined to."""


@options("First stage")
class FirstStageOptions:
    """A search on zero-cost scores before the search proper."""

    first_stage: str | None = option(
        None,
        "search on a zero-cost score first ({names}; several are joined by the sum of the logarithms of their ranks): "
        "the search proper begins with its best architectures. None: what the strategy needs, else no first stage",
        metavar="NAME",
        names=SCORES,
        repeat=True,
        derived=True,
    )
    first_strategy: str | None = option(
        None,
        "strategy of the first stage; none: local_search",
        metavar="NAME",
        names=STRATEGIES,
        derived=True,
    )
    first_evaluations: int = option(2000, "architectures that the first stage scores", at_least=1, at_most=10**7)
    first_best: int = option(32, "architectures that the search proper begins with", at_least=1, at_most=10**6)
    first_choice: str | None = option(
        None,
        "which: the best ones, or spread: a third each of the best, of the starts of its local searches and of what "
        "lay on their ways; none: what the strategy takes, best",
        choices=("best", "spread"),
        derived=True,
    )

    def rules(self) -> None:
        """Derive what nobody said."""
        strategy = STRATEGIES.get(str(getattr(self, "search_strategy", None)))
        if self.first_stage is None:
            object.__setattr__(self, "first_stage", getattr(strategy, "first_stage", None))
        if self.first_stage is not None:
            object.__setattr__(self, "first_strategy", self.first_strategy or "local_search")
            choice = self.first_choice or getattr(strategy, "first_choice", "best")
            object.__setattr__(self, "first_choice", choice)


@dataclass(frozen=True)
class Found:
    """The end of a first stage.

    Attributes:
        candidates: the best first.
        record: facts about it for `best.json`, as JSON.
        seconds: that it is charged.
    """

    candidates: tuple[Architecture, ...]
    record: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class FirstStage:
    """A search on scores, ready to run.

    Attributes:
        options: those that the strategy is made with, and those of `FirstStageOptions`.
        evaluator: of the scores, and `measures`, which way is better.
        problem: the space and its limits; the objective is the score.
        strategy: that searches it.
    """

    options: Any
    evaluator: Evaluator
    measures: Mapping[str, bool]
    problem: Problem
    strategy: Strategy

    @property
    def scores(self) -> str:
        """Their names, for people."""
        return " and ".join(self.measures)

    def describe(self) -> str:
        """The stage in words."""
        which = "the best" if self.options.first_choice == "best" else "best, starts and between,"
        of_untrained = isinstance(self.evaluator, ZeroCostEvaluator)
        networks = f" of untrained networks (images of {self.options.dataset})" if of_untrained else ""
        return (
            f"{self.options.first_strategy} on {self.scores}{networks}, at most "
            f"{quantity(self.options.first_evaluations, 'evaluation')}; {which} {self.options.first_best} go on"
        )

    def check(self, folder: Any) -> None:
        """Raises UserError where the scores of an interrupted run cannot be continued."""
        if (folder / ARCHIVE).is_file():
            Archive(folder / ARCHIVE, self.evaluator.fingerprints)

    def run(self, folder: RunFolder, crew: Crew | None = None) -> Found:
        """Search; what was scored before an interruption is looked up, and ranks share what is not.

        Raises:
            UserError: the budget of seconds is used up, or nothing has a score.
        """
        archive = Archive(folder.file(ARCHIVE), self.evaluator.fingerprints)
        ledger = Ledger(Stop(self.options.first_evaluations, seconds=self.options.budget_seconds))
        bar: tqdm[Any] = progress(self.options.first_evaluations, "first stage", "architecture")

        def watch(*_: object) -> None:
            bar.update()

        with bar, closing(self.evaluator):
            able = callable(getattr(self.evaluator, "factory", None))
            judge = judge_of(crew, FIRST, self.evaluator, self.options, workers=None if able else 1)
            results = engine.run(self.strategy, judge, archive, {}, ledger=ledger, watch=watch, correct=self.correct)
        found = self.hand_over(self.strategy, results, ledger.spent["seconds"], self.options.random_seed)
        folder.log(
            f"first      {quantity(ledger.evaluations, 'architecture')} scored by {self.scores} in "
            f"{found.seconds:,.1f} s, {len(found.candidates)} go on; the best: "
            f"{' '.join(self.problem.space.names(found.candidates[0]))}"
        )
        return found

    def strategy_of(self, seed: int) -> Strategy:
        """A new strategy with a seed of its own."""
        return make_strategy(self.options.first_strategy, self.problem, self.options, seed)

    @property
    def correct(self) -> engine.Correct | None:
        """The joining of several scores."""
        return joined if len(self.measures) > 1 else None

    def hand_over(self, strategy: Strategy, results: Sequence[Result], seconds: float, seed: int) -> Found:
        """The candidates among the results of a search in the order proposed, which took so many seconds.

        Raises:
            UserError: the budget of seconds is used up, or nothing has a score.
        """
        budget = self.options.budget_seconds
        if budget is not None and seconds >= budget:
            raise UserError(f"--budget-seconds {budget:g}: the first stage took all of them")
        met = {result.architecture: result for result in (results if self.correct is None else self.correct(results))}
        key = getattr(self.evaluator, "key", lambda architecture: architecture)
        networks: dict[Any, Result] = {}
        for architecture, result in met.items():  # isomorphic cells of a table are one candidate, the first one met
            networks.setdefault(key(architecture), result)
        candidates = candidates_of(
            networks.values(),
            getattr(strategy, "roles", {}),
            self.options.first_best,
            self.options.first_choice,
            self.problem.objectives[0],
            seed,
        )
        if not candidates:
            raise UserError(f"the first stage found nothing that has a number for {self.scores}")
        record = {
            "scores": list(self.measures),
            "strategy": self.options.first_strategy,
            "choice": self.options.first_choice,
            "evaluations": len(met),
            "candidates": len(candidates),
        }
        return Found(candidates, record, seconds)


def candidates_of(
    results: Iterable[Result], roles: Mapping[Architecture, Role], count: int, choice: str, by: Objective, seed: int
) -> tuple[Architecture, ...]:
    """The candidates that a first stage hands over, the best first.

    Args:
        results: of it, in the order first met; those that failed are no candidates.
        roles: of what a local search stood on; "spread" needs them.
        count: of candidates; fewer where there are no more.
        choice: "best" or "spread".
        by: the score.
        seed: of what "spread" draws.
    """
    sound = (result for result in results if not result.failed)
    ranked = [result.architecture for result in sorted(sound, key=by.score, reverse=True)]
    if choice == "best":
        return tuple(ranked[:count])
    known = {*ranked, *list(roles)[:1]}  # the first start, which is left out, stands for itself
    roles = {architecture: role for architecture, role in roles.items() if architecture in known}
    return tuple(spread(ranked, roles, count, Random(f"spread {seed}")))


def prepare_first_stage(asked: Any, context: Context, evaluator: Evaluator, problem: Problem) -> FirstStage | None:
    """The first stage that the options ask for, None where they ask for none.

    The scores are those of the evaluator's table where it has them (`scorer`), else of the untrained networks.

    Raises:
        UserError: what is no score, or options of the strategy that do not fit.
    """
    if asked.first_stage is None:
        return None
    names = list(dict.fromkeys(name.strip() for name in asked.first_stage.split(",") if name.strip()))
    scorer = getattr(evaluator, "scorer", None)
    scoring = None if scorer is None else scorer(names)
    if scoring is None:
        scoring = of_untrained(names, asked, context, getattr(evaluator, "measures", ()))
    measures = {name: getattr(SCORES.get(name), "maximise", True) for name in names}
    objective = JOINT if len(names) > 1 else Objective(names[0], measures[names[0]], measured=True)
    seen = Problem(problem.limits, (objective,), problem.tables)
    # Random search has no end but the number that it is given.
    settings = replace(asked, random_iteration=asked.first_evaluations, warm_start=None, score="raw")
    strategy = make_strategy(asked.first_strategy, seen, settings)
    if len(names) > 1 and not hasattr(strategy, "retell"):
        raise UserError(f"--first-strategy {asked.first_strategy} takes one score, not {' and '.join(names)}")
    if asked.first_choice == "spread" and not hasattr(strategy, "roles"):
        raise UserError(f"--first-choice spread is for local searches: {asked.first_strategy} has no starts")
    return FirstStage(settings, scoring, measures, seen, strategy)


def of_untrained(names: Sequence[str], asked: Any, context: Context, measured: Sequence[str]) -> Evaluator:
    """The evaluator of scores of untrained networks. Raises UserError for what is none, and as the evaluator does."""
    for name in names:
        if name in measured:
            raise UserError(f"--first-stage {name} is measured by an evaluation: it takes scores ({', '.join(SCORES)})")
        choose("zero-cost score", name, SCORES)
    if not isinstance(context.space, NetworkSpace):
        space = context.space.name
        raise UserError(f"--first-stage {asked.first_stage}: no table has it, and {space} has no networks to score")
    of_scores = copy(context)
    of_scores.options = replace(asked, zero_cost=",".join(names))
    return ZeroCostEvaluator.of(of_scores, names)


def joined(results: Sequence[Result]) -> list[Result]:
    """The results in their order, those that did not fail with the sum of the logarithms of their ranks by each score.

    As AZ-NAS (Lee and Ham 2024) joins scores: sum_k ln(rank_k / N), ranks from 1, the worst.
    """
    good = [result for result in results if not result.failed]
    if not good:
        return list(results)
    ranks = []
    for name in good[0].metrics:
        sign = 1 if getattr(SCORES.get(name), "maximise", True) else -1
        ranks.append(log_rank(np.array([sign * result.metrics[name] for result in good])))
    sums = iter(cast("list[float]", np.sum(ranks, axis=0).tolist()))
    return [
        result if result.failed else replace(result, metrics={**result.metrics, JOINT.name: next(sums)})
        for result in results
    ]
