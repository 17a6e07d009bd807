"""The score function against the exact gradient of the expected loss, with every architecture evaluated."""

from typing import Any

import pytest
import torch

from benchmarks.gradient_estimators import agreement, exact_gradient, loss_along
from supernet import Decision, SearchSpace, Site, Supernet
from supernet.blocks import Conv, Head
from supernet.relaxations import Relaxation
from supernet.relaxations.parameters import ArchitectureParameters


def widths_space() -> SearchSpace:
    """Two layers of three widths and one of three kernels: 27 architectures whose options mostly do not mix."""
    wide = tuple(Conv(channels, 3, 2) for channels in (4, 8, 12))
    kernels = tuple(Conv(8, kernel) for kernel in (1, 3, 5))
    of = {"table": (0, 1, 2), "sharing": "sliced"}
    sites = (
        Site("first", wide, ("input",), given=(0,), **of),  # type: ignore[arg-type]
        Site("second", wide, ("first",), given=(1,), **of),  # type: ignore[arg-type]
        Site("third", kernels, ("second",), given=(2,), **of),  # type: ignore[arg-type]
        Site("head", (Head(4),), ("third",)),
    )
    widths = ("w4", "w8", "w12")
    decisions = (Decision("a", widths), Decision("b", widths), Decision("c", ("k1", "k3", "k5")))
    return SearchSpace("widths", decisions, sites, (3, 16, 16))


def test_only_the_score_function_has_a_usable_gradient_of_widths() -> None:
    # The oracle is d/da sum over all 27 paths of p(path) L(path); options are followed by batch norms.
    torch.manual_seed(0)
    space = widths_space()
    net, x, y = Supernet(space).train(), torch.randn(16, 3, 16, 16), torch.arange(16) % 4
    parameters = ArchitectureParameters(space)
    with torch.no_grad():
        parameters.logits.copy_(torch.randn(3, 3))
    loss_of = loss_along(net, x, y)
    exact = exact_gradient(parameters, loss_of)
    assert exact.norm() > 1e-3
    norm, cosine, _ = agreement(Relaxation("reinforce", parameters, 0), loss_of, exact, draws=100)
    assert cosine > 0.95
    assert norm == pytest.approx(1, abs=0.2)
    for name in ("gumbel_hard", "binary"):
        norm, cosine, _ = agreement(Relaxation(name, parameters, 0), loss_of, exact, draws=30)
        assert norm < 0.6
        assert cosine < 0.8


def test_the_score_function_is_the_exact_gradient_in_expectation() -> None:
    # A made-up loss of every path: 2,000 draws agree with the sum over all of them within their standard error.
    space = widths_space()
    parameters = ArchitectureParameters(space).double()
    with torch.no_grad():
        parameters.logits.copy_(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    table = torch.randn(3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 5

    def loss_of(path: Any) -> torch.Tensor:
        return table[path]

    exact = exact_gradient(parameters, loss_of)
    rows = {}
    for paths in (2, 4):
        relaxation = Relaxation("reinforce", parameters, 0)
        objectives = [relaxation.objective(loss_of, step, paths=paths) for step in range(1000)]
        rows[paths] = torch.stack([torch.autograd.grad(each, parameters.logits)[0] for each in objectives])
        error = rows[paths].std(0) / len(objectives) ** 0.5
        assert ((rows[paths].mean(0) - exact).abs() < 4.5 * error + 1e-12).all()
        assert torch.stack(objectives).detach().mean() == pytest.approx(5, abs=0.5), "its value is the loss"
    assert rows[4].std(0).mean() < rows[2].std(0).mean(), "more paths, less noise; the loss's own 5 is in neither"
