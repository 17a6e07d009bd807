"""Options of the single search strategies, a group for each; `search.strategies` says what they are."""

from dataclasses import dataclass

from config_file.fields import check_options, option


@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """How much a search evaluates, for all strategies that do not count in generations."""

    evaluations: int = option(
        1000, "architectures evaluated, by all strategies but random and evolution", group="Strategy", at_least=1
    )
    objective: str | None = option(
        None,
        "what nsga2, nsga3 and predictor optimise, one or several: accuracy, loss, flops, params or a table's metric, "
        "with :max or :min where it is not the usual; none: accuracy and --info-metric. Other strategies have one, "
        "accuracy unless it is given",
        group="Strategy",
        metavar="NAME[:max|:min]",
        repeat=True,
    )
    proposals: int = option(
        1,
        "architectures proposed at once by regularized_evolution, local_search and bayesian, from the same knowledge",
        group="Strategy",
        at_least=1,
    )
    grid_shuffle: bool = option(False, "grid walks the options of every decision in a random order", group="Strategy")

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class RegularizedEvolutionOptions:
    """Ageing evolution."""

    re_population: int = option(100, "members alive", group="Regularized evolution", at_least=1)
    re_sample: int = option(25, "members of a tournament", group="Regularized evolution", at_least=1)
    re_mutation_prob: float | None = option(
        None,
        "probability to change a decision; none: exactly one changes",
        group="Regularized evolution",
        above=0,
        at_most=1,
    )
    re_crossover: bool = option(
        False, "cross two winners decision by decision before the mutation", group="Regularized evolution"
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class LocalSearchOptions:
    """Local search over networks that differ in one decision."""

    ls_improvement: str = option(
        "first",
        "move to the first better neighbour, or to the best of all",
        group="Local search",
        choices=("first", "best"),
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class BayesianOptions:
    """Bayesian optimisation and TPE."""

    startup: int = option(20, "random architectures before tpe and bayesian begin", group="Bayesian", at_least=2)
    bo_pool: int = option(
        200, "bayesian: random candidates per step; neighbours of the best come on top", group="Bayesian", at_least=1
    )
    bo_acquisition: str = option(
        "ei", "expected improvement or upper confidence bound", group="Bayesian", choices=("ei", "ucb")
    )
    bo_kappa: float = option(2.576, "ucb: standard deviations above the mean", group="Bayesian", at_least=0)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class PolicyOptions:
    """Reinforcement learning."""

    rl_controller: str = option(
        "factorised",
        "independent decisions, or ENAS's LSTM",
        group="Reinforcement learning",
        choices=("factorised", "lstm"),
    )
    rl_update: str = option(
        "reinforce",
        "policy gradient, or PPO's clipped one",
        group="Reinforcement learning",
        choices=("reinforce", "ppo"),
    )
    rl_samples: int = option(20, "architectures drawn per update", group="Reinforcement learning", at_least=1)
    rl_lr: float | None = option(
        None, "learning rate of Adam; none: 0.1, lstm 0.01", group="Reinforcement learning", above=0
    )
    rl_entropy: float = option(1e-4, "weight of the entropy", group="Reinforcement learning", at_least=0)
    rl_baseline: float = option(
        0.9, "decay of the moving average of the reward", group="Reinforcement learning", at_least=0, below=1
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class PredictorOptions:
    """Search on predictors of what was measured."""

    inner_evaluations: int = option(5000, "predictions per round of predictor", group="Predictor", at_least=1)
    warm_start: str | None = option(
        None, "archive.jsonl or results.csv that predictor learns from first", group="Predictor", metavar="FILE"
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class OneStrategyOptions(
    PredictorOptions, PolicyOptions, BayesianOptions, LocalSearchOptions, RegularizedEvolutionOptions, BudgetOptions
):
    """What only some strategies read."""

    def __post_init__(self) -> None:
        check_options(self)
