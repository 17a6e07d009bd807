"""Relaxations against PyTorch's own, against gradients computed by hand, and against one another in expectation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from config_file.errors import UserError
from supernet import SearchSpace, Supernet, build_space
from supernet.gating import Sampled
from supernet.relaxations import RELAXATIONS, Relaxation, of_logits, settle
from supernet.relaxations.parameters import ArchitectureParameters

TINY = {"resolution": 16, "num_classes": 4}


def tiny_space(**changes: object) -> SearchSpace:
    widths, depths = [8, 8, 12, 16], [2, 1]
    stages = [{"channels": c, "depth": d, "stride": 2} for c, d in zip(widths[1:3], depths, strict=True)]
    table = {"name": "tiny", "stem": 8, "head": 16, "stages": stages, "candidates": ["k3e2", "k5e2", "k3e3", "skip"]}
    return build_space(table | changes, **TINY)


OF_LOGITS = [name for name, kind in RELAXATIONS.items() if kind.parameters is of_logits]


class Fixture:
    def __init__(self, relaxation: str, seed: int = 0, spread: float = 1.0) -> None:
        self.space = tiny_space()
        self.net = Supernet(self.space).double().train()
        self.parameters = ArchitectureParameters(self.space, seed).double()
        with torch.no_grad():
            self.parameters.logits.copy_(torch.randn(self.parameters.logits.shape, dtype=torch.float64) * spread)
        self.relaxation = Relaxation(relaxation, self.parameters, seed)
        self.x = torch.randn(4, 3, 16, 16, dtype=torch.float64)


@pytest.mark.parametrize("name", ["gumbel", "gumbel_hard"])
def test_gumbel_weights_are_pytorchs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Fixture(name)
    noise = torch.empty_like(case.parameters.logits).exponential_().log().neg()
    monkeypatch.setattr("supernet.relaxations.estimators.gumbel_noise", lambda *_: noise)
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda tensor: tensor.copy_((-noise).exp()))
    expected = F.gumbel_softmax(case.parameters.logits, tau=0.7, hard=name == "gumbel_hard")
    gates = case.relaxation.gates_at(0, temperature=0.7).gates
    for row, site in enumerate(["stage1/0", "stage1/1", "stage2/0"]):
        options, weights = gates[site]
        if name == "gumbel":
            torch.testing.assert_close(torch.stack(list(weights)), expected[row])
            continue
        (weight,) = weights
        assert isinstance(weight, Sampled)
        assert weight.active
        assert expected[row].argmax() == options[0]
        # The gradient of the chosen weight is that of PyTorch's; of the others nothing is known, as they did not run.
        (ours,) = torch.autograd.grad(weight.source, case.parameters.logits, retain_graph=True)
        (theirs,) = torch.autograd.grad(expected[row, options[0]], case.parameters.logits, retain_graph=True)
        torch.testing.assert_close(ours, theirs)


def test_softmax_gates_mix_like_a_sum_written_out() -> None:
    case = Fixture("softmax")
    case.net.eval()
    logits = case.net(case.x, case.relaxation.gates_at(0).gates)
    p = F.softmax(case.parameters.logits, 1)
    h = case.net.bank["stem"].path(0)(case.x)
    for row, site in enumerate(["stage1/0", "stage1/1", "stage2/0"]):
        h = sum(p[row, option] * case.net.bank[site].path(option)(h) for option in range(4))
    expected = case.net.bank["head"].path(0)(case.net.bank["mix"].path(0)(h))
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-12)
    for output in (logits, expected):
        assert torch.isfinite(output).all()
    ours, theirs = (torch.autograd.grad(o.square().sum(), case.parameters.logits)[0] for o in (logits, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_output_of_a_hard_gate_is_the_path_and_draws_repeat(name: str) -> None:
    case = Fixture(name)
    case.net.eval()
    first, again = case.relaxation.gates_at(5).gates, case.relaxation.gates_at(5).gates
    assert {gate: tuple(options) for gate, (options, _) in first.items()} == {
        gate: tuple(options) for gate, (options, _) in again.items()
    }
    out = case.net(case.x, first)
    torch.testing.assert_close(out, case.net(case.x, again), rtol=0, atol=0)
    if name in ("softmax", "gumbel"):
        return
    chosen = [
        next(o for o, w in zip(*first[site], strict=True) if w.active) for site in ("stage1/0", "stage1/1", "stage2/0")
    ]
    torch.testing.assert_close(out, case.net(case.x, tuple(chosen)), rtol=0, atol=0)


def gate_gradients(case: Fixture, gates: dict, loss: Callable) -> dict[str, dict[int, torch.Tensor]]:
    """dL/dg of every option that ran, by an explicit multiplication with a gate."""
    scalars = {
        gate: [torch.tensor(float(w.active), dtype=torch.float64, requires_grad=True) for w in weights]
        for gate, (_, weights) in gates.items()
    }
    soft = {gate: (options, scalars[gate]) for gate, (options, _) in gates.items()}
    grads = torch.autograd.grad(loss(case.net(case.x, soft)), [s for row in scalars.values() for s in row])
    taken = iter(grads)
    return {gate: {option: next(taken) for option in options} for gate, (options, _) in gates.items()}


@pytest.mark.parametrize("name", ["binary", "binary_two", "binary_full"])
def test_binary_gates_have_the_gradient_computed_by_hand(name: str) -> None:
    case = Fixture(name)
    case.net.eval()
    draw = case.relaxation.gates_at(3)

    def loss(out: torch.Tensor) -> torch.Tensor:
        return out.square().sum()

    (ours,) = torch.autograd.grad(loss(case.net(case.x, draw.gates)), case.parameters.logits)
    by_gate = gate_gradients(case, draw.gates, loss)
    p = F.softmax(case.parameters.logits, 1).detach()
    for row, site in enumerate(["stage1/0", "stage1/1", "stage2/0"]):
        gates = by_gate[site]
        share = p[row].clone()
        if name == "binary_two":
            assert len(gates) == 2
            share = torch.zeros(4, dtype=torch.float64)
            share[list(gates)] = p[row, list(gates)] / p[row, list(gates)].sum()
        expected = torch.zeros(4, dtype=torch.float64)
        for i, (j, gate) in product(range(4), gates.items()):
            delta = float(i == j)
            weight = 1.0 if name == "binary" else share[j]
            expected[i] += gate * weight * (delta - share[i])
        torch.testing.assert_close(ours[row], expected, rtol=1e-8, atol=1e-12)
    assert ours.abs().max() > 0
    torch.testing.assert_close(ours.sum(1), torch.zeros(3, dtype=torch.float64), atol=1e-10, rtol=0)


def test_one_over_p_is_the_softmax_gradient_in_expectation_and_straight_through_is_not() -> None:
    # A loss linear in the gates: L = sum over decisions of <values, g>, so that dL/dg is the same wherever g is.
    space = tiny_space()
    parameters = ArchitectureParameters(space).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        parameters.logits.copy_(torch.randn(3, 4, generator=generator, dtype=torch.float64))
    values = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    p = F.softmax(parameters.logits, 1)
    (exact,) = torch.autograd.grad((p * values).sum(), parameters.logits)

    def mean_and_error(name: str, draws: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
        relaxation = Relaxation(name, parameters, 0)
        rows = []
        for step in range(draws):
            sources, coefficients = [], []
            for row, (options, weights) in enumerate(relaxation.gates_at(step).gates.values()):
                sources += [weight.source for weight in weights]
                coefficients += [values[row, option] for option in options]
            total = torch.stack(sources) @ torch.stack(coefficients)
            rows.append(torch.autograd.grad(total, parameters.logits)[0])
        samples = torch.stack(rows)
        return samples.mean(0), samples.std(0) / draws**0.5

    mean, error = mean_and_error("binary")
    assert ((mean - exact).abs() < 4.5 * error + 1e-12).all()
    mean, error = mean_and_error("gumbel_hard")
    bias = (mean - exact).abs()
    assert (bias > 6 * error).any(), "straight-through was expected to be biased"
    relative = float(bias.norm() / exact.norm())
    assert relative > 0.2, f"its relative bias here is {relative:.2f}"


def test_only_what_was_sampled_gets_a_gradient() -> None:
    case = Fixture("gumbel_hard")
    draw = case.relaxation.gates_at(2)
    case.net(case.x, draw.gates).square().sum().backward()
    for site in ("stage1/0", "stage1/1", "stage2/0"):
        (chosen,) = draw.gates[site][0]
        for option in range(4):
            grads = [p.grad is not None for p in case.net.bank[site].layers[option].parameters()]
            assert all(grads) if option == chosen else not any(grads)


def test_two_options_are_one_forward_and_backward_and_one_forward() -> None:
    case = Fixture("binary_two")
    draw = case.relaxation.gates_at(2)
    runs: dict[str, int] = {}
    for site in ("stage1/0", "stage1/1", "stage2/0"):
        for option, layer in enumerate(case.net.bank[site].layers):
            layer.register_forward_hook(lambda *_, key=f"{site} {option}": runs.update({key: runs.get(key, 0) + 1}))
    case.net(case.x, draw.gates).square().sum().backward()
    assert runs == {f"{site} {option}": 1 for site, (options, _) in draw.gates.items() for option in options}
    for site, (options, weights) in draw.gates.items():
        for option, weight in zip(options, weights, strict=True):
            grads = [p.grad is not None for p in case.net.bank[site].layers[option].parameters()]
            assert all(grads) if weight.active else not any(grads)


def test_a_pair_is_drawn_without_replacement_and_the_active_one_by_its_share() -> None:
    case = Fixture("binary_two")
    p = F.softmax(case.parameters.logits, 1).detach()[0]
    expected, seen = torch.zeros(4, 4), torch.zeros(4, 4)
    for a, b in product(range(4), repeat=2):
        if a != b:
            pair = p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b])
            expected[a, b] = pair * p[a] / (p[a] + p[b])
    draws = 2000
    for step in range(draws):
        options, weights = case.relaxation.gates_at(step).gates["stage1/0"]
        assert weights[0].active
        seen[options] += 1
    chi2 = ((seen - draws * expected).square() / (draws * expected).clamp_min(1e-9))[expected > 0].sum()
    assert chi2 < 31.3  # 11 degrees of freedom, p = 0.001


def test_a_pair_moves_by_its_own_renormalised_expected_cost() -> None:
    case = Fixture("binary_two")
    costs = torch.rand(case.parameters.logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    p = F.softmax(case.parameters.logits, 1).detach()
    for step in range(5):
        draw = case.relaxation.gates_at(step)
        assert draw.priced is not None
        assert draw.involved is not None
        torch.testing.assert_close(draw.priced.detach(), p)  # the value is that of the whole distribution
        (ours,) = torch.autograd.grad((draw.priced * costs).sum(), case.parameters.logits)
        # The pair alone: p_i' = exp a_i / (exp a_i + exp a_j), E' = p_i' c_i + p_j' c_j, by autograd.
        logits = case.parameters.logits.detach().clone().requires_grad_()
        expected = torch.zeros((), dtype=torch.float64)
        for row, pair in enumerate(draw.involved):
            (options,) = pair.nonzero(as_tuple=True)
            assert len(options) == 2
            expected = expected + logits[row, options].softmax(0) @ costs[row, options]
        (theirs,) = torch.autograd.grad(expected, logits)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)
        # The whole softmax would move the pair by p_i (c_i - E) and so at times the wrong way.
        dearer = costs.masked_fill(~draw.involved, -1).argmax(1)
        cheaper = costs.masked_fill(~draw.involved, 2).argmin(1)
        rows = torch.arange(3)
        assert (ours[rows, dearer] > 0).all()
        assert (ours[rows, cheaper] < 0).all()


def test_settling_a_pair_moves_nothing_else_and_keeps_its_share() -> None:
    before, after = torch.randn(3, 4), torch.randn(3, 4)
    involved = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 1]], dtype=torch.bool)
    settled = after.clone()
    settle(settled, before, involved)
    assert torch.equal(settled[~involved], before[~involved])
    ratio = settled.softmax(1) / before.softmax(1)
    torch.testing.assert_close(ratio[~involved], torch.ones(6))
    for row in range(3):
        ours, theirs = settled[row, involved[row]], after[row, involved[row]]
        torch.testing.assert_close(ours[0] - ours[1], theirs[0] - theirs[1])


def test_recomputing_gives_the_same_gradients_and_statistics() -> None:
    space = tiny_space()
    plain, recomputing = Supernet(space).double(), Supernet(space, recompute=True).double()
    recomputing.load_state_dict(plain.state_dict())
    parameters = ArchitectureParameters(space).double()
    gates = Relaxation("softmax", parameters, 0).gates_at(0).gates
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    gradients = []
    for net in (plain, recomputing):
        (grad,) = torch.autograd.grad(net(x, gates).square().sum(), parameters.logits, retain_graph=True)
        gradients.append(grad)
    torch.testing.assert_close(*gradients)
    for (name, a), b in zip(plain.state_dict().items(), recomputing.state_dict().values(), strict=True):
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(a, b, msg=name)


def test_widths_are_chosen_never_mixed() -> None:
    space = build_space("mobilenetv2", resolution=16, num_classes=4, depths=[2] * 7)
    parameters = ArchitectureParameters(space)
    for name in OF_LOGITS:
        if RELAXATIONS[name].single:
            Relaxation(name, parameters, 0)
        else:
            with pytest.raises(UserError, match=r"differ in width.*use --relaxation reinforce"):
                Relaxation(name, parameters, 0)


@pytest.mark.parametrize("name", [name for name in OF_LOGITS if RELAXATIONS[name].single])
def test_sites_that_read_several_decisions_run_one_option(name: str) -> None:
    widths = [8, *[4, 8] * 7, 16]
    space = build_space("mobilenetv2", resolution=16, num_classes=4, depths=[2] * 7, widths=widths)
    net, parameters = Supernet(space), ArchitectureParameters(space)
    draw = Relaxation(name, parameters, 0).gates_at(1)
    (grad,) = torch.autograd.grad(net(torch.randn(2, 3, 16, 16), draw.gates).sum(), parameters.logits)
    assert (grad.abs().sum(1) > 0).all()
    torch.testing.assert_close(grad.sum(1), torch.zeros(14), atol=1e-5, rtol=0)


def test_decisions_with_fewer_options_never_draw_what_they_do_not_have() -> None:
    space = tiny_space(skip="identity")
    assert min(space.sizes) < max(space.sizes)
    parameters = ArchitectureParameters(space)
    for name in OF_LOGITS:
        relaxation = Relaxation(name, parameters, 0)
        for step in range(30):
            for (options, _), size in zip(relaxation.gates_at(step).gates.values(), space.sizes, strict=True):
                assert set(options) <= set(range(size))
            assert space.is_valid(relaxation.path(step))


def test_unknown_relaxation_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'gumbel_hard'"):
        Relaxation("gumbel_hrad", ArchitectureParameters(tiny_space()), 0)
