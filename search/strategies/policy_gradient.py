"""Reinforcement learning: a controller draws architectures and is moved towards those that were better than usual.

The reward is the score; a moving average of it is the baseline, and an entropy term keeps the controller open (ENAS,
Pham et al. 2018). The update is REINFORCE, or PPO's clipped one in mini-batches as NNI's (Schulman et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from random import Random
from typing import Any

import torch
from torch import Tensor

from config_file.errors import choose
from config_file.fields import option
from config_file.options import options
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies.generation import Generation, Told, known_from_json, known_to_json
from search.strategies.random_state import rng_from_json, rng_to_json
from supernet import Architecture
from supernet.controllers import CONTROLLERS

UPDATES = {"reinforce": "one step on all samples", "ppo": "clipped steps in mini-batches"}
ROUNDS = 4  # of samples without anything new, before a mutant of one is proposed
MUTANTS = 30  # then a random architecture takes its place
OUTSIDE = -1.0  # the advantage of a draw outside the limits, in usual spreads
CLIP = 0.2
REPEATS, BATCH = 5, 32  # PPO: passes over the samples, samples of a step


@options("Reinforcement learning")
class PolicyOptions:
    """Reinforcement learning."""

    rl_controller: str = option(
        "factorised",
        "independent decisions, or ENAS's LSTM",
        choices=("factorised", "lstm"),
    )
    rl_update: str = option(
        "reinforce",
        "policy gradient, or PPO's clipped one",
        choices=("reinforce", "ppo"),
    )
    rl_samples: int = option(20, "architectures drawn per update", at_least=1)
    rl_lr: float | None = option(None, "learning rate of Adam; none: 0.1, lstm 0.01", above=0)
    rl_entropy: float = option(1e-4, "weight of the entropy", at_least=0)
    rl_baseline: float = option(0.9, "decay of the moving average of the reward", at_least=0, below=1)


class PolicyGradient:
    """A controller trained by its own samples.

    What was evaluated before is looked up and trains it again; draws outside the limits are never proposed, and train
    it as a bad reward would.

    Args:
        constraint: the space and its cost limits; every proposal is within them.
        evaluations: proposals in all.
        controller: a name in CONTROLLERS.
        update: a name in UPDATES.
        samples: architectures drawn per update.
        lr: of Adam.
        entropy: weight of the entropy beside the reward.
        baseline: decay of the moving average of the reward.
        objective: what is optimised.
        seed: of every random draw.
    """

    def __init__(
        self,
        constraint: Limits,
        *,
        evaluations: int = 1000,
        controller: str = "factorised",
        update: str = "reinforce",
        samples: int = 20,
        lr: float = 0.1,
        entropy: float = 1e-4,
        baseline: float = 0.9,
        objective: Objective = ACCURACY,
        seed: int = 0,
    ) -> None:
        self.constraint = constraint
        self.budget = evaluations
        self.samples = samples
        self.entropy = entropy
        self.decay = baseline
        self.objective = objective
        choose("update", update, UPDATES)
        self.update = update
        make = choose("controller", controller, CONTROLLERS)
        self._rng = Random(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._controller = make(constraint.space.sizes)
        self._optimizer = torch.optim.Adam(self._controller.parameters(), lr=lr)
        self._generation = Generation()
        self._known: dict[Architecture, float] = {}
        self._drawn: list[Architecture] = []  # canonical draws, until they have trained the controller
        self._average: float | None = None
        self._spread: float | None = None

    def ask(self, n: int) -> list[Architecture]:
        """At most n of the samples that are out; the next ones are drawn when these were told."""
        return self._generation.ask(n, self._learn, self._propose)

    def tell(self, results: Sequence[Result]) -> None:
        for result in results:
            self._generation.tell(result.architecture, (self.objective.score(result),))

    def state_dict(self) -> dict[str, Any]:
        adam = self._optimizer.state_dict()["state"]
        return {
            "rng": rng_to_json(self._rng),
            "generation": self._generation.state_dict(),
            "known": known_to_json(self._known),
            "drawn": [list(architecture) for architecture in self._drawn],
            "average": self._average,
            "spread": self._spread,
            "controller": {name: value.tolist() for name, value in self._controller.state_dict().items()},
            "adam": {str(index): {key: value.tolist() for key, value in one.items()} for index, one in adam.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._generation.load_state_dict(state["generation"])
        self._known = known_from_json(state["known"])
        self._drawn = [tuple(architecture) for architecture in state["drawn"]]
        self._average, self._spread = state["average"], state["spread"]
        self._controller.load_state_dict({name: torch.tensor(value) for name, value in state["controller"].items()})
        optimizer = self._optimizer.state_dict()
        optimizer["state"] = {
            int(index): {key: torch.tensor(value) for key, value in one.items()} for index, one in state["adam"].items()
        }
        self._optimizer.load_state_dict(optimizer)

    def _learn(self, told: Told) -> None:
        self._known.update((architecture, score) for architecture, (score,) in told)
        self._train()

    def _propose(self) -> list[Architecture]:
        left = self.budget - len(self._known)
        if left <= 0:
            return []
        for _ in range(ROUNDS):
            drawn = self._draw()
            self._drawn += drawn
            fresh = [architecture for architecture in dict.fromkeys(drawn) if self._is_new(architecture)]
            if fresh:
                return fresh[:left]
        found = self._mutants() or self.constraint.sample_distinct(self._rng, 1, self._known)
        self._drawn += found
        return found

    def _mutants(self) -> list[Architecture]:
        """One that is new, of one of the samples."""
        space = self.constraint.space
        for _ in range(MUTANTS):
            sample = self._rng.choice(self._drawn)
            mutant = space.canonical(space.mutate(sample, self._rng, 1 / len(space.sizes)))
            if self._is_new(mutant):
                return [mutant]
        return []

    def _is_new(self, architecture: Architecture) -> bool:
        return architecture not in self._known and self.constraint.allows(architecture)

    def _draw(self) -> list[Architecture]:
        """Samples of the controller."""
        generator = torch.Generator().manual_seed(self._rng.getrandbits(60))
        rows = self._controller.sample(self.samples, generator).tolist()
        return [self.constraint.space.canonical(tuple(row)) for row in rows]

    def _train(self) -> None:
        """One update; a failed evaluation (NaN) is no sample."""
        inside = [a for a in self._drawn if not isnan(self._known.get(a, nan))]
        outside = [a for a in self._drawn if a not in self._known and not self.constraint.allows(a)]
        self._drawn = []
        if not inside and not outside:
            return
        advantages = torch.cat(
            [self._advantages([self._known[a] for a in inside]), torch.full((len(outside),), OUTSIDE)]
        )
        options = torch.from_numpy(self.constraint.space.encode(inside + outside)).long()
        if self.update == "reinforce":
            log_probability, entropy = self._controller(options)
            self._step((log_probability * advantages + self.entropy * entropy).mean())
            return
        with torch.no_grad():
            before, _ = self._controller(options)
        for _ in range(REPEATS):
            for rows in torch.arange(len(options)).split(BATCH):
                log_probability, entropy = self._controller(options[rows])
                ratio = (log_probability - before[rows]).exp()
                gain = torch.minimum(ratio * advantages[rows], ratio.clamp(1 - CLIP, 1 + CLIP) * advantages[rows])
                self._step((gain + self.entropy * entropy).mean())

    def _advantages(self, rewards: list[float]) -> Tensor:
        """Above the moving average, in units of the usual spread; both move on.

        Accuracies differ by a percent in one space and by fifty in another.
        """
        if not rewards:
            return torch.empty(0)
        values = torch.tensor(rewards, dtype=torch.float64)
        mean, spread = float(values.mean()), float(values.std(correction=0))
        if self._average is None or self._spread is None:
            self._average, self._spread = mean, spread
        advantages = ((values - self._average) / max(self._spread, 1e-12)).float().clamp(-3, 3)
        self._average = self.decay * self._average + (1 - self.decay) * mean
        self._spread = self.decay * self._spread + (1 - self.decay) * spread
        return advantages

    def _step(self, gain: Tensor) -> None:
        self._optimizer.zero_grad()
        (-gain).backward()
        torch.nn.utils.clip_grad_norm_(self._controller.parameters(), 5.0)
        self._optimizer.step()
