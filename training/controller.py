"""A controller of architectures and its policy gradient, from rewards (ENAS, Pham et al. 2018)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from config_file.errors import choose
from config_file.fields import option
from config_file.options import options
from supernet import Architecture
from supernet.controllers import CONTROLLERS, Controller
from supernet.decisions import CONNECTION, DecisionSpace
from training.data.seeds import generator_of, seed_of

CLIP = 0.2  # of PPO, for samples that are learned from again
LONGEST = 5.0  # norm of a gradient


@options("ENAS")
class EnasOptions:
    """ENAS: a controller in turns with the weights; the defaults are those of its authors and of NNI."""

    enas_controller: str = option(
        "lstm",
        "{names}: ENAS's LSTM, or independent decisions",
        metavar="NAME",
        names=CONTROLLERS,
        decides="training",
    )
    enas_lr: float = option(
        3.5e-4, "learning rate of the controller's Adam; short trainings need a larger one", above=0, decides="training"
    )
    enas_samples: int = option(
        20,
        "architectures drawn and rewarded per update of the controller",
        at_least=1,
        at_most=10**4,
        decides="training",
    )
    enas_steps: int | None = option(
        None,
        "updates of the controller per epoch, spread evenly over it (ENAS 50); none: as many as one sample per step "
        "of the weights gives, as NNI",
        at_least=1,
        at_most=10**6,
        decides="training",
    )
    enas_entropy: float = option(1e-4, "weight of the controller's entropy", at_least=0, decides="training")
    enas_baseline: float = option(
        0.999, "decay of the moving average of the reward", at_least=0, below=1, decides="training"
    )
    enas_skip_target: float = option(
        0.4, "share of the connections that is aimed at, where there are any to choose", above=0, below=1,
        decides="training",
    )  # fmt: skip
    enas_skip_weight: float = option(
        0.8, "weight of the divergence of each connection's probability from that", at_least=0, decides="training"
    )
    enas_replay: int = option(
        0,
        "samples of earlier updates that each update learns from again, weighed by how probable they are now (PPO)",
        at_least=0,
        at_most=10**6,
        decides="training",
    )
    enas_warmup_epochs: float = option(
        0.0, "epochs of weights alone, along random paths of the controller", at_least=0, decides="training"
    )
    enas_portion: float = option(
        0.1, "share of the training images that rewards are measured on (ENAS: 5,000 of 50,000)", above=0, below=1,
        decides="training",
    )  # fmt: skip


class PolicyLearner:
    """A controller, and all that changes with it.

    Decisions that do not matter in an architecture (those of a layer that is left out) get no gradient from it.

    Args:
        space: any decisions.
        seed: of the controller's start and of every draw.

    Raises:
        UserError: an unknown controller.
    """

    def __init__(self, space: DecisionSpace, options: EnasOptions, seed: int) -> None:
        self.space, self.options, self._seed = space, options, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("controller", seed))
            kind = choose("controller", options.enas_controller, CONTROLLERS)
            self.controller: Controller = kind(space.sizes)
        self.optimizer = torch.optim.Adam(self.controller.parameters(), lr=options.enas_lr)
        self.connections = [d for d, decision in enumerate(space.decisions) if decision.options == CONNECTION]
        self.baseline: float | None = None
        self.updates = 0
        self._waiting: list[tuple[Architecture, float, float]] = []  # (drawn, reward less baseline, log p), not learned
        self._replay: list[tuple[Architecture, float, float]] = []  # the same of earlier updates, oldest first

    @property
    def lacking(self) -> int:
        """Rewards that the next update still lacks."""
        return self.options.enas_samples - len(self._waiting)

    def draw(self, *of: int | str) -> Architecture:
        """An architecture of the controller as it is, drawn for this purpose and number; not canonical."""
        return tuple(self.controller.sample(1, generator_of("enas", self._seed, *of))[0].tolist())

    def reward(self, drawn: Architecture, reward: float) -> None:
        """Take in the reward of a draw; after so many of them the controller is updated."""
        # b <- decay b + (1 - decay) R, from the first reward on; the advantage is R - b.
        decay = self.options.enas_baseline
        self.baseline = reward if self.baseline is None else decay * self.baseline + (1 - decay) * reward
        options, matters = self._encoded([drawn])
        with torch.no_grad():
            log_probability = float(self.controller(options, matters).log_probability)
        self._waiting.append((drawn, reward - self.baseline, log_probability))
        if len(self._waiting) == self.options.enas_samples:
            self._update()

    def _encoded(self, drawn: Sequence[Architecture]) -> tuple[Tensor, Tensor]:
        """(N, D) option indices as they were drawn, and whether each matters."""
        return torch.tensor(drawn), torch.from_numpy(self.space.encode(drawn)) >= 0

    def _update(self) -> None:
        """One step of Adam up the gradient of E[R] + entropy, less the penalty on connections."""
        count = len(self._waiting)
        samples = self._waiting + self._replay
        options, matters = self._encoded([drawn for drawn, _, _ in samples])
        advantages = torch.tensor([advantage for _, advantage, _ in samples])
        before = torch.tensor([log_probability for _, _, log_probability in samples])
        judged = self.controller(options, matters)
        # 1. REINFORCE: grad E[R] = E[(R - b) grad log p(a)]. Samples of earlier controllers count by p / p_then, and
        #    as PPO's no further than 1 -+ e: min(r A, clip(r) A). At r = 1, that of the new ones, the gradients agree.
        ratio = (judged.log_probability - before).exp()
        clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
        gain = torch.minimum(ratio * advantages, clipped * advantages).sum() / len(samples)
        # 2. Entropy of what was drawn now.
        gain = gain + self.options.enas_entropy * judged.entropy[:count].mean()
        # 3. KL(p || target) of every connection, (N,) each (ENAS, section 2.3).
        gain = gain - self.options.enas_skip_weight * self._divergence([row[:count] for row in judged.rows])
        self.optimizer.zero_grad()
        (-gain).backward()
        torch.nn.utils.clip_grad_norm_(self.controller.parameters(), LONGEST)
        self.optimizer.step()
        self.updates += 1
        keep = self.options.enas_replay
        self._replay = (self._replay + self._waiting)[-keep:] if keep else []
        self._waiting = []

    def _divergence(self, rows: Sequence[Tensor]) -> Tensor:
        """The sum over connections of KL(probabilities || target), mean over the samples: ()."""
        if not self.connections:
            return torch.zeros(())
        target = self.options.enas_skip_target
        logarithms = torch.tensor([1 - target, target]).log()
        chosen = torch.stack([rows[d] for d in self.connections])  # (connections, N, 2)
        return (chosen.exp() * (chosen - logarithms)).sum((0, 2)).mean()

    def state_dict(self) -> dict[str, Any]:
        return {
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline,
            "updates": self.updates,
            "waiting": [[list(drawn), *numbers] for drawn, *numbers in self._waiting],
            "replay": [[list(drawn), *numbers] for drawn, *numbers in self._replay],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline, self.updates = state["baseline"], state["updates"]
        self._waiting, self._replay = (
            [(tuple(drawn), advantage, log_probability) for drawn, advantage, log_probability in state[name]]
            for name in ("waiting", "replay")
        )
