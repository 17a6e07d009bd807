"""Scores by name: what networks are ordered by, in a ranking and in a search."""

from collections.abc import Mapping
from typing import Any

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options
from search.corrected import Correction
from search.evaluators import Context
from search.objectives import chosen_by
from search.problem import Problem
from search.rescored import Rescored
from search.sloped import Sloped
from search.strategies import STRATEGIES
from search.structured import Structured

RAW = "raw"


class Measured:
    """Scores as they were measured."""


SCORES: Mapping[str, type] = {RAW: Measured, "corrected": Correction, "structured": Structured, "sloped": Sloped}
"""`Rescored` classes by name, and those that are not."""


@options("Score")
class ScoreOptions:
    """The score that networks are ordered by."""

    score: str | None = option(
        None, "{names}: as measured (the default, but of --search-strategy structured); corrected for cost, by the sum "
        "of the logarithms of the ranks of score and live multiply-accumulates among all networks that are compared "
        "(it helps over a whole space; within a budget what counts is the order among networks of equal cost); the "
        "sum of what single options and neighbouring ones say of the ranks, where cross-validation finds that it "
        "leaves less out than raw scores err; or drawn towards a line over the limited cost, by the share of the "
        "scores that is noise", metavar="NAME", names=SCORES, derived=True
    )  # fmt: skip

    def rules(self) -> None:
        """Raises UserError for a score there is not; derives what nobody said."""
        strategy = STRATEGIES.get(getattr(self, "search_strategy", ""))
        chosen = self.score or getattr(strategy, "score", RAW)
        choose("score", str(chosen), SCORES)
        object.__setattr__(self, "score", chosen)


def rescored_by(options: Any, problem: Problem, measures: Mapping[str, bool], context: Context) -> Rescored | None:
    """The scores that --score asks for; None: as measured. Raises UserError where they cannot be made."""
    if options.score == RAW:
        return None
    if problem.earlier:
        raise UserError(f"--score {options.score} compares what one search evaluated: no --warm-start")
    score = chosen_by(problem.objectives, measures)
    if not score.measured:
        raise UserError(f"--score {options.score}: {score.name} is a cost, there is no score to correct")
    kind = SCORES[options.score]
    assert issubclass(kind, Rescored)
    return kind.made(problem, score, context)
