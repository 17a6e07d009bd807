"""Gradient estimators against the exact gradient of the expected loss, by enumeration of every architecture.

    python -m benchmarks.gradient_estimators [--draws 500]

Two spaces of the digits at 16 pixels, small enough to evaluate all of their architectures on one batch: MobileNetV2's
with one layer per stage (two widths in each of seven stages: 128) and a chain of three layers of four operations (64).
A supernet is trained briefly on uniform paths; then, at logits drawn from N(0, 1), the mean gradient of every estimator
over many draws on that batch is compared with d/da sum_paths p(path) L(path): the ratio of their norms, their cosine,
and the noise of one draw (the norm of its deviation over that of the exact gradient).
"""

import argparse
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from config_file.errors import UserError
from supernet import SearchSpace, Supernet, build_space
from supernet.relaxations import RELAXATIONS, Relaxation, of_logits
from supernet.relaxations.estimators import LossOf
from supernet.relaxations.parameters import ArchitectureParameters
from training.initialise import initialise

PATHS = 4  # of one draw of the score function


class Agreement(NamedTuple):
    """The mean gradient of an estimator beside the exact one."""

    norm: float
    cosine: float
    noise: float


def exact_gradient(parameters: ArchitectureParameters, loss_of: LossOf) -> Tensor:
    """(D, M): the gradient of sum over all paths of p(path) L(path), every path evaluated."""
    paths = list(product(*map(range, parameters.space.sizes)))
    with torch.no_grad():
        losses = torch.stack([loss_of(path) for path in paths])
    p = torch.stack([parameters.log_probability(path) for path in paths]).exp()
    (gradient,) = torch.autograd.grad(p @ losses, parameters.logits)
    return gradient


def agreement(relaxation: Relaxation, loss_of: LossOf, exact: Tensor, draws: int) -> Agreement:
    """The mean of `draws` gradients against the exact one."""
    logits = relaxation.parameters.logits
    found = torch.stack(
        [
            torch.autograd.grad(relaxation.objective(loss_of, step, paths=PATHS), logits)[0].flatten()
            for step in range(draws)
        ]
    )
    mean, exact = found.mean(0), exact.flatten()
    noise = (found - mean).norm(dim=1).square().mean().sqrt() / exact.norm()
    cosine = F.cosine_similarity(mean, exact, dim=0)
    return Agreement(float(mean.norm() / exact.norm()), float(cosine), float(noise))


def trained_supernet(space: SearchSpace, x: Tensor, y: Tensor, steps: int = 150) -> Supernet:
    """A supernet after some steps of uniform paths on one set of images (N, C, H, W), in batches of 64."""
    net = Supernet(space).train()
    initialise(net, 0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        path = tuple(int(torch.randint(size, (), generator=generator)) for size in space.sizes)
        batch = torch.randint(len(x), (64,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(net(x[batch], path), y[batch]).backward()
        optimizer.step()
    return net


def spaces() -> dict[str, SearchSpace]:
    """Both by name."""
    stages = [{"channels": c, "depth": d, "stride": 2} for c, d in ((8, 1), (12, 2))]
    chain = {"name": "chain", "stem": 8, "head": 16, "stages": stages, "candidates": ["k3e2", "k5e2", "k3e3", "skip"]}
    image: dict[str, Any] = {"resolution": 16, "num_classes": 10}
    widths = [8, 4, 8, 4, 8, 8, 16, 8, 16, 8, 16, 16, 32, 16, 32, 32]
    return {
        "mobilenetv2, widths": build_space("mobilenetv2", **image, depths=[1] * 7, widths=widths),
        "chain, operations": build_space(chain, **image),
    }


def digits() -> tuple[Tensor, Tensor]:
    """Images (1797, 3, 16, 16), standardised, and labels."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  # here alone

    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32).unsqueeze(1)
    images = (images - images.mean()) / images.std()
    return F.interpolate(images, 16).expand(-1, 3, -1, -1).contiguous(), torch.tensor(found.target)


def loss_along(net: Supernet, x: Tensor, y: Tensor) -> Callable[..., Tensor]:
    """The cross entropy along gates or a path; batch norms use the batch's statistics."""
    return lambda choice: F.cross_entropy(net(x, choice), y)


def main() -> None:
    """Print a row per space and estimator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=500)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    x, y = digits()
    for title, space in spaces().items():
        loss_of = loss_along(trained_supernet(space, x, y), x[:128], y[:128])
        parameters = ArchitectureParameters(space)
        with torch.no_grad():
            parameters.logits.normal_(generator=torch.Generator().manual_seed(1))
        exact = exact_gradient(parameters, loss_of)
        print(f"{title}: {space.size} architectures, exact gradient of norm {float(exact.norm()):.3g}")
        for name, kind in RELAXATIONS.items():
            if kind.parameters is not of_logits:
                continue
            try:
                relaxation = Relaxation(name, parameters, 0)
            except UserError:
                print(f"  {name:12} options of different widths are not mixed")
                continue
            found = agreement(relaxation, loss_of, exact, arguments.draws)
            print(f"  {name:12} norm {found.norm:8.3f}  cosine {found.cosine:6.3f}  noise of a draw {found.noise:8.2f}")


if __name__ == "__main__":
    main()
