"""Reinforcement learning: a controller draws architectures and is moved towards those that were better than usual.

The reward is the score; a moving average of it is the baseline, and an entropy term keeps the controller open (ENAS,
Pham et al. 2018). The update is REINFORCE, or PPO's clipped one in mini-batches as NNI's (Schulman et al. 2017).
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.breeding import Breeding, one_on_average
from search.strategies.generation import Generational, Scores, Told
from supernet import Architecture
from supernet.controllers import CONTROLLERS

ROUNDS = 4  # of samples without anything new, before a mutant of one is proposed
MUTANTS = 30  # then a random architecture takes its place
OUTSIDE = -1.0  # the advantage of a draw outside the limits, in usual spreads
CLIP = 0.2
REPEATS, BATCH = 5, 32  # PPO: passes over the samples, samples of a step


LEARNING_RATES = {"factorised": 0.1, "lstm": 0.01}


@options("Reinforcement learning")
class PolicyOptions:
    """Reinforcement learning."""

    rl_controller: str = option("factorised", "independent decisions, or ENAS's LSTM", choices=("factorised", "lstm"))
    rl_update: str = option("reinforce", "policy gradient, or PPO's clipped one", choices=("reinforce", "ppo"))
    rl_samples: int = option(20, "architectures drawn per update", at_least=1, at_most=10**4)
    rl_lr: float | None = option(None, "learning rate of Adam; none: 0.1, lstm 0.01", above=0)
    rl_entropy: float = option(1e-4, "weight of the entropy", at_least=0)
    rl_baseline: float = option(0.9, "decay of the moving average of the reward", at_least=0, below=1)


class PolicyGradient(Generational):
    """A controller trained by its own samples.

    What was evaluated before is looked up and trains it again; draws outside the limits are never proposed, and train
    it as a bad reward would.
    """

    Options = PolicyOptions
    takes_candidates: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: PolicyOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._options = options
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._controller = CONTROLLERS[options.rl_controller](self.space.sizes)
        rate = options.rl_lr or LEARNING_RATES[options.rl_controller]
        self._optimizer = torch.optim.Adam(self._controller.parameters(), lr=rate)
        self._scores: dict[Architecture, float] = {}
        self._drawn: list[Architecture] = []  # canonical draws, until they have trained the controller
        self._average: float | None = None
        self._spread: float | None = None

    def learn(self, told: Told) -> None:
        self._scores.update((architecture, score) for architecture, (score,) in told)
        self._train()

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._scores.update((member, scores[member][0]) for member in self._scores if member in scores)

    def propose(self) -> list[Architecture]:
        for _ in range(ROUNDS):
            drawn = self._draw()
            self._drawn += drawn
            fresh = [a for a in dict.fromkeys(drawn) if a not in self.visited and self.limits.allows(a)]
            if fresh:
                return fresh
        attempts = range(MUTANTS)
        mutant = Breeding(
            self.limits, self.rng, lambda: self.rng.choice(self._drawn), self.visited, attempts, mutation=one_on_average
        ).child()
        found = self.limits.sample_distinct(self.rng, 1, self.visited) if mutant is None else [mutant]
        self._drawn += found
        return found

    def _draw(self) -> list[Architecture]:
        """Samples of the controller."""
        generator = torch.Generator().manual_seed(self.rng.getrandbits(60))
        rows = self._controller.sample(self._options.rl_samples, generator).tolist()
        return [self.space.canonical(tuple(row)) for row in rows]

    def _train(self) -> None:
        """One update on everything drawn since the last one; a failed evaluation is no sample."""
        inside = [a for a in self._drawn if a in self._scores]
        outside = [a for a in self._drawn if a not in self.visited and not self.limits.allows(a)]
        self._drawn = []
        if not inside and not outside:
            return
        advantages = torch.cat(
            [self._advantages([self._scores[a] for a in inside]), torch.full((len(outside),), OUTSIDE)]
        )
        options = torch.from_numpy(self.space.encode(inside + outside)).long()
        # REINFORCE: the gradient of E[reward] is E[advantage grad log p(a)].
        if self._options.rl_update == "reinforce":
            log_probability, entropy = self._controller(options)
            self._step((log_probability * advantages + self._options.rl_entropy * entropy).mean())
            return
        with torch.no_grad():
            before, _ = self._controller(options)
        # PPO: the mean of min(r A, clip(r, 1 - e, 1 + e) A) with r = p(a) / p_before(a) (equation 7).
        for _ in range(REPEATS):
            for rows in torch.arange(len(options)).split(BATCH):
                log_probability, entropy = self._controller(options[rows])
                ratio = (log_probability - before[rows]).exp()
                gain = torch.minimum(ratio * advantages[rows], ratio.clamp(1 - CLIP, 1 + CLIP) * advantages[rows])
                self._step((gain + self._options.rl_entropy * entropy).mean())

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
        self._average = self._options.rl_baseline * self._average + (1 - self._options.rl_baseline) * mean
        self._spread = self._options.rl_baseline * self._spread + (1 - self._options.rl_baseline) * spread
        return advantages

    def _step(self, gain: Tensor) -> None:
        self._optimizer.zero_grad()
        (-gain).backward()
        torch.nn.utils.clip_grad_norm_(self._controller.parameters(), 5.0)
        self._optimizer.step()
