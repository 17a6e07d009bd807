"""Optimizers that move the sampled path and nothing else.

A supernet has thousands of tensors and a step trains those of one path. Stepping the others would cost time and, worse,
let momentum and weight decay drag weights that saw no gradient. So a step is given the parameters it may touch:

    optimizer = make_optimizer("sgd", net.parameters(), lr=0.045, momentum=0.9, weight_decay=4e-5)
    loss.backward()
    update(optimizer, path, lr=0.04)      # path = net.parameters_of(architecture)
    zero_grad(path)
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from config_file.errors import choose

FUSED_DEVICES = ("cpu", "cuda")


class PathSGD(Optimizer):
    """SGD with momentum and weight decay over any subset of its parameters, in one fused kernel.

    The update is torch.optim.SGD's with dampening 0: g += decay * w; m = momentum * m + g; w -= lr * m. Momentum starts
    at zero when a parameter is first stepped, which at dampening 0 is the same as starting from its first gradient; the
    fused kernel of torch.optim.SGD refuses a list in which only some parameters have a momentum buffer.

    Args:
        decay_vectors: False spares tensors of one dimension (biases, BN scales and shifts), as the official SPOS does.
        fused: None uses the fused kernel where the device has one, else the multi-tensor (foreach) form.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        decay_vectors: bool = True,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.decay_vectors = decay_vectors
        everything = [p for group in self.param_groups for p in group["params"]]
        if fused is None:
            fused = hasattr(torch, "_fused_sgd_") and all(p.device.type in FUSED_DEVICES for p in everything)
        self.fused = fused
        # A GradScaler hands over "an overflow was found" as a tensor instead of waiting for the device to say so.
        self._step_supports_amp_scaling = fused

    def step(self) -> None:  # type: ignore[override]  # nothing here has a closure
        """Step every parameter that has a gradient; `step_path` is for callers who know which those are."""
        self.step_path([p for group in self.param_groups for p in group["params"] if p.grad is not None])

    @torch.no_grad()
    def step_path(self, parameters: Sequence[Parameter]) -> None:
        """Step these parameters; those without a gradient, and all others, stay as they are."""
        group = self.param_groups[0]
        params: list[Tensor] = [p for p in parameters if p.grad is not None]
        if self.decay_vectors or not group["weight_decay"]:
            self._update(params, group["weight_decay"])
        else:
            self._update([p for p in params if p.dim() > 1], group["weight_decay"])
            self._update([p for p in params if p.dim() <= 1], 0.0)

    def _update(self, params: list[Tensor], weight_decay: float) -> None:
        if not params:
            return
        group = self.param_groups[0]
        lr, momentum = group["lr"], group["momentum"]
        grads: list[Tensor] = [p.grad for p in params]  # type: ignore[misc]  # step_path left out those without
        buffers = self._momentum_buffers(params) if momentum else []
        if self.fused:
            torch._fused_sgd_(
                params,
                grads,
                buffers,
                weight_decay=weight_decay,
                momentum=momentum,
                lr=lr,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
                grad_scale=getattr(self, "grad_scale", None),  # set by a GradScaler for the time of its step
                found_inf=getattr(self, "found_inf", None),
            )
            return
        if weight_decay:
            grads = list(torch._foreach_add(grads, params, alpha=weight_decay))
        if momentum:
            torch._foreach_mul_(buffers, momentum)
            torch._foreach_add_(buffers, grads)
            grads = buffers
        torch._foreach_add_(params, grads, alpha=-lr)

    def _momentum_buffers(self, params: list[Tensor]) -> list[Tensor]:
        buffers = []
        for p in params:
            state = self.state[p]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(p)
            buffers.append(state["momentum_buffer"])
        return buffers

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a saved state.

        The fused kernel walks parameter, gradient and buffer as flat memory, so a buffer saved from a channels_last
        model is laid out anew like the parameter it belongs to.
        """
        super().load_state_dict(state_dict)
        for p, state in self.state.items():
            if "momentum_buffer" in state:
                state["momentum_buffer"] = torch.zeros_like(p).copy_(state["momentum_buffer"])


def _sgd(params: list[Parameter], decay: float, vectors: bool, *, lr: float, momentum: float, **_: Any) -> Optimizer:
    return PathSGD(params, lr, momentum, decay, decay_vectors=vectors)


def _rmsprop(
    params: list[Parameter], decay: float, vectors: bool, *, lr: float, momentum: float, alpha: float, **_: Any
) -> Optimizer:
    groups = decay_groups(params, decay, vectors)
    return torch.optim.RMSprop(groups, lr=lr, alpha=alpha, momentum=momentum, foreach=True)


def _adam(params: list[Parameter], decay: float, vectors: bool, *, kind: Any, lr: float, betas: Any, **_: Any) -> Any:
    return kind(decay_groups(params, decay, vectors), lr=lr, betas=betas, fused=True)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adam": partial(_adam, kind=torch.optim.Adam),
    "adamw": partial(_adam, kind=torch.optim.AdamW),
}

LEARNING_RATES = {"rmsprop": 3e-4, "adam": 3e-3, "adamw": 3e-3}
"""Rates where none is given, rmsprop's with a momentum of 0.9; that of sgd depends on what is trained."""


def decay_groups(params: list[Parameter], weight_decay: float, decay_vectors: bool) -> list[dict[str, Any]]:
    """Parameter groups of torch.optim: all alike, or tensors of one dimension without weight decay."""
    if decay_vectors:
        return [{"params": params, "weight_decay": weight_decay}]
    matrices, vectors = [p for p in params if p.dim() > 1], [p for p in params if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def make_optimizer(
    name: str,
    params: Iterable[Parameter],
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    beta2: float = 0.999,
    decay_vectors: bool = True,
) -> Optimizer:
    """One of `OPTIMIZERS`.

    Args:
        params: every parameter that may ever be stepped.
        lr: step size; `update` overrides it.
        weight_decay: L2 penalty (sgd, rmsprop, adam) or decoupled decay (adamw).
        alpha: rmsprop's smoothing constant, 0.99 if None.
        beta, beta2: adam's and adamw's, the first 0.9 if None.
        decay_vectors: False spares biases and BN parameters from weight decay.

    Raises:
        UserError: the name is unknown.
    """
    make = choose("optimizer", name, OPTIMIZERS)
    alpha, betas = 0.99 if alpha is None else alpha, (0.9 if beta is None else beta, beta2)
    return make(list(params), weight_decay, decay_vectors, lr=lr, momentum=momentum, alpha=alpha, betas=betas)


def zero_grad(parameters: Iterable[Parameter]) -> None:
    """Drop the gradients of these parameters. None, not zero: a zero would still be decayed and moved by momentum."""
    for p in parameters:
        p.grad = None


def update(
    optimizer: Optimizer, parameters: Sequence[Parameter], lr: float, scaler: torch.amp.GradScaler | None = None
) -> None:
    """One update of `parameters` at `lr`; the gradients of everything else must be None.

    With a scaler, the gradients must have been unscaled (`scaler.unscale_`); a step that overflowed is left out.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    if scaler is None:
        if isinstance(optimizer, PathSGD):
            optimizer.step_path(parameters)
        else:
            optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
