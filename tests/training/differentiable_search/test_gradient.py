"""Architecture gradients of both orders against numeric references, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from supernet import Supernet, build_space
from supernet.relaxations import Relaxation
from supernet.relaxations.parameters import ArchitectureParameters
from training.differentiable_search.gradient import WeightUpdate, first_order, of_loss, second_order
from training.optimizers import PathSGD

SPACE = {
    "name": "tiny", "stem": 4, "head": 8, "candidates": ["k3e2", "k5e1", "skip"], "act": "hswish",
    "stages": [{"channels": 6, "depth": 2, "stride": 1}],
}  # fmt: skip


class Case:
    """Smooth activations, so that a numeric derivative exists everywhere."""

    def __init__(self, momentum: float = 0.9, relaxation: str = "softmax") -> None:
        torch.manual_seed(3)
        space = build_space(SPACE, resolution=8, num_classes=3)
        self.net = Supernet(space).double().train()
        self.parameters = ArchitectureParameters(space).double()
        with torch.no_grad():
            self.parameters.logits.copy_(torch.randn(2, 3, dtype=torch.float64))
        self.relaxation = Relaxation(relaxation, self.parameters, 0)
        self.train, self.val = (
            (torch.randn(8, 3, 8, 8, dtype=torch.float64), torch.randint(3, (8,))) for _ in range(2)
        )
        weights = list(self.net.parameters())
        self.step = WeightUpdate(weights, PathSGD(weights, 0.05, momentum, 1e-3), 0.05)
        if momentum:
            for p in weights:
                self.step.optimizer.state[p]["momentum_buffer"] = 0.1 * torch.randn_like(p)

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(self.net(batch[0], self.relaxation.gates_at(0).gates), batch[1])

    def after_a_step(self) -> Tensor:
        """The validation loss after one explicit step of the weights, which is then taken back."""
        before = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        grads = torch.autograd.grad(self.loss(self.train), self.step.parameters, allow_unused=True)
        with torch.no_grad():
            for p, g in zip(self.step.parameters, grads, strict=True):
                if g is not None:
                    p.sub_(self.step.lr * self.step.drift(p, g))
            loss = self.loss(self.val)
        self.net.load_state_dict(before)
        return loss

    def numeric(self, function: Any, epsilon: float = 1e-5) -> Tensor:
        logits = self.parameters.logits
        result = torch.zeros_like(logits)
        for index in range(logits.numel()):
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    logits.view(-1)[index] += sign * epsilon
                ends.append(function().detach())
                with torch.no_grad():
                    logits.view(-1)[index] -= sign * epsilon
            result.view(-1)[index] = (ends[0] - ends[1]) / (2 * epsilon)
        return result


def test_first_order_is_the_numeric_derivative() -> None:
    case = Case()
    gradient = first_order(case.parameters.logits, of_loss(lambda: case.loss(case.val)))
    torch.testing.assert_close(gradient, case.numeric(lambda: case.loss(case.val)), rtol=1e-6, atol=1e-9)
    assert all(p.grad is None for p in case.net.parameters())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_second_order_is_the_numeric_derivative_through_a_step_of_the_weights(momentum: float) -> None:
    case = Case(momentum)
    kept = {name: tensor.clone() for name, tensor in case.net.state_dict().items()}
    reference = case.numeric(case.after_a_step)

    def error(gradient: Tensor) -> float:
        return float((gradient.detach() - reference).norm() / reference.norm())

    def second(epsilon: float) -> float:
        losses = of_loss(lambda: case.loss(case.train)), of_loss(lambda: case.loss(case.val))
        return error(second_order(case.parameters.logits, case.net, case.step, *losses, epsilon=epsilon))

    first = error(first_order(case.parameters.logits, of_loss(lambda: case.loss(case.val))))
    assert first > 0.02, "the two orders were expected to differ"
    assert second(1e-4) < 1e-6
    assert second(1e-3) < 1e-5
    assert second(1e-2) < first  # DARTS's own step is long enough to cross kinks of the activation here
    for name, tensor in case.net.state_dict().items():
        if "num_batches" not in name and "running" not in name:
            assert torch.equal(tensor, kept[name]), name


def test_second_order_with_one_option_per_decision() -> None:
    case = Case(relaxation="gumbel_hard")
    losses = of_loss(lambda: case.loss(case.train)), of_loss(lambda: case.loss(case.val))
    gradient = second_order(case.parameters.logits, case.net, case.step, *losses)
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().sum(1) > 0).all()
