"""The steps of the architecture parameters: each on a batch of images that the weights do not see."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from config_file.errors import UserError, choose
from supernet import Architecture
from supernet.relaxations import RELAXATIONS, Relaxation, settle
from supernet.supernet import Gates
from training.data.endless import EndlessBatches
from training.device import seed_step
from training.differentiable_search.gradient import Gradient, WeightUpdate, first_order, second_order
from training.differentiable_search.hardware import Hardware
from training.differentiable_search.options import architecture_optimizer, architecture_steps
from training.differentiable_search.skipping import most_skips
from training.optimizers import make_optimizer
from training.trainer import Context

HALF_SCALE = 2.0**10  # keeps the small gradients of float16


class ArchitectureLearner:
    """The architecture parameters of a supernet, and all that changes with them.

    Args:
        context: its supernet's weights are only read here; its images are never those that weights are fitted on.
        hardware: costs that count, or None.
        relaxation: its name, unless --relaxation names another.
        epochs, steps_per_epoch: of the weights' training, for the temperature.

    Raises:
        UserError: an unknown relaxation, or one that cannot mix the options of this space.
    """

    def __init__(
        self,
        context: Context,
        hardware: Hardware | None,
        *,
        relaxation: str,
        epochs: int,
        steps_per_epoch: int,
    ) -> None:
        options = context.options
        self.context, self.options = context, options
        self.supernet, self.images = context.supernet, context.images
        self.hardware = hardware
        self.multipliers = None if hardware is None else hardware.multipliers
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        self.steps = architecture_steps(options, epochs, steps_per_epoch)
        context.ranks.check(context.batch_size)
        name = options.relaxation or relaxation
        kind = choose("relaxation", name, RELAXATIONS)
        if context.space.images is not None:
            raise UserError(f"{context.space.name}: the image size is a decision, which no relaxation follows: fix it")
        self.parameters = kind.parameters(self.supernet, context.seed).to(context.device)
        self._start = self.parameters.logits.detach().clone()
        self._accepted: Tensor | None = None  # logits of the last epoch that kept to --max-skips
        self.stopped = False
        self.relaxation = Relaxation(name, self.parameters, context.seed)
        self.optimizer_name, self.rate = architecture_optimizer(options, self.relaxation.scaled, self.steps)
        self.optimizer = make_optimizer(
            self.optimizer_name,
            [self.parameters.logits],
            self.rate,
            options.a_momentum,
            options.a_weight_decay,
            alpha=options.a_alpha,
            beta=options.a_beta,
            beta2=options.a_beta2,
        )
        self._batches = EndlessBatches(
            self.images,
            options.batch_size,
            seed=context.seed,
            device=context.device,
            channels_last=options.channels_last,
            part=context.ranks.part,
        )

    # ---- steps

    def temperature(self, step: int) -> float:
        """The temperature at a step of the weights: constant, linear in the epochs (NNI) or exponential (FBNet)."""
        options, epoch = self.options, step // self.steps_per_epoch
        if options.temperature_schedule == "linear":
            share = epoch / max(1, self.epochs)
            return options.temperature + share * (options.temperature_end - options.temperature)
        if options.temperature_schedule == "exponential":
            return options.temperature * math.exp(-options.temperature_decay * epoch)
        return options.temperature

    @torch.no_grad()
    def mixture(self, step: int) -> Gates:
        """The gates that the weights' step trains where they are soft."""
        return self.relaxation.gates_at(-1 - step, self.temperature(step)).gates

    def step(
        self,
        step: int,
        batch: tuple[Tensor, Tensor, int] | None = None,
        weight_update: Callable[[], WeightUpdate] | None = None,
    ) -> None:
        """The architecture's step before step `step` of the weights, if there is one.

        For second order it needs the images (B, C, H, W) and targets of that step, this rank's part of a batch of so
        many, and its `weight_update`.
        """
        number = self._number(step)
        if number is None:
            return
        seed_step(self.context.device, self.context.seed, -1 - step)
        images, labels = self._batches[number]
        temperature = self.temperature(step)
        # Estimators are functions of (seed, number): each call below draws the same gates, with a graph of its own.
        drawn = self.relaxation.gates_at(number, temperature)
        logits, costs, pulls = self.parameters.logits, None, None
        if self.hardware is not None:
            weights = self.parameters.priced() if drawn.priced is None else drawn.priced
            costs = self.hardware.expected(self.parameters.by_decision(weights))
        if self.multipliers is not None and costs is not None:
            excess = self.multipliers.excess(costs)
            pulls = torch.stack([torch.autograd.grad(g, logits, retain_graph=True)[0] for g in excess])

        def penalised(x: Tensor, y: Tensor) -> Tensor:
            loss = self._objective(number, temperature, x, y)
            # L_val + the penalty on E_p[cost], or the constraints' terms of the Lagrangian
            return loss if self.hardware is None or costs is None else self.hardware.penalised(loss, costs)

        validation = self._gradient(penalised, images, labels, self.context.batch_size)
        if self.options.a_order == 1:
            gradient = first_order(logits, validation)
        else:
            assert batch is not None
            assert weight_update is not None
            training = self._gradient(partial(self._objective, number, temperature), *batch)
            gradient = second_order(logits, self.supernet, weight_update(), training, validation)
        # The step on a; of a sampled pair its share of p is kept (ProxylessNAS); then dual ascent of the multipliers.
        before = logits.detach().clone()
        gradient = gradient / self._loss_scale
        if self.multipliers is not None and costs is not None and pulls is not None:
            factors = self.multipliers.factors(costs.detach()).to(pulls.dtype)
            self.multipliers.measure(gradient - torch.tensordot(factors, pulls, 1), pulls)
            self.multipliers.ascend(costs.detach())
        logits.grad = gradient
        self.optimizer.step()
        logits.grad = None
        settle(logits, before, drawn.involved)

    def _objective(self, number: int, temperature: float, images: Tensor, labels: Tensor) -> Tensor:
        """The task's loss () of images (B, C, H, W); a score function of first order needs no gradient of its paths."""
        scored = self.relaxation.kind.scored and self.options.a_order == 1

        def loss_of(choice: Gates | Architecture) -> Tensor:
            with torch.set_grad_enabled(not scored and torch.is_grad_enabled()):
                return self.context.task_pass(choice)(images, labels)[0]

        return self.relaxation.objective(loss_of, number, temperature, self.options.a_paths)

    def made(self, step: int) -> int:
        """The number of architecture steps made before step `step` of the weights."""
        since = step - round(self.options.a_warmup_epochs * self.steps_per_epoch)
        return max(0, -(-since // self.options.a_every))

    @torch.no_grad()
    def moved(self) -> float:
        """The greatest change of a logit, or of a threshold, since the beginning."""
        return float((self.parameters.logits - self._start).abs().max())

    def _number(self, step: int) -> int | None:
        """The number of architecture steps before this one; None if step `step` of the weights has none."""
        since = step - round(self.options.a_warmup_epochs * self.steps_per_epoch)
        return None if since < 0 or since % self.options.a_every else since // self.options.a_every

    @property
    def _loss_scale(self) -> float:
        return HALF_SCALE if self.context.amp is torch.float16 else 1.0

    def _gradient(self, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, batch_size: int) -> Gradient:
        """Of the scaled loss over a whole batch, of which (x, y) is this rank's part."""

        def scaled(x: Tensor, y: Tensor) -> Tensor:
            return loss(x, y) if self._loss_scale == 1.0 else loss(x, y) * self._loss_scale

        over, modules = self.context.ranks, self.context.modules
        return lambda inputs: over.gradient(scaled, inputs, x, y, batch_size, modules)

    def end_epoch(self, step: int) -> str:
        """See to --max-skips after `step` steps of the weights; a line where the learning has ended by it, else "".

        What was learnt an epoch before is then kept. Where no epoch has kept to it yet, there is nothing to go back to.
        """
        limit = self.options.max_skips
        if limit is None or self.stopped or not self.made(step):
            return ""
        logits, skips = self.parameters.logits, most_skips(self.supernet.space, self.derive())
        if skips <= limit:
            self._accepted = logits.detach().clone()
        elif self._accepted is not None:
            logits.data.copy_(self._accepted)
            self.stopped = True
            epoch = step // self.steps_per_epoch
            return (
                f"  the search ends: {skips} skips after epoch {epoch}, more than --max-skips {limit}; what was learnt "
                f"by epoch {epoch - 1} is kept"
            )
        return ""

    # ---- the learned distribution

    def derive(self) -> Architecture:
        """The most probable architecture, within hard limits where there are any; with --hc-fill one that uses them.

        Raises:
            UserError: the parameters are not finite.
        """
        if any(np.isnan(row).any() for row in self.parameters.log_probabilities()):
            raise UserError("the architecture parameters became NaN: try a lower --a-lr")
        limits = [] if self.hardware is None else self.hardware.bounds
        return self.parameters.derive(limits, filling=self.options.hc_fill)

    def describe(self) -> str:
        """One line for printing."""
        text = (
            f"architecture parameters: {self.relaxation.name}, order {self.options.a_order}, "
            f"{self.optimizer_name} at {self.rate:.3g}, on {len(self.images):,} training images of their own"
        )
        if self.relaxation.scaled:
            text += "; the task moves them only where no batch norm follows, --relaxation reinforce everywhere"
        if self.hardware is None:
            return text + "; cost does not count"
        kind = "hard limits" if self.multipliers is not None else f"{self.options.hc_loss} penalty on"
        goals = ", ".join(f"{metric} {target:g}" for metric, target in self.hardware.targets.items())
        return f"{text}; {kind} {goals}"

    def state_dict(self) -> dict[str, Any]:
        return {
            "parameters": self.parameters.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "multipliers": None if self.multipliers is None else self.multipliers.state_dict(),
            "accepted": self._accepted,
            "stopped": self.stopped,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.parameters.load_state_dict(state["parameters"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.multipliers is not None:
            self.multipliers.load_state_dict(state["multipliers"])
        # Of a version without --max-skips neither is there.
        self._accepted, self.stopped = state.get("accepted"), bool(state.get("stopped", False))
