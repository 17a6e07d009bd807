"""Options of the search stage."""

from typing import TYPE_CHECKING, Any, ClassVar

from config_file.fields import option
from config_file.options import compose, options
from lookup_tables.options import ConstraintOptions
from search.evaluators.options import EvaluationOptions
from search.schedules import SCHEDULES
from search.strategies import STRATEGIES
from training.differentiable_search.options import GradientOptions
from training.options import SupernetOptions
from training.recipe_options import FittingOptions


@options("Strategy")
class StrategyOptions:
    """The strategy that proposes candidates."""

    search_strategy: str = option(
        "evolution",
        "{names} (nsga2, nsga3 and predictor: for a front), or module:callable",
        metavar="NAME",
        names=STRATEGIES,
        aliases={
            "ageing_evolution": "regularized_evolution",
            "random_search": "random",
            "random-search": "random",
            "differentiable_gumbel": "differentiable",
        },
    )


@options("Strategy")
class BudgetOptions:
    """The budget of a search, for all strategies that do not count in generations, and what it optimises."""

    evaluations: int = option(1000, "architectures evaluated, by all strategies but random and evolution", at_least=1)
    schedule: str | None = option(
        None,
        "which of a population go on to the next fidelity: {names}, or module:callable; none: halving where there are "
        "several, as of --eval-images",
        metavar="NAME",
        names=SCHEDULES,
    )
    max_seconds: float | None = option(
        None, "the search ends with the evaluation that uses up so many seconds of evaluations", unit="s", above=0
    )
    max_epochs: float | None = option(
        None, "it ends with the one that uses up so many epochs of training, of evaluators that train", above=0
    )
    objective: str | None = option(
        None,
        "what nsga2, nsga3 and predictor optimise, one or several: accuracy, loss, flops, params or a table's metric, "
        "with :max or :min where it is not the usual; none: accuracy and --info-metric. Other strategies have one, "
        "accuracy unless it is given",
        metavar="NAME[:max|:min]",
        repeat=True,
    )


if TYPE_CHECKING:

    class StrategiesOptions:
        """The options of all strategies, composed of what is registered."""

        def __getattr__(self, name: str) -> Any: ...
else:
    StrategiesOptions = compose(STRATEGIES)


@options("Run")
class SearchOptions(
    StrategiesOptions,
    GradientOptions,
    BudgetOptions,
    StrategyOptions,
    EvaluationOptions,
    ConstraintOptions,
    SupernetOptions,
    FittingOptions,
):
    """Options of ``search.py``. Those of the training are read with ``--directly-search`` only."""

    stage: ClassVar[str] = "search"

    supernet: str | None = option(
        None, "folder of the trained supernet; none: by --title", group="Run", metavar="FOLDER"
    )
    directly_search: bool = option(
        False, "train the supernet first, differentiably, with the options given here", group="Run", saved=False
    )
