"""Options of the search stage."""

from typing import TYPE_CHECKING, Any, ClassVar

from config_file.errors import UserError
from config_file.fields import option, options_of
from config_file.options import compose, options, was_given
from lookup_tables.options import FLOPS_OR_MS, ConstraintOptions
from search.evaluators import EVALUATORS
from search.evaluators.held_back import ConfirmationOptions
from search.evaluators.options import EvaluationOptions
from search.evaluators.supernet import SUPERNET
from search.first_stage import FirstStageOptions
from search.schedules import SCHEDULES
from search.scores import SCORES, ScoreOptions
from search.strategies import STRATEGIES
from search.subnet_table import SubnetTableOptions
from training.differentiable_search.options import GradientOptions
from training.options import RetrainOptions, SupernetOptions
from training.recipe_options import FittingOptions, TrainingOptions, course, learning_rate

DERIVED = "differentiable"
"""The strategy of --directly-search."""
TARGET = 100.0
"""The largest cost of a search that was told none, in millions or ms."""
TRIALS = "--evaluator training"


@options("Strategy")
class StrategyOptions:
    """The strategy that proposes candidates."""

    search_strategy: str = option(
        "evolution",
        "{names} (nsga2, nsga3 and predictor, which is also called dynas: for a front), or module:callable",
        metavar="NAME",
        names=STRATEGIES,
        aliases={
            "ageing_evolution": "regularized_evolution",
            "dynas": "predictor",
            "random_search": "random",
            "grid_search": "grid",
            "policy_based_rl": "rl",
            "differentiable_gumbel": "differentiable",
        },
    )


@options("Strategy")
class BudgetOptions:
    """The budget of a search, for all strategies that do not count in generations, and what it optimises."""

    budget_evaluations: int = option(
        1000,
        "architectures evaluated, by strategies without a number of their own; what is known already is free",
        at_least=1,
        at_most=10**8,
        flags=("evaluations",),
    )
    schedule: str | None = option(
        None,
        "which of a population go on to the next fidelity: {names}, or module:callable; none: halving, where there "
        "are several, as of --eval-images or --fidelities",
        metavar="NAME",
        names=SCHEDULES,
        derived=True,
    )
    budget_seconds: float | None = option(
        None,
        "seconds of evaluations, those of a first stage included: one that is known to take more than is left is not "
        "begun; else the search ends with the one that uses up the last",
        unit="s",
        above=0,
        flags=("max_seconds",),
    )
    budget_epochs: float | None = option(
        None, "the same of epochs of training, of evaluators that train", above=0, flags=("max_epochs",)
    )
    objective: str | None = option(
        None,
        "what nsga2, nsga3 and predictor optimise, one or several: accuracy, loss, flops, params or a table's metric, "
        "with :max or :min where it is not the usual; none: accuracy and --info-metric. Other strategies have one, "
        "accuracy unless it is given",
        metavar="NAME[:max|:min]",
        repeat=True,
    )

    def rules(self) -> None:
        """Derive what nobody said."""
        object.__setattr__(self, "schedule", self.schedule or "halving")


if TYPE_CHECKING:

    class StrategiesOptions:
        """The options of all strategies, schedules and scores, composed of what is registered."""

        def __getattr__(self, name: str) -> Any: ...
else:
    StrategiesOptions = compose(STRATEGIES, SCHEDULES, SCORES)


@options("Run")
class SearchOptions(
    StrategiesOptions,
    GradientOptions,
    BudgetOptions,
    FirstStageOptions,
    StrategyOptions,
    ConfirmationOptions,
    ScoreOptions,
    EvaluationOptions,
    ConstraintOptions,
    SupernetOptions,
    FittingOptions,
    SubnetTableOptions,
):
    """Options of ``search.py``. Those of the training are read with ``--directly-search`` only."""

    stage: ClassVar[str] = "search"

    target_hc: float | None = option(  # type: ignore[assignment]
        None,
        f"largest cost allowed; none: {TARGET:g}, or no limit with the table of a benchmark or for a front over it",
        group="Constraint",
        unit=FLOPS_OR_MS,
        above=0,
        inherit=True,
        derived=True,
        decides="training learning",
    )
    lr: float | None = learning_rate(FittingOptions.usual_lr, f", in trials of {TRIALS} {RetrainOptions.usual_lr:g}")
    weight_decay: float = course(
        4e-5, f"L2 penalty; in trials of {TRIALS} it is that of retrain.py, "
        f"{options_of(RetrainOptions)['weight_decay'].default:g}, unless it is given", group="Training", at_least=0,
    )  # fmt: skip

    supernet: str | None = option(
        None, "folder of the trained supernet; none: by --title", group="Run", metavar="FOLDER"
    )
    runs: int | None = option(
        None,
        "so many searches on the table of a benchmark, with the seeds --random-seed, the next one and so on; every one "
        "is kept (runs.csv), their means and standard deviations are said",
        group="Run",
        at_least=1,
        at_most=10**6,
    )
    directly_search: bool = option(
        False, "train the supernet first, differentiably, with the options given here", group="Run", saved=False
    )

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        if self.directly_search and was_given(self, "search_strategy") and self.search_strategy != DERIVED:
            raise UserError(f"--directly-search is a {DERIVED} search, not --search-strategy {self.search_strategy}")
        if self.directly_search:
            object.__setattr__(self, "search_strategy", DERIVED)
        if self.target_hc is None:
            object.__setattr__(self, "target_hc", TARGET)

    def unread(self) -> dict[str, str]:
        """{option: where it is read}: those of a first stage, and of a training in a search that trains nothing."""
        first = {name for name in options_of(FirstStageOptions) if name != "first_stage"}
        idle = {} if self.first_stage else dict.fromkeys(first, "there is no first stage without --first-stage")
        if self.runs is not None:
            idle["results_csv"] = "what --runs leaves is runs.csv"
        if self.directly_search or EVALUATORS.get(self.evaluator) is not SUPERNET:  # one of your own may train
            return idle
        learns = {"loss", "label_smoothing", "sample_strategy"} if self.search_strategy == DERIVED else set()
        trained = dict.fromkeys(
            {*options_of(TrainingOptions), *options_of(SupernetOptions)} - learns,
            "the supernet is trained already (by train_supernet.py, or here with --directly-search)",
        )
        return idle | trained | {"budget_epochs": "evaluations with the weights of a supernet train nothing"}
