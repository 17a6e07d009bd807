"""Search strategies: small objects that propose architectures and are told what became of them.

A strategy holds no model, does no input or output and knows no budget; the same object searches a supernet, real
training or a table. It is a function of its seed and of what it was told: a search is resumed by telling it again.
A new one is one file with a class as below and one entry in STRATEGIES, or `package.module:callable` from outside.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from config_file.errors import UserError, choose
from config_file.options import part_of
from config_file.plugins import is_reference, load_object, reference_of
from search.objectives import single
from search.problem import Problem
from search.result import Result
from search.strategies.bayesian import BayesianOptimization
from search.strategies.controller_draws import TrainedController
from search.strategies.evolution import Evolution
from search.strategies.generation import Generational
from search.strategies.genetic import Genetic
from search.strategies.grid import GridSearch
from search.strategies.learned_distribution import LearnedDistribution
from search.strategies.local_search import LocalSearch
from search.strategies.mf_nas import MfNas, RMfNas
from search.strategies.mfasc import Mfasc
from search.strategies.mfkd import Mfkd1, Mfkd2
from search.strategies.nsga import Nsga2, Nsga3
from search.strategies.own import OwnStrategy
from search.strategies.policy_gradient import PolicyGradient
from search.strategies.predictor import PredictorSearch
from search.strategies.random_search import RandomSearch
from search.strategies.regularized_evolution import RegularizedEvolution
from search.strategies.structured import StructuredSearch
from search.strategies.tpe import Tpe
from supernet import Architecture


class Strategy(Protocol):
    """A made strategy.

    Its class is called (problem, options, seed). As far as they apply it has

    Options: the class of the options it reads.
    front: True where it takes several objectives.
    needs_distribution: True where it proposes from what was learned by gradients.
    needs_controller: True where it proposes what a controller draws that was trained with the supernet.
    random_start: the option that says how many random architectures it begins with, for the report.
    takes_candidates: False where it does not begin with what a first stage has found (`Problem.candidates`).
    first_stage: the zero-cost score of a first stage that it cannot do without.
    first_choice: what it takes of that, best or spread, unless an option says it.
    score: the score that a search by it is chosen by, unless --score says another; what it is told is as measured then.
    population: how many it wants to be asked for, and halved, at once.
    rung: the position of the fidelity that it wants its proposals to be evaluated at, set by `ask`; None: by schedule.
    rounds: of every round of predictions {objective: its predictor}, which are logged and reported.
    roles: of what a local search has met: "start", "middle" or "optimum" by architecture.
    retell: takes newer scores of everything told, and of what is told next; without it there is no --score but raw.
    generation_sizes: a function of the saved options to the sizes of the first and of later generations, for the same.
    """

    @property
    def size(self) -> int | None:
        """The greatest number of proposals by its nature; None where only a budget ends it."""

    def ask(self, n: int) -> list[Architecture]:
        """At most n canonical architectures within the limits; [] when there are no more. Ask again after `tell`."""

    def tell(self, results: Sequence[Result]) -> None:
        """The results of everything asked since; `failed` ones included."""


StrategyFactory = Callable[[Problem, Any, int], Strategy]
"""(problem, options, seed) -> a strategy."""

STRATEGIES: dict[str, StrategyFactory] = {
    "random": RandomSearch,
    "grid": GridSearch,
    "evolution": Evolution,
    "regularized_evolution": RegularizedEvolution,
    "genetic": Genetic,
    "local_search": LocalSearch,
    "mf_nas": MfNas,
    "r_mf_nas": RMfNas,
    "tpe": Tpe,
    "bayesian": BayesianOptimization,
    "mfkd1": Mfkd1,
    "mfkd2": Mfkd2,
    "mfasc": Mfasc,
    "rl": PolicyGradient,
    "nsga2": Nsga2,
    "nsga3": Nsga3,
    "predictor": PredictorSearch,
    "structured": StructuredSearch,
    "differentiable": LearnedDistribution,
    "controller": TrainedController,
}


def entry_of(name: str) -> StrategyFactory:
    """A registered class, or the user's own callable. Raises UserError for an unknown name."""
    factory: StrategyFactory = load_object(name) if is_reference(name) else choose("search strategy", name, STRATEGIES)
    return factory


def searches_front(name: str) -> bool:
    """True for a strategy that takes several objectives."""
    return bool(getattr(entry_of(name), "front", False))


def needs_distribution(name: str) -> bool:
    """True for a strategy that proposes from what was learned by gradients."""
    return bool(getattr(entry_of(name), "needs_distribution", False))


def needs_controller(name: str) -> bool:
    """True for a strategy that proposes what a controller draws that was trained with the supernet."""
    return bool(getattr(entry_of(name), "needs_controller", False))


def takes_candidates(name: str) -> bool:
    """True for a strategy that begins with what a first stage has found; one of the user's own may."""
    return bool(getattr(entry_of(name), "takes_candidates", True))


def takes_warm_start(name: str) -> bool:
    """True for a strategy that learns from earlier results; one of the user's own may."""
    entry = entry_of(name)
    own = is_reference(name) or reference_of(name, entry, "search") is not None
    return own or hasattr(getattr(entry, "Options", None), "warm_start")


def make_strategy(name: str, problem: Problem, options: Any, seed: int | None = None) -> Strategy:
    """A registered strategy, or the user's own `package.module:callable`, which is called like the registered ones.

    Args:
        seed: another one than that of the options.

    Raises UserError for an unknown name or options that do not fit.
    """
    entry = entry_of(name)
    seed = options.random_seed if seed is None else seed
    part = getattr(entry, "Options", None)
    settings = options if part is None else part_of(options, part)
    if isinstance(entry, type) and issubclass(entry, Generational) and not entry.front:
        single(problem.objectives, name)
    reference = name if is_reference(name) else reference_of(name, entry, "search")
    if reference is not None:
        return OwnStrategy(name, reference, partial(entry, problem, settings, seed), problem.space)
    if options.warm_start and not takes_warm_start(name):
        raise UserError(f"--warm-start is for --search-strategy predictor: {name} learns only from what it measures")
    return entry(problem, settings, seed)
