"""Super-kernels: one-hot weights are the option, gradients reach what is unused, thresholds choose as indicators."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from config_file.errors import UserError
from lookup_tables import build_table
from supernet import SearchSpace, Supernet, build_space
from supernet.relaxations import RELAXATIONS, Relaxation
from supernet.relaxations.parameters import ArchitectureParameters
from supernet.relaxations.thresholds import ThresholdParameters
from supernet.sharing.super_kernel import SuperKernel


def single_path() -> SearchSpace:
    widths, depths = [8, 8, 8, 12, 12, 16, 16, 16, 24], [2, 1, 1, 1, 1, 1]
    return build_space("single_path", resolution=16, num_classes=4, widths=widths, depths=depths)


def one_hot(net: Supernet, a: tuple[int, ...]) -> dict[str, Any]:
    gates = {}
    for site in net.space.sites:
        if site.given:
            (decision,) = site.given
            weights = torch.zeros(len(site.options), dtype=torch.float64)
            weights[site.table[a[decision]]] = 1
            gates[site.name] = (tuple(range(len(site.options))), list(weights.requires_grad_().unbind()))
    return gates


@pytest.mark.parametrize("training", [True, False])
def test_one_hot_weights_are_the_option(training: bool) -> None:
    net = Supernet(single_path()).double().train(training)
    assert any(isinstance(shared, SuperKernel) for shared in net.bank.values())
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # a shift makes unused channels visible
            torch.nn.init.normal_(module.bias)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    for option in range(5):
        a = tuple(min(option, size - 1) for size in net.space.sizes)
        torch.testing.assert_close(net(x, one_hot(net, a)), net(x, a), rtol=1e-9, atol=1e-10)


def test_the_gradient_says_whether_what_is_unused_should_be_used() -> None:
    net = Supernet(single_path()).double().train()
    parameters = ThresholdParameters(net).double()
    with torch.no_grad():
        parameters.logits.fill_(3.0)  # nothing is used
        parameters.logits[:, 1] = -3.0  # but the first half of the channels
    assert set(net.space.names(parameters.most_probable())) == {"k3e3"}
    gates = Relaxation("thresholds", parameters, 0).gates_at(0).gates
    out = net(torch.randn(4, 3, 16, 16, dtype=torch.float64), gates)
    (grad,) = torch.autograd.grad(out.square().sum(), parameters.logits)
    assert torch.isfinite(grad).all()
    assert (grad[:, 0].abs() > 0).all(), "the ring of every kernel"
    assert (grad[:, 2].abs() > 0).all(), "the second half of every layer's channels"


def test_thresholds_choose_as_nested_indicators() -> None:
    net = Supernet(single_path())
    parameters = ThresholdParameters(net)
    space = net.space
    shared = [net.bank[site.name] for site in space.sites if site.given]
    with torch.no_grad():
        for kernel in (module.kernel() for module in shared):
            kernel.fill_(1.0)
            half = len(kernel) // 2
            kernel[half:] *= 0.5
            kernel[..., 0] = kernel[..., -1] = 0.1
        for ring, first, second, expected in (
            (0.0, 0.0, 0.0, "k5e6"),
            (9.0, 0.0, 0.0, "k3e6"),
            (0.0, 0.0, 9.0, "k5e3"),
            (9.0, 0.0, 9.0, "k3e3"),
            (0.0, 9.0, 0.0, "skip"),
        ):
            parameters.logits.copy_(torch.tensor([ring, first, second]).expand_as(parameters.logits))
            names = space.names(parameters.most_probable())
            can_skip = ["skip" in decision.options for decision in space.decisions]
            asked = [name for name, skips in zip(names, can_skip, strict=True) if skips or expected != "skip"]
            assert set(asked) == {expected}
            for row in parameters.by_decision():
                assert float(row.sum()) == pytest.approx(1, abs=1e-5)


def test_probabilities_are_products_of_relaxed_indicators() -> None:
    net = Supernet(single_path())
    parameters = ThresholdParameters(net)
    decision = next(d for d, entry in enumerate(net.space.decisions) if "skip" in entry.options)
    ring, first, second = torch.sigmoid(parameters._norms(decision) - parameters.logits[decision])
    p = dict(zip(net.space.decisions[decision].options, parameters.by_decision()[decision], strict=True))
    torch.testing.assert_close(p["skip"], 1 - first)
    torch.testing.assert_close(p["k5e3"], first * ring * (1 - second))


def test_softmax_mixes_inside_the_kernel_and_sampled_gates_run_slices() -> None:
    net = Supernet(single_path()).double()
    parameters = ArchitectureParameters(net.space).double()
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    for name in ("softmax", "gumbel", "binary_two", "gumbel_hard"):
        out = net(x, Relaxation(name, parameters, 0).gates_at(0).gates)
        (grad,) = torch.autograd.grad(out.square().sum(), parameters.logits)
        assert torch.isfinite(grad).all()
        assert grad.abs().max() > 0


def test_thresholds_need_super_kernels() -> None:
    with pytest.raises(UserError, match="has no super-kernel"):
        ThresholdParameters(Supernet(build_space("nasbench_macro", resolution=16, num_classes=4)))


def test_of_hard_indicators_loss_and_cost_are_those_of_the_option_and_the_gradient_is_one_sigmoids() -> None:
    net = Supernet(single_path()).double()
    parameters = ThresholdParameters(net, hard=True).double()
    torch.manual_seed(0)
    with torch.no_grad():
        parameters.logits.copy_(1 + torch.randn(parameters.logits.shape, dtype=torch.float64))
    chosen = parameters.most_probable()
    weights = parameters.priced()
    table = build_table(net.space, "flops", 16)
    assert float(table.expected(parameters.by_decision(weights.detach()))) == table.cost([chosen])[0]
    assert [int(row.argmax()) for row in weights] == list(chosen)
    assert float(parameters.probabilities().detach().max()) < 1, "the probabilities are soft all the same"
    # R = 1(first) (R_3,3 + 1(ring) ... ): one indicator moves the cost by the step between two options, times its
    # sigmoid's slope, the others being what they are.
    (grad,) = torch.autograd.grad(table.expected(parameters.by_decision(weights)), parameters.logits)
    for decision, options in enumerate(d.options for d in net.space.decisions):
        margins = (parameters._norms(decision) - parameters.logits[decision]).detach()
        on = margins > 0

        def cost(indicators: list[bool], decision: int = decision, options: tuple[str, ...] = options) -> float:
            ring, first, second = indicators
            name = f"k{5 if ring else 3}e{6 if second else 3}" if first or "skip" not in options else "skip"
            return float(table.cost([(*chosen[:decision], options.index(name), *chosen[decision + 1 :])])[0])

        for which in range(3):
            states = [[state if i == which else bool(on[i]) for i in range(3)] for state in (True, False)]
            slope = float(torch.sigmoid(margins[which]) * torch.sigmoid(-margins[which]))
            expected = -slope * (cost(states[0]) - cost(states[1]))
            assert float(grad[decision, which]) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_thresholds_are_the_papers_and_soft_ones_an_option() -> None:
    net = Supernet(single_path())
    assert [RELAXATIONS[name].parameters(net, 0).hard for name in ("thresholds", "thresholds_soft")] == [True, False]
    x = torch.randn(2, 3, 16, 16)
    for name in ("thresholds", "thresholds_soft"):
        parameters = RELAXATIONS[name].parameters(net, 0)
        out = net(x, Relaxation(name, parameters, 0).gates_at(0).gates)
        torch.testing.assert_close(out, net(x, parameters.most_probable()), rtol=1e-4, atol=1e-4)
        (grad,) = torch.autograd.grad(out.square().sum(), parameters.logits)
        assert grad.abs().max() > 0
