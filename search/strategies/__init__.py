"""Search strategies: small objects that propose architectures and are told what became of them.

A strategy holds no model and does no input or output; the same object searches a supernet, real training or a table.
A new one is one file with a class as below and one entry in STRATEGIES, or `package.module:callable` from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError, choose
from config_file.plugins import is_reference
from config_file.stages import find_stage
from lookup_tables import CostTable
from lookup_tables.limits import Limits
from lookup_tables.loading import tables_of
from search.objectives import ACCURACY, Objective, parse_objectives, single
from search.result import Result
from search.strategies.bayesian import BayesianOptimization
from search.strategies.evolution import Evolution
from search.strategies.grid import GridSearch
from search.strategies.learnt import LearntDistribution
from search.strategies.local_search import LocalSearch
from search.strategies.nsga import Nsga
from search.strategies.own import OwnStrategy
from search.strategies.policy_gradient import PolicyGradient
from search.strategies.predictor import PredictorSearch
from search.strategies.random_search import RandomSearch
from search.strategies.regularized_evolution import RegularizedEvolution
from search.strategies.tpe import Tpe
from search.warm_start import read_results
from supernet import Architecture, SearchSpace
from training.differentiable_search.distribution_file import Distribution, load_distribution


class Strategy(Protocol):
    """What the search loop needs."""

    @property
    def budget(self) -> int | None:
        """The greatest number of proposals, None if not known beforehand."""

    def ask(self, n: int) -> list[Architecture]:
        """At most n canonical architectures within the limits; [] when the search is over. Ask again after `tell`."""

    def tell(self, results: Sequence[Result]) -> None:
        """The results of everything asked since; `failed` ones included."""

    def state_dict(self) -> dict[str, Any]:
        """The whole state, random numbers included, as JSON."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""


StrategyFactory = Callable[[Limits, Any], Strategy]
"""(the space and its limits, the options of the search stage) -> a strategy."""


def make_random(constraint: Limits, options: Any) -> Strategy:
    """`random`."""
    return RandomSearch(constraint, iterations=options.random_iteration, dedup=options.dedup, seed=options.random_seed)


def make_evolution(constraint: Limits, options: Any) -> Strategy:
    """`evolution`."""
    return Evolution(
        constraint,
        population=options.population,
        parent_num=options.parent_num,
        generation_num=options.generation_num,
        mutation_prob=options.mutation_prob,
        dedup=options.dedup,
        objective=single(objectives_of(options), options.search_strategy),
        seed=options.random_seed,
        **choose("evolution form", options.evolution_form, FORMS)(options),
    )


def make_grid(constraint: Limits, options: Any) -> Strategy:
    """`grid`."""
    return GridSearch(
        constraint, evaluations=options.evaluations, shuffle=options.grid_shuffle, seed=options.random_seed
    )


def make_regularized_evolution(constraint: Limits, options: Any) -> Strategy:
    """`regularized_evolution`."""
    return RegularizedEvolution(
        constraint,
        evaluations=options.evaluations,
        population=options.re_population,
        sample_size=options.re_sample,
        mutation_prob=options.re_mutation_prob,
        crossover=options.re_crossover,
        dedup=options.dedup,
        proposals=options.proposals,
        objective=single(objectives_of(options), options.search_strategy),
        seed=options.random_seed,
    )


def make_local_search(constraint: Limits, options: Any) -> Strategy:
    """`local_search`."""
    return LocalSearch(
        constraint,
        evaluations=options.evaluations,
        improvement=options.ls_improvement,
        proposals=options.proposals,
        objective=single(objectives_of(options), options.search_strategy),
        seed=options.random_seed,
    )


def objectives_of(options: Any) -> tuple[Objective, ...]:
    """What the search optimises: accuracy unless told otherwise, and the limited cost where it searches a front."""
    if options.objective or options.search_strategy not in OF_A_FRONT:
        return parse_objectives(options.objective)
    return ACCURACY, Objective(options.info_metric)


def make_nsga(survival: str, constraint: Limits, options: Any) -> Strategy:
    """`nsga2` and `nsga3`."""
    return Nsga(
        constraint,
        objectives=objectives_of(options),
        evaluations=options.evaluations,
        population=options.population,
        survival=survival,
        dedup=options.dedup,
        seed=options.random_seed,
    )


def make_predictor(constraint: Limits, options: Any) -> Strategy:
    """`predictor`."""
    objectives = objectives_of(options)
    space, first = constraint.space, constraint.first
    assert isinstance(space, SearchSpace)
    metrics = dict.fromkeys(objective.name for objective in objectives if not objective.measured)
    resolution = space.input_shape[1] if first is None else first.table.resolution
    tables = tables_of(options, space, resolution, metrics)
    costs = {metric: partial(cost_of, one) for metric, one in tables.items()}
    measured = read_results(options.warm_start, space, objectives) if options.warm_start else []
    return PredictorSearch(
        constraint,
        objectives=objectives,
        costs=costs,
        evaluations=options.evaluations,
        population=options.population,
        inner_evaluations=options.inner_evaluations,
        measured=[
            replace(result, cost={metric: float(cost([result.architecture])[0]) for metric, cost in costs.items()})
            for result in measured
        ],
        seed=options.random_seed,
    )


def cost_of(table: CostTable, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    """(N,) costs."""
    return table.cost(np.asarray(architectures))


def make_tpe(constraint: Limits, options: Any) -> Strategy:
    """`tpe`."""
    return Tpe(
        constraint,
        evaluations=options.evaluations,
        startup=options.startup,
        objective=single(objectives_of(options), options.search_strategy),
        seed=options.random_seed,
    )


def make_bayesian(constraint: Limits, options: Any) -> Strategy:
    """`bayesian`."""
    return BayesianOptimization(
        constraint,
        evaluations=options.evaluations,
        startup=options.startup,
        pool=options.bo_pool,
        acquisition=options.bo_acquisition,
        kappa=options.bo_kappa,
        proposals=options.proposals,
        objective=single(objectives_of(options), options.search_strategy),
        seed=options.random_seed,
    )


def make_rl(constraint: Limits, options: Any) -> Strategy:
    """`rl`."""
    return PolicyGradient(
        constraint,
        evaluations=options.evaluations,
        controller=options.rl_controller,
        update=options.rl_update,
        samples=options.rl_samples,
        lr=options.rl_lr or {"factorised": 0.1, "lstm": 0.01}[options.rl_controller],
        entropy=options.rl_entropy,
        baseline=options.rl_baseline,
        objective=single(objectives_of(options), options.search_strategy),
        seed=options.random_seed,
    )


def make_differentiable(constraint: Limits, options: Any, distribution: Distribution | None = None) -> Strategy:
    """`differentiable`: of the distribution that was learnt with the supernet, unless one is given."""
    space = constraint.space
    assert isinstance(space, SearchSpace)
    if distribution is None:
        distribution = load_distribution(find_stage(options, "supernet"), space)
    return LearntDistribution(constraint, distribution, samples=options.a_samples, seed=options.random_seed)


def osnaslib_form(options: Any) -> dict[str, Any]:
    """What makes `Evolution` OSNASLib's: parents stay, children of two of them fill the population."""
    if options.parent_num >= options.population:
        raise UserError(
            f"--parent-num {options.parent_num} leaves no room for children in --population {options.population}"
        )
    return {"crossover": options.crossover or "single_point"}


def spos_form(options: Any) -> dict[str, Any]:
    """What makes `Evolution` SPOS's: mutants, uniform crossovers, and random architectures for the rest."""
    size, mutants, crossed = options.population, options.mutation_num, options.crossover_num
    if mutants is None:
        mutants = min(size // 2, size - (crossed or 0))
    if crossed is None:
        crossed = min(size // 2, size - mutants)
    return {
        "generation_size": size,
        "children": {"mutation": mutants, "crossover": crossed},
        "crossover": options.crossover or "uniform",
    }


FORMS: dict[str, Callable[[Any], dict[str, Any]]] = {"osnaslib": osnaslib_form, "spos": spos_form}

STRATEGIES: dict[str, StrategyFactory] = {
    "random": make_random,
    "grid": make_grid,
    "evolution": make_evolution,
    "regularized_evolution": make_regularized_evolution,
    "local_search": make_local_search,
    "tpe": make_tpe,
    "bayesian": make_bayesian,
    "rl": make_rl,
    "nsga2": partial(make_nsga, "nsga2"),
    "nsga3": partial(make_nsga, "nsga3"),
    "predictor": make_predictor,
    "differentiable": make_differentiable,
}

OF_A_FRONT = ("nsga2", "nsga3", "predictor")
"""The strategies that take several objectives."""


def make_strategy(name: str, constraint: Limits, options: Any) -> Strategy:
    """A registered strategy, or the user's own `package.module:callable`, which is called like the registered ones.

    Raises UserError for an unknown name or options that do not fit.
    """
    if options.warm_start and name != "predictor" and not is_reference(name):
        raise UserError(f"--warm-start is for --search-strategy predictor: {name} learns only from what it measures")
    if is_reference(name):
        return OwnStrategy(name, constraint, options)
    return choose("search strategy", name, STRATEGIES)(constraint, options)
