"""Tree-structured Parzen estimator (Bergstra et al. 2011), by Optuna: pip install 'oneshot-nas[tpe]'."""

import importlib
from typing import Any, ClassVar

from config_file.errors import UserError
from search.problem import Problem
from search.strategies.breeding import Breeding, one_on_average
from search.strategies.generation import Generational, Told
from search.strategies.shared_options import StartupOptions
from supernet import Architecture

SUGGESTIONS = 2  # per proposal: then mutants of the last one
MUTANTS = 30  # then a random architecture takes its place


class Tpe(Generational):
    """Optuna's TPE over the decisions as categories; what it repeats or what is too dear is mutated.

    A decision that does not matter in an architecture is no data: Optuna sees such a trial without it.

    Raises:
        UserError: Optuna is not installed.
    """

    Options = StartupOptions
    random_start: ClassVar[str] = "startup"

    def __init__(self, problem: Problem, options: StartupOptions, seed: int) -> None:
        super().__init__(problem, seed)
        try:
            self._optuna: Any = importlib.import_module("optuna")
        except ImportError:
            raise UserError("--search-strategy tpe needs Optuna: pip install 'optuna>=4'") from None
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self._startup = options.startup
        self._categories = {
            str(decision): self._optuna.distributions.CategoricalDistribution(list(range(size)))
            for decision, size in enumerate(self.space.sizes)
        }
        self._study: Any = self._optuna.create_study(direction="maximize")

    def learn(self, told: Told) -> None:
        for architecture, (score,) in told:
            codes = self.space.encode([architecture])[0]
            matters = {str(decision): int(option) for decision, option in enumerate(codes) if option >= 0}
            categories = {name: self._categories[name] for name in matters}
            self._study.add_trial(
                self._optuna.trial.create_trial(params=matters, distributions=categories, value=score)
            )

    def propose(self) -> list[Architecture]:
        if len(self.visited) >= self._startup:
            architecture = self._suggested()
            if architecture is not None:
                return [architecture]
        missing = max(self._startup - len(self.visited), 1)
        return self.beginning(missing)

    def _suggested(self) -> Architecture | None:
        # A new sampler each time: all randomness is that of `rng`, whatever was asked of Optuna before.
        self._study.sampler = self._optuna.samplers.TPESampler(
            n_startup_trials=2, multivariate=True, constant_liar=False, seed=self.rng.getrandbits(32)
        )
        failed = self._optuna.trial.TrialState.FAIL
        architecture: Architecture = ()
        for _ in range(SUGGESTIONS):
            trial = self._study.ask(self._categories)
            self._study.tell(trial, state=failed)  # what is evaluated is added with its score
            architecture = self.space.canonical(tuple(int(trial.params[name]) for name in self._categories))
            if architecture not in self.visited and self.limits.allows(architecture):
                return architecture
        attempts = range(MUTANTS)
        return Breeding(
            self.limits, self.rng, lambda: architecture, self.visited, attempts, mutation=one_on_average
        ).child()
