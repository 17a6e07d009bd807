"""A candidate judged by its features: the last linear layer is fitted anew for each one, in closed form.

A supernet's classifier serves the features of every path at once and fits none of them, much as its batch-norm
statistics do. Those are re-calibrated for each candidate; this does the same for the last linear layer. Ridge
regression on the targets (of classes: one-hot rows) has a closed form, and so have the predictions that the fit on all
other images makes for each image (Allen 1974, PRESS), so the validation images are fit and judge in one and no image is
judged by a fit that saw it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from config_file.errors import UserError
from supernet.task import Task
from training.evaluate import Score

PENALTY = 0.03
"""Of the ridge regression, in mean squared lengths of a centred feature vector, whatever their number and width.

Less than what predicts best (docs/results.md): features must then separate the classes without much smoothing.
"""


def open_head(network: nn.Module) -> int:
    """Replace the last linear layer by an identity, in place; returns how many outputs it had.

    Raises:
        UserError: the last layer is not linear.
    """
    name, last = [(name, module) for name, module in network.named_modules() if not any(module.children())][-1]
    if not isinstance(last, nn.Linear):
        raise UserError(f"--refit-head: networks of this space end with {type(last).__name__}, not with a linear layer")
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, nn.Identity())
    return last.out_features


def left_out_predictions(features: Tensor, targets: Tensor, penalty: float = PENALTY) -> Tensor:
    """What ridge regression with an intercept, fitted on all other rows, predicts for each row.

    Args:
        features: (N, D), N >= 2.
        targets: (N, O).
        penalty: of the squared weights, in mean squared lengths of a centred row; the intercept is free. Its unit is
            measured on all rows, the one part that the row itself has in its prediction.

    Returns:
        (N, O), float64.
    """
    rows = len(features)
    x = features.double()
    x = x - x.mean(0)
    mean = targets.double().mean(0)
    y = targets.double() - mean
    ridge = penalty * x.square().sum() / rows
    ridge = torch.where(ridge > 0, ridge, 1.0)
    if rows > x.shape[1]:
        factor = torch.linalg.cholesky(x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype, device=x.device))
        fitted = x @ torch.cholesky_solve(x.T @ y, factor)
        leverage = torch.linalg.solve_triangular(factor, x.T, upper=False).square().sum(0)
    else:  # the same by the rows' inner products: the smaller system
        inner = x @ x.T
        factor = torch.linalg.cholesky(inner + ridge * torch.eye(rows, dtype=x.dtype, device=x.device))
        hat = torch.cholesky_solve(inner, factor)  # symmetric
        fitted, leverage = hat @ y, hat.diagonal()
    residual = (y - fitted) / (1 - 1 / rows - leverage)[:, None]
    return targets.double() - residual


@torch.no_grad()
def refitted_score(batches: Iterable[tuple[Tensor, Tensor]], outputs: int, task: Task) -> Score:
    """Score features (B, D) with their targets by a linear layer of so many outputs that is fitted on them.

    The loss is the mean squared distance between predictions and targets (of classes: one-hot rows), summed over the
    outputs.
    """
    features, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    images = len(targets)
    if not torch.isfinite(features).all():
        return Score(math.nan, math.nan, images, math.nan)
    rows = task.as_outputs(targets, outputs)
    predicted = left_out_predictions(features.flatten(1), rows)
    measured = task.measure(predicted, targets).double()
    loss = (predicted - rows).square().sum(1).mean().item()
    return Score(measured.mean().item(), loss, images, measured.std(correction=0).item())
