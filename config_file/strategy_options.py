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
        "architectures proposed at once by regularized_evolution and local_search, from the same knowledge",
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
        "probability to change a decision; none: one decision on average",
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
class OneStrategyOptions(LocalSearchOptions, RegularizedEvolutionOptions, BudgetOptions):
    """What only some strategies read."""

    def __post_init__(self) -> None:
        check_options(self)
