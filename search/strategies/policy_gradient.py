"""Reinforcement learning: a controller draws architectures and is moved towards those that were better than usual.

The reward is the score; a moving average of it is the baseline, and an entropy term keeps the controller open (ENAS,
Pham et al. 2018). The update is REINFORCE, or PPO's clipped one in mini-batches as NNI's (Schulman et al. 2017).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.controller_draws import ControllerDraws
from search.strategies.generation import Scores, Told
from supernet import Architecture
from supernet.controllers import CONTROLLERS

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


class PolicyGradient(ControllerDraws):
    """A controller trained by its own samples.

    What was evaluated before is looked up and trains it again; draws outside the limits are never proposed, and train
    it as a bad reward would.
    """

    Options = PolicyOptions

    def __init__(self, problem: Problem, options: PolicyOptions, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            controller = CONTROLLERS[options.rl_controller](problem.space.sizes)
        super().__init__(problem, seed, controller, options.rl_samples)
        self._options = options
        rate = options.rl_lr or LEARNING_RATES[options.rl_controller]
        self._optimizer = torch.optim.Adam(controller.parameters(), lr=rate)
        self._scores: dict[Architecture, float] = {}
        self._average: float | None = None
        self._spread: float | None = None

    def learn(self, told: Told) -> None:
        self._scores.update((architecture, score) for architecture, (score,) in told)
        self._train()

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._scores.update((member, scores[member][0]) for member in self._scores if member in scores)

    def _train(self) -> None:
        """One update on everything drawn since the last one; a failed evaluation is no sample."""
        inside = [a for a in self.drawn if a in self._scores]
        outside = [a for a in self.drawn if a not in self.visited and not self.limits.allows(a)]
        self.drawn = []
        if not inside and not outside:
            return
        advantages = torch.cat(
            [self._advantages([self._scores[a] for a in inside]), torch.full((len(outside),), OUTSIDE)]
        )
        encoded = torch.from_numpy(self.space.encode(inside + outside)).long()
        options, matters = encoded.clamp(min=0), encoded >= 0
        # REINFORCE: the gradient of E[reward] is E[advantage grad log p(a)].
        if self._options.rl_update == "reinforce":
            log_probability, entropy, _ = self.controller(options, matters)
            self._step((log_probability * advantages + self._options.rl_entropy * entropy).mean())
            return
        with torch.no_grad():
            before = self.controller(options, matters).log_probability
        # PPO: the mean of min(r A, clip(r, 1 - e, 1 + e) A) with r = p(a) / p_before(a) (equation 7).
        for _ in range(REPEATS):
            for rows in torch.arange(len(options)).split(BATCH):
                log_probability, entropy, _ = self.controller(options[rows], matters[rows])
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
        torch.nn.utils.clip_grad_norm_(self.controller.parameters(), 5.0)
        self._optimizer.step()
