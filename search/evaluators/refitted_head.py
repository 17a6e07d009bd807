"""A candidate judged by its features: the last linear layer is fitted anew for each one, in closed form.

A supernet's classifier serves the features of every path at once and fits none of them, much as its batch-norm
statistics do. Those are re-calibrated for each candidate; this does the same for the last linear layer. Ridge
regression on the targets (of classes: one-hot rows) has a closed form, and so have the predictions that the fit on all
other images makes for each image (Allen 1974, PRESS), so the validation images are fit and judge in one and no image is
judged by a fit that saw it.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from config_file.errors import UserError
from tasks import Task
from training.evaluate import Score

PENALTY = 0.03
"""Of the ridge regression, in mean squared lengths of a centred feature vector, whatever their number and width.

Less than what predicts best (docs/results.md): features must then separate the classes without much smoothing.
"""
ROWS = 1024
"""Features that are in float64 at once."""


def check_head(network: nn.Module, images: Tensor) -> int:
    """The number of outputs of the last linear layer of a network in eval mode.

    Raises:
        UserError: what the network returns for the images is not what that layer gave.
    """
    given: list[Tensor] = []
    last = _last_linear(network)[1]
    hook = last.register_forward_hook(lambda _layer, _inputs, output: given.append(output))
    with torch.no_grad():
        returned = network(images)
    hook.remove()
    if not given or returned is not given[-1]:
        raise UserError("--refit-head: networks of this space do something after their last linear layer")
    return last.out_features


def without_head(network: nn.Module) -> nn.Module:
    """The network up to its last linear layer; changed in place, and not to have been called before."""
    name, last = _last_linear(network)
    if last is network:
        return nn.Identity()
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, nn.Identity())
    return network


def _last_linear(network: nn.Module) -> tuple[str, nn.Linear]:
    # Not subclasses, which may do more than that.
    found = [(name, module) for name, module in network.named_modules() if type(module) is nn.Linear]
    if not found:
        raise UserError("--refit-head: networks of this space have no linear layer to fit")
    return found[-1]


def left_out_predictions(features: Tensor, targets: Tensor, penalty: float = PENALTY) -> Tensor:
    """Predictions for each row by ridge regression with an intercept, fitted on all other rows.

    Args:
        features: (N, D); one row alone gives NaN.
        targets: (N, O).
        penalty: of the squared weights, in mean squared lengths of a centred row; the intercept is free. Its unit is
            measured on all rows, the one part that the row itself has in its prediction.

    Returns:
        (N, O), float64.
    """
    rows, width = features.shape
    mean = features.mean(0, dtype=torch.float64)
    chunks = features.split(ROWS)
    truth = targets.double()
    y = truth - truth.mean(0)
    ridge = penalty * torch.stack([(chunk - mean).square().sum() for chunk in chunks]).sum() / rows
    ridge = torch.where(ridge > 0, ridge, 1.0)
    if rows > width:
        gram = ridge * torch.eye(width, dtype=torch.float64, device=features.device)
        product = torch.zeros(width, y.shape[1], dtype=torch.float64, device=features.device)
        for chunk, wanted in zip(chunks, y.split(ROWS), strict=True):
            x = chunk - mean
            gram += x.T @ x
            product += x.T @ wanted
        factor = torch.linalg.cholesky(gram)
        weights = torch.cholesky_solve(product, factor)
        fitted, leverage = [], []
        for chunk in chunks:
            x = chunk - mean
            fitted.append(x @ weights)
            leverage.append(torch.linalg.solve_triangular(factor, x.T, upper=False).square().sum(0))
        return _left_out(truth, y, torch.cat(fitted), torch.cat(leverage))
    # The same by the rows' inner products: the smaller system.
    x = features - mean
    inner = x @ x.T
    factor = torch.linalg.cholesky(inner + ridge * torch.eye(rows, dtype=torch.float64, device=features.device))
    hat = torch.cholesky_solve(inner, factor)  # symmetric
    return _left_out(truth, y, hat @ y, hat.diagonal())


def _left_out(truth: Tensor, y: Tensor, fitted: Tensor, leverage: Tensor) -> Tensor:
    return truth - (y - fitted) / (1 - 1 / len(y) - leverage)[:, None]


@torch.no_grad()
def refitted_score(
    batches: Iterable[tuple[Tensor, Tensor]], outputs: int, task: Task, judged: int | None = None
) -> Score:
    """Score features (B, D) with their targets by a linear layer of so many outputs that is fitted on them.

    The loss is the mean squared distance between predictions and targets (of classes: one-hot rows), summed over the
    outputs. Of the last `judged` images only, None for all: the others are fitted on alone. All features are held
    meanwhile. Where some are not finite, the score is NaN.
    """
    features, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    images = judged or len(targets)
    if not torch.isfinite(features).all():
        return Score(math.nan, math.nan, images, math.nan)
    rows = task.as_outputs(targets, outputs)
    predicted = left_out_predictions(features.flatten(1), rows)[-images:]
    measured = task.measure(predicted, targets[-images:]).double()
    loss = (predicted - rows[-images:]).square().sum(1).mean().item()
    return Score(measured.mean().item(), loss, images, measured.std(correction=0).item())
