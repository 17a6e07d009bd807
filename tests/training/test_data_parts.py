"""Losses, weight average, starting weights, device and number format."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from config_file.errors import UserError
from supernet import Supernet
from tests.training import toy
from training.device import choose_amp, choose_device, seed_step
from training.ema import WeightAverage
from training.initialise import initialise

CPU = torch.device("cpu")


def test_label_smoothing_is_the_mixture_with_the_uniform_distribution() -> None:
    logits, labels = torch.randn(6, 5, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 4, 0])
    target = 0.9 * nn.functional.one_hot(labels, 5) + 0.1 / 5
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(toy.loss_of("cross_entropy", label_smoothing=0.1)(logits, labels), expected)


def test_a_loss_of_the_users_own() -> None:
    logits, labels = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    toy.reset()
    torch.manual_seed(0)
    expected = toy.noisy_loss(logits, labels)
    torch.manual_seed(0)
    assert torch.equal(toy.loss_of("tests.training.toy:noisy_loss")(logits, labels), expected)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("0.5", r"returned a float; it must return a tensor of shape \(\)"),
        ("logits.sum(1)", r"returned shape \(4,\)"),
        ("logits.detach().sum()", "without gradient"),
        ("logits + labels", "raised RuntimeError: The size of tensor a .*, line 2"),
    ],
)
def test_a_loss_of_the_users_own_that_is_none(tmp_path: Path, monkeypatch, returned: str, message: str) -> None:
    module = f"own_loss_{abs(hash(returned))}"
    (tmp_path / f"{module}.py").write_text(f"def loss(logits, labels):\n    return {returned}\n")
    monkeypatch.syspath_prepend(tmp_path)
    loss = toy.loss_of(f"{module}:loss")
    with pytest.raises(UserError, match=message):
        loss(torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize(("name", "smoothing"), [("cross_entropi", 0.1), ("cross_entropy", 1.0), ("no_module:x", 0.0)])
def test_bad_losses(name: str, smoothing: float) -> None:
    with pytest.raises(UserError):
        toy.loss_of(name, label_smoothing=smoothing)


def test_weight_average_follows_its_formula_and_copies_buffers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).double()
    average = WeightAverage(model, 0.9)
    expected = [p.detach().clone() for p in model.parameters()]
    for t in range(30):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p))
        model(torch.randn(2, 3, 4, 4, dtype=torch.float64))
        average.update(t)
        decay = min(0.9, (1 + t) / (10 + t))
        expected = [decay * e + (1 - decay) * p.detach() for e, p in zip(expected, model.parameters(), strict=True)]
    for mine, theirs in zip(average.network.parameters(), expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    for mine, theirs in zip(average.network.buffers(), model.buffers(), strict=True):
        assert torch.equal(mine, theirs)
    assert not average.network.training
    again = WeightAverage(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).double(), 0.9)
    again.load_state_dict(average.state_dict())
    toy.same(again.state_dict(), average.state_dict())


def test_starting_weights_depend_on_the_seed_only() -> None:
    nets = [Supernet(toy.toy_space()) for _ in range(3)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        initialise(net, seed)
    first, second, third = (net.state_dict() for net in nets)
    toy.same(dict(first), dict(second))
    assert any(not torch.equal(first[name], third[name]) for name in first)


def test_starting_weights_are_he_normal() -> None:
    conv, linear = nn.Conv2d(64, 128, 3), nn.Linear(400, 300)
    initialise(nn.Sequential(conv, linear), 0)
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not linear.bias.any()


def test_a_network_of_residual_blocks_begins_as_their_shortcuts() -> None:
    net = Supernet(toy.toy_space()).eval()
    initialise(net, 0)
    x = torch.randn(2, 3, 8, 8)
    # Layers 0, 2 and 5 change the shape; in the others every candidate is an identity at first.
    torch.testing.assert_close(net(x, (1, 0, 2, 0, 0, 1, 0, 0)), net(x, (1, 2, 2, 1, 2, 1, 2, 1)))


def test_devices_and_formats() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("auto", "off", "bf16", "fp16"):
        assert choose_amp(name, CPU) is None
    for name in ("gpu", "cuda:x", "cuda:99"):
        with pytest.raises(UserError):
            choose_device(name)


def test_what_a_step_draws_depends_on_seed_and_step_only() -> None:
    def draw(seed: int, step: int) -> torch.Tensor:
        seed_step(CPU, seed, step)
        return torch.rand(4)

    first = draw(1, 5)
    torch.rand(100)
    assert torch.equal(draw(1, 5), first)
    assert not torch.equal(draw(1, 6), first)
    assert not torch.equal(draw(2, 5), first)
