"""Batch norms that see the images of all ranks (--sync-bn), of whatever module: torch's own function is taken over.

Mean and variance are those over all ranks (Peng et al. 2018, MegDet), in two sums: of the values, and of the squares of
what they are off the mean. Gradients pass through both, so that the step is that of one process on the whole batch.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from training.distributed import Ranks


def synchronised(ranks: Ranks, asked: bool) -> AbstractContextManager[object]:
    """Inside, batch norms in training mode see the images of all ranks, where that is asked for."""
    return _Synchronised(ranks) if asked and ranks.count > 1 else nullcontext()


class _Synchronised(TorchFunctionMode):
    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._ranks = ranks

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        if func is F.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """As torch.nn.functional.batch_norm, x (B, C, ...), over all ranks where it is training."""
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        dimensions, shape = [0, *range(2, x.dim())], [1, -1, *(1 for _ in range(2, x.dim()))]
        values = x.float()
        own = values.new_full((1,), values.numel() // values.shape[1])
        sums: Tensor = _Sum.apply(torch.cat((values.sum(dimensions), own)), self._ranks)
        count = sums[-1].detach()
        mean = sums[:-1] / count
        off = values - mean.view(shape)
        variance: Tensor = _Sum.apply(off.square().sum(dimensions), self._ranks) / count
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(variance * (count / (count - 1)), momentum)  # torch keeps the unbiased estimate
        scale = (variance + eps).rsqrt() if weight is None else (variance + eps).rsqrt() * weight
        out = off * scale.view(shape)
        return (out if bias is None else out + bias.view(shape)).to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all ranks; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.total(tensor.contiguous())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return ctx.ranks.total(gradients[0].contiguous()), None
