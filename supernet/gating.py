"""Gates: the weight of a candidate in a forward pass, and what its gradient costs.

A soft weight is a scalar tensor: all candidates run and their outputs are summed. A sampled gate has a value that the
host knows, one or zero: the output is the active candidate's own, untouched, and the gradient of a gate is the inner
product <dy, f(x)> (Cai et al. 2019, eq. 4), computed in the backward pass alone. Multiplying by a one instead would
read and write every feature map once more.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Sampled(NamedTuple):
    """The gate of a candidate that was sampled.

    Args:
        active: the candidate's output is the result (gate 1); otherwise it only runs forward, outside of autograd, so
            that its gate (0) has a gradient.
        source: scalar tensor that receives the gate's gradient.
    """

    active: bool
    source: torch.Tensor


Weight = torch.Tensor | Sampled
"""The weight of one candidate: a scalar on the device, or a gate whose value is known."""

Forward = Callable[[torch.Tensor], torch.Tensor]
"""One option at work: x (B, C, H, W) -> (B, C', H', W')."""

Mixture = Callable[[torch.Tensor, Sequence[Weight]], torch.Tensor]
"""Several at work: (x, one weight each) -> the sum of their weighted outputs."""

Norms = Callable[[], Sequence[nn.BatchNorm2d]]


def mix_outputs(runs: Sequence[Forward], norms: Sequence[Norms] | None = None) -> Mixture:
    """A function (x, weights) that runs the candidates on x (B, C, H, W) and sums their weighted outputs.

    Args:
        runs: the candidates.
        norms: the batch norms of each; if given, a candidate's inner activations are not kept but computed again in the
            backward pass (time for memory), and these batch norms do not take in the batch a second time.

    The result raises ValueError where outputs differ in shape: a width is chosen, never mixed.
    """

    def run(x: torch.Tensor, weights: Sequence[Weight]) -> torch.Tensor:
        if isinstance(weights[0], Sampled):
            return _run_sampled(runs, x, weights)
        outputs = [call(x) if norms is None else _recomputed(call, x, norms[i]) for i, call in enumerate(runs)]
        _same_shapes(outputs)
        return _WeightedSum.apply(len(runs), *weights, *outputs)

    return run


def _run_sampled(runs: Sequence[Forward], x: torch.Tensor, gates: Sequence[Weight]) -> torch.Tensor:
    active = [bool(gate.active) for gate in gates if isinstance(gate, Sampled)]
    if len(active) != len(gates) or sum(active) != 1:
        raise ValueError("sampled gates: exactly one of them is active")
    outputs = []
    for call, runs_in_full in zip(runs, active, strict=True):
        with nullcontext() if runs_in_full else torch.no_grad():
            outputs.append(call(x))
    _same_shapes(outputs)
    sources = [gate.source for gate in gates if isinstance(gate, Sampled)]
    return _SampledGate.apply(active.index(True), len(runs), *sources, *outputs)


def _same_shapes(outputs: Sequence[torch.Tensor]) -> None:
    if len({output.shape for output in outputs}) > 1:
        raise ValueError("options of different widths cannot be mixed: a width is chosen")


def inner_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The sum of a * b over everything, reading both once; in float32 where they are of half precision."""
    if a.dtype in (torch.float16, torch.bfloat16):
        a, b = a.float(), b.float()
    if b.dim() == 4 and b.is_contiguous(memory_format=torch.channels_last):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return torch.dot(a.reshape(-1), b.reshape(-1))


class _WeightedSum(torch.autograd.Function):
    """sum of weight_i * output_i, without a product kept for each."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: torch.Tensor) -> torch.Tensor:
        weights, outputs = tensors[:count], tensors[count:]
        ctx.count = count
        ctx.save_for_backward(*tensors)
        total = outputs[0] * weights[0].to(outputs[0].dtype)
        for weight, output in zip(weights[1:], outputs[1:], strict=True):
            total.addcmul_(output, weight.to(output.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (grad,) = grads
        weights, outputs = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        needs = ctx.needs_input_grad
        for_weights = [
            inner_product(grad, output).to(weight.dtype) if needs[1 + i] else None
            for i, (weight, output) in enumerate(zip(weights, outputs, strict=True))
        ]
        for_outputs = [
            grad * weight.to(grad.dtype) if needs[1 + ctx.count + i] else None for i, weight in enumerate(weights)
        ]
        return None, *for_weights, *for_outputs


class _SampledGate(torch.autograd.Function):
    """The active output as it is; backward gives every gate its <dy, f(x)>."""

    @staticmethod
    def forward(ctx: Any, active: int, count: int, *tensors: torch.Tensor) -> torch.Tensor:
        outputs = tensors[count:]
        ctx.active, ctx.count = active, count
        if any(ctx.needs_input_grad[2 : 2 + count]):
            ctx.save_for_backward(*outputs)
        return outputs[active].view_as(outputs[active])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (grad,) = grads
        for_gates: list[torch.Tensor | None] = [None] * ctx.count
        for i, output in enumerate(ctx.saved_tensors):
            if ctx.needs_input_grad[2 + i]:
                for_gates[i] = inner_product(grad, output)
        for_outputs: list[torch.Tensor | None] = [None] * ctx.count
        for_outputs[ctx.active] = grad
        return None, None, *for_gates, *for_outputs


def _recomputed(call: Forward, x: torch.Tensor, norms: Norms) -> torch.Tensor:
    return checkpoint(call, x, use_reentrant=False, context_fn=lambda: (nullcontext(), statistics_kept(norms)))


@contextmanager
def statistics_kept(norms: Norms) -> Iterator[None]:
    """Inside, a pass in training mode leaves the running statistics of these batch norms as they are."""
    layers = norms()
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
