"""Divergences of answers, against sums written down and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from config_file.errors import UserError
from training.divergences import DivergenceOptions, adaptive_alpha, alpha_divergence, make_divergence

RNG = np.random.default_rng(0)
Q, P = (2 * RNG.standard_normal((6, 5)) for _ in range(2))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row by row."""
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def written_down(outputs: np.ndarray, taught: np.ndarray, alpha: float) -> np.ndarray:
    """D_alpha of the second's probabilities from the first's, as the paper's equation 3 has it."""
    q, p = softmax(outputs), softmax(taught)
    return np.array(
        [sum(b * ((a / b) ** alpha - 1) for a, b in zip(*rows, strict=True)) for rows in zip(p, q, strict=True)]
    ) / (alpha * (alpha - 1))


def test_kl_is_scipys_relative_entropy() -> None:
    expected = entropy(softmax(P), softmax(Q), axis=1).mean()
    kl = make_divergence(DivergenceOptions())
    assert float(kl(torch.tensor(Q), torch.tensor(P))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alpha", [-1.0, -0.5, 0.5, 2.0])
def test_without_a_clip_it_is_the_formula_and_so_is_its_gradient(alpha: float) -> None:
    outputs = torch.tensor(Q, requires_grad=True)
    value, pull = alpha_divergence(outputs, torch.tensor(P), alpha, math.inf)
    np.testing.assert_allclose(value, written_down(Q, P, alpha), rtol=1e-10)
    pull.sum().backward()
    for row, column in ((0, 0), (2, 3), (5, 4)):
        near = [Q.copy(), Q.copy()]
        for sign, moved in zip((-1, 1), near, strict=True):
            moved[row, column] += sign * 1e-5
        before, after = (written_down(moved, P, alpha)[row] for moved in near)
        assert float(outputs.grad[row, column]) == pytest.approx((after - before) / 2e-5, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, entropy(softmax(Q), softmax(P), axis=1)),
                                                 (1.0, entropy(softmax(P), softmax(Q), axis=1))])  # fmt: skip
def test_at_its_two_limits_it_is_kl_either_way_round(alpha: float, expected: np.ndarray) -> None:
    outputs = torch.tensor(Q, requires_grad=True)
    value, pull = alpha_divergence(outputs, torch.tensor(P), alpha, math.inf)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    np.testing.assert_allclose(written_down(Q, P, alpha + 1e-7), expected, rtol=1e-5)
    near = alpha_divergence(outputs, torch.tensor(P), alpha + 1e-7, math.inf)[1]
    gradients = [torch.autograd.grad(part.sum(), outputs)[0] for part in (pull, near)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_the_adaptive_one_is_the_greater_of_both_clipped_and_teaches_by_it() -> None:
    """Of a student that misses classes alpha 1 decides, of one that gives too much to some alpha -1."""
    outputs = torch.tensor([[6.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    taught = torch.tensor([[0.0, 0.0, 0.0], [6.0, 0.0, 0.0]], dtype=torch.float64)
    q, p = softmax(outputs.detach().numpy()), softmax(taught.numpy())
    clipped = (q * (np.minimum(q / p, 5) - 1) / 2).sum(1)  # alpha -1: (p / q)^-1
    missed = (p * np.log(p / q)).sum(1)  # alpha 1
    assert (clipped > missed).tolist() == [False, True]
    loss = adaptive_alpha(outputs, taught, -1.0, 1.0, 5.0)
    assert float(loss.detach()) == pytest.approx((missed[0] + clipped[1]) / 2, rel=1e-12)
    loss.backward()
    # -sum q rho grad log q, and grad log q_i = 1_i - q.
    rho = np.stack([(p / q)[0], -np.minimum(q / p, 5)[1]])
    expected = -(q * rho - q * (q * rho).sum(1, keepdims=True)) / 2
    np.testing.assert_allclose(outputs.grad, expected, rtol=1e-9)


def test_no_gradient_reaches_what_taught_and_extreme_answers_stay_finite() -> None:
    for name in ("kl", "alpha"):
        taught = torch.tensor([[200.0, -200.0], [0.0, 0.0]], requires_grad=True)
        outputs = torch.tensor([[-200.0, 200.0], [0.0, 0.0]], requires_grad=True)
        loss = make_divergence(DivergenceOptions(divergence=name))(outputs, taught)
        loss.backward()
        assert taught.grad is None
        assert torch.isfinite(loss)
        assert torch.isfinite(outputs.grad).all()


def test_what_is_wrong_is_one_line() -> None:
    with pytest.raises(UserError, match=r"divergence.*'alfa'.*alpha"):
        make_divergence(DivergenceOptions(divergence="alfa"))
    with pytest.raises(UserError, match="--alpha-min 2 must be at most --alpha-max 1"):
        DivergenceOptions(divergence="alpha", alpha_min=2)
