"""Only the sampled path moves, and it moves as torch.optim would move it."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from config_file.errors import UserError
from supernet import Supernet
from tests.training.toy import same, toy_space
from training.initialise import initialise
from training.optimizers import OPTIMIZERS, PathSGD, make_optimizer, update, zero_grad


def parameters(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    shapes = [(8, 4, 3, 3), (8,), (8, 1, 5, 5), (10, 8), (10,)]
    return [nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in shapes]


def with_gradients(params: list[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 1e-2), (0.9, 0.0), (0.0, 1e-2)])
def test_path_sgd_is_torch_sgd_when_everything_is_on_the_path(
    fused: bool, momentum: float, weight_decay: float
) -> None:
    ours = parameters(torch.float64)
    theirs = deepcopy(ours)
    a = PathSGD(ours, 0.1, momentum, weight_decay, fused=fused)
    b = torch.optim.SGD(theirs, 0.1, momentum=momentum, weight_decay=weight_decay, foreach=False)
    for seed in range(5):
        with_gradients(ours, seed)
        with_gradients(theirs, seed)
        a.step_path(ours)
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-13, atol=1e-14)


def test_path_sgd_equals_torch_fused_sgd_bit_for_bit() -> None:
    ours = parameters()
    theirs = deepcopy(ours)
    a = PathSGD(ours, 0.1, 0.9, 1e-2)
    b = torch.optim.SGD(theirs, 0.1, momentum=0.9, weight_decay=1e-2, fused=True)
    for seed in range(5):
        with_gradients(ours, seed)
        with_gradients(theirs, seed)
        a.step()
        b.step()
    assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


def test_a_parameter_that_joins_later_starts_with_no_momentum() -> None:
    ours = parameters(torch.float64)
    theirs = deepcopy(ours)
    a = PathSGD(ours, 0.1, 0.9, 1e-2)
    b = torch.optim.SGD(theirs, 0.1, momentum=0.9, weight_decay=1e-2, foreach=False)
    for seed, path in enumerate([[0, 1], [0, 2, 3], [1, 3, 4], [0, 1, 2, 3, 4]]):
        for params, optimizer in ((ours, a), (theirs, b)):
            chosen = [params[i] for i in path]
            with_gradients(chosen, seed)
            update(optimizer, chosen, 0.1)
            zero_grad(chosen)
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-13, atol=1e-14)


def test_vectors_can_be_spared_from_weight_decay() -> None:
    ours = parameters(torch.float64)
    theirs = deepcopy(ours)
    groups = [
        {"params": [p for p in theirs if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in theirs if p.dim() == 1], "weight_decay": 0.0},
    ]
    a = make_optimizer("sgd", ours, 0.1, 0.9, 0.1, decay_vectors=False)
    b = torch.optim.SGD(groups, 0.1, momentum=0.9, foreach=False)
    for seed in range(3):
        with_gradients(ours, seed)
        with_gradients(theirs, seed)
        update(a, ours, 0.1)
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_step_leaves_unsampled_blocks_untouched(name: str) -> None:
    net = Supernet(toy_space())
    initialise(net, 0)
    net.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(name, net.parameters(), 0.1, 0.9, 0.1)
    everything = dict(net.named_parameters())

    def train(path: tuple[int, ...]) -> None:
        chosen = net.parameters_of(path)
        net(torch.randn(4, 3, 8, 8), path).square().mean().backward()
        update(optimizer, chosen, 0.1)
        zero_grad(chosen)

    train((1,) * 8)
    train((2,) * 8)
    on_path = {id(p) for p in net.parameters_of((1,) * 8)}
    before = {n: p.detach().clone() for n, p in everything.items()}
    memory = {n: deepcopy(dict(optimizer.state[p])) for n, p in everything.items() if p in optimizer.state}
    buffers = {n: b.clone() for n, b in net.named_buffers()}
    train((1,) * 8)
    moved = {n for n, p in everything.items() if not torch.equal(p, before[n])}
    assert moved
    assert moved <= {n for n, p in everything.items() if id(p) in on_path}
    for n, p in everything.items():
        assert p.grad is None
        if id(p) not in on_path:
            same(dict(optimizer.state.get(p, {})), memory.get(n, {}), n)
    stale = {n for n, b in net.named_buffers() if torch.equal(b, buffers[n])}
    owners = {n.rpartition(".")[0] for n, p in everything.items() if id(p) not in on_path}
    assert all(n in stale for n in buffers if n.rpartition(".")[0] in owners)


def test_blocks_never_sampled_have_no_optimizer_state() -> None:
    for name in OPTIMIZERS:
        used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        optimizer = make_optimizer(name, [used, unused], 0.1, 0.9, 0.1)
        used.grad = torch.ones(3)
        update(optimizer, [used], 0.1)
        assert torch.equal(unused, torch.ones(3))
        assert unused not in optimizer.state
        assert not torch.equal(used, torch.ones(3))


def test_momentum_saved_from_another_memory_layout_is_laid_out_anew() -> None:
    """The fused kernel reads flat memory: a buffer in another layout would be added to the wrong weights."""
    plain = parameters(torch.float64)
    a = PathSGD(plain, 0.1, 0.9)
    with_gradients(plain, 0)
    a.step()
    last = [nn.Parameter(p.detach().clone(memory_format=torch.preserve_format)) for p in plain]
    for index, p in enumerate(last):
        if p.dim() == 4:
            last[index] = nn.Parameter(p.detach().contiguous(memory_format=torch.channels_last))
    b = PathSGD(last, 0.1, 0.9)
    b.load_state_dict(a.state_dict())
    with_gradients(plain, 1)
    with_gradients(last, 1)
    for p in last:
        p.grad = torch.empty_like(p).copy_(p.grad)
    a.step()
    b.step()
    for p, q in zip(plain, last, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_state_is_plain_and_goes_on_identically(name: str, tmp_path) -> None:
    first = parameters()
    a = make_optimizer(name, first, 0.1, 0.9, 1e-2)
    for seed in range(3):
        with_gradients(first, seed)
        update(a, first, 0.1)
    torch.save({"weights": [p.detach() for p in first], "state": a.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    second = [nn.Parameter(p) for p in saved["weights"]]
    b = make_optimizer(name, second, 0.1, 0.9, 1e-2)
    b.load_state_dict(saved["state"])
    for params, optimizer in ((first, a), (second, b)):
        with_gradients(params, 7)
        update(optimizer, params, 0.05)
    assert all(torch.equal(p, q) for p, q in zip(first, second, strict=True))


@pytest.mark.parametrize("fused", [True, False])
def test_loss_scaling_gives_the_same_step_and_leaves_out_overflows(fused: bool) -> None:
    ours, theirs = parameters(), []
    theirs = deepcopy(ours)
    a, b = PathSGD(ours, 0.1, 0.9, fused=fused), PathSGD(theirs, 0.1, 0.9, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with_gradients(theirs, 0)
    with_gradients(ours, 0)
    scaler.scale(torch.zeros(()))
    for p in ours:
        p.grad *= 1024
    scaler.unscale_(a)
    update(a, ours, 0.1, scaler)
    update(b, theirs, 0.1)
    assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))
    before = [p.detach().clone() for p in ours]
    ours[0].grad[0, 0, 0, 0] = torch.inf
    scaler.unscale_(a)
    update(a, ours, 0.1, scaler)
    assert all(torch.equal(p, q) for p, q in zip(ours, before, strict=True))
    assert scaler.get_scale() < 1024


def test_an_unknown_optimizer_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'adamw'"):
        make_optimizer("adamW2", parameters(), 0.1)
