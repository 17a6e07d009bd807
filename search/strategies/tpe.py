"""Tree-structured Parzen estimator (Bergstra et al. 2011), by Optuna: pip install 'oneshot-nas[tpe]'."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from math import isnan
from random import Random
from typing import Any

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies.generation import Generation, Told, known_from_json, known_to_json
from search.strategies.random_state import rng_from_json, rng_to_json
from supernet import Architecture

SUGGESTIONS = 2  # per proposal: then mutants of the last one
MUTANTS = 30  # then a random architecture takes its place


class Tpe:
    """Optuna's TPE over the decisions as categories; what it repeats or what is too dear is mutated.

    A decision that does not matter in an architecture is no data: Optuna sees such a trial without it.

    Args:
        constraint: the space and its cost limits; every proposal is within them.
        evaluations: proposals in all.
        startup: random architectures at the beginning, proposed at once.
        objective: what is optimised.
        seed: of every random draw.

    Raises:
        UserError: Optuna is not installed.
    """

    def __init__(
        self,
        constraint: Limits,
        *,
        evaluations: int = 1000,
        startup: int = 20,
        objective: Objective = ACCURACY,
        seed: int = 0,
    ) -> None:
        try:
            self._optuna: Any = importlib.import_module("optuna")
        except ImportError:
            raise UserError("--search-strategy tpe needs Optuna: pip install 'optuna>=4'") from None
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self.constraint = constraint
        self.budget = evaluations
        self.startup = startup
        self.objective = objective
        self._rng = Random(seed)
        self._generation = Generation()
        self._known: dict[Architecture, float] = {}
        self._categories = {
            str(decision): self._optuna.distributions.CategoricalDistribution(list(range(size)))
            for decision, size in enumerate(constraint.space.sizes)
        }
        self._study = self._new_study()

    def ask(self, n: int) -> list[Architecture]:
        """At most n of the proposals that are out; the next one follows when these were told."""
        return self._generation.ask(n, self._learn, self._propose)

    def tell(self, results: Sequence[Result]) -> None:
        for result in results:
            self._generation.tell(result.architecture, (self.objective.score(result),))

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": rng_to_json(self._rng),
            "generation": self._generation.state_dict(),
            "known": known_to_json(self._known),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._generation.load_state_dict(state["generation"])
        self._known, self._study = {}, self._new_study()
        self._learn([(architecture, (score,)) for architecture, score in known_from_json(state["known"]).items()])

    def _new_study(self) -> Any:
        return self._optuna.create_study(direction="maximize")

    def _learn(self, told: Told) -> None:
        """A failed evaluation (NaN) is known, and no data."""
        for architecture, (score,) in told:
            self._known[architecture] = score
            if not isnan(score):
                codes = self.constraint.space.encode([architecture])[0]
                matters = {str(decision): int(option) for decision, option in enumerate(codes) if option >= 0}
                categories = {name: self._categories[name] for name in matters}
                self._study.add_trial(
                    self._optuna.trial.create_trial(params=matters, distributions=categories, value=score)
                )

    def _propose(self) -> list[Architecture]:
        left = self.budget - len(self._known)
        if left <= 0:
            return []
        if len(self._known) >= self.startup:
            architecture = self._suggested()
            if architecture is not None:
                return [architecture]
        missing = max(self.startup - len(self._known), 1)
        return self.constraint.sample_distinct(self._rng, min(missing, left), self._known)

    def _suggested(self) -> Architecture | None:
        # A new sampler each time keeps all randomness in `_rng`, whose state can be saved.
        self._study.sampler = self._optuna.samplers.TPESampler(
            n_startup_trials=2, multivariate=True, constant_liar=False, seed=self._rng.getrandbits(32)
        )
        space, failed = self.constraint.space, self._optuna.trial.TrialState.FAIL
        architecture: Architecture = ()
        for _ in range(SUGGESTIONS):
            trial = self._study.ask(self._categories)
            self._study.tell(trial, state=failed)  # what is evaluated is added with its score
            architecture = space.canonical(tuple(int(trial.params[name]) for name in self._categories))
            if self._is_new(architecture):
                return architecture
        for _ in range(MUTANTS):
            mutant = space.canonical(space.mutate(architecture, self._rng, 1 / len(space.sizes)))
            if self._is_new(mutant):
                return mutant
        return None

    def _is_new(self, architecture: Architecture) -> bool:
        return architecture not in self._known and self.constraint.allows(architecture)
