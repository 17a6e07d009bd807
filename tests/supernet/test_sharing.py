"""Weights shared by slicing: what is a slice of what, and what training does to the rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from config_file.errors import UserError
from supernet import Supernet, build_space, extract
from supernet.blocks import BatchNormAct, Conv, Head, Identity, Pool
from supernet.composites import InvertedResidual
from supernet.sharing import OwnWeights, Sliced
from supernet.sharing.sliced import crop
from supernet.spaces.chain import ChainTable
from supernet.spaces.stages import Stage

SUPER_KERNEL = tuple(InvertedResidual(8, kernel, expand) for kernel in (3, 5) for expand in (3, 6))


def test_crop_takes_first_channels_and_the_centre_of_kernels():
    weight = torch.arange(4 * 2 * 5 * 5.0).view(4, 2, 5, 5)
    assert torch.equal(crop(weight, (3, 1, 3, 3)), weight[:3, :1, 1:4, 1:4])
    assert crop(weight, (3, 1, 3, 3)).data_ptr() == weight[0, 0, 1, 1].data_ptr()
    assert crop(weight, (4, 2, 5, 5)) is weight
    assert torch.equal(crop(torch.arange(6.0), (4,)), torch.arange(4.0))


def test_a_super_kernel_has_the_weights_of_its_largest_option_only():
    shared = Sliced(SUPER_KERNEL, [8])
    largest = InvertedResidual(8, 5, 6)
    assert sum(p.numel() for p in shared.parameters()) == largest.params((8, 1, 1))
    wide = shared.tensors(3, 8)
    for option, block in enumerate(SUPER_KERNEL):
        narrow = shared.tensors(option, 8)
        hidden, offset = 8 * block.expand, (5 - block.kernel) // 2
        depthwise = wide["depthwise.conv.weight"][:hidden, :, offset : 5 - offset, offset : 5 - offset]
        assert torch.equal(narrow["depthwise.conv.weight"], depthwise)
        assert torch.equal(narrow["expand.conv.weight"], wide["expand.conv.weight"][:hidden])
        assert torch.equal(narrow["project.conv.weight"], wide["project.conv.weight"][:, :hidden])
        assert torch.equal(narrow["depthwise.norm.running_var"], wide["depthwise.norm.running_var"][:hidden])


def test_tensors_are_views():
    for shared in (Sliced(SUPER_KERNEL, [8]), OwnWeights(SUPER_KERNEL, [8])):
        x = torch.randn(2, 8, 6, 6)
        before = shared.eval().path(0)(x)
        with torch.no_grad():
            shared.tensors(0, 8)["depthwise.conv.weight"].mul_(2)
        assert not torch.allclose(shared.path(0)(x), before)


class Halved(Sliced):
    """An own way of sharing: kernels are transformed on their way into a smaller option."""

    def take(self, link):
        tensor = super().take(link)
        return tensor * 0.5 if tensor.dim() == 4 and tensor.shape[-1] < link.source.shape[-1] else tensor


def test_an_own_way_of_taking_a_slice():
    shared, plain = Halved(SUPER_KERNEL, [8]).eval(), Sliced(SUPER_KERNEL, [8]).eval()
    plain.load_state_dict(shared.state_dict())
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(shared.path(3)(x), plain.path(3)(x))  # the largest is nothing but itself
    assert not torch.equal(shared.path(0)(x), plain.path(0)(x))
    assert torch.allclose(shared.layer(0, 8)(x), shared.path(0)(x), atol=1e-6)
    name = "depthwise.conv.weight"
    assert torch.equal(shared.tensors(0, 8)[name], 0.5 * plain.tensors(0, 8)[name])
    assert set(shared.tensors(0, 8)) - set(shared.tensors(0, 8, writable=True)) == {name}
    assert set(plain.tensors(0, 8)) == set(plain.tensors(0, 8, writable=True))
    shared.path(0)(x).sum().backward()
    assert shared.layers[0].depthwise.conv.weight.grad[:24, :, 1:4, 1:4].any()


def test_options_of_another_structure_have_weights_of_their_own():
    others = Conv(8, 1, act=""), InvertedResidual(8, 3, 1), Identity(), Pool("max"), InvertedResidual(8, 3, 3, groups=2)
    shared = Sliced((*SUPER_KERNEL, *others), [8])
    assert [shared.group.get(option) for option in range(9)] == [0, 0, 0, 0, 1, 2, None, None, 3]
    assert shared.weights(6) == shared.weights(7) == []
    assert {id(p) for p in shared.weights(0)} == {id(p) for p in shared.weights(3)}
    x = torch.randn(1, 8, 5, 5)
    assert torch.equal(shared.path(6)(x), x)
    assert torch.equal(shared.path(7)(x), nn.functional.max_pool2d(x, 3, 1, 1))


def test_the_largest_must_hold_the_others():
    with pytest.raises(ValueError, match=r"is not a slice of .* add one that holds both"):
        Sliced((InvertedResidual(8, 7, 3), InvertedResidual(8, 3, 6)), [8])


def test_own_weights_meet_one_width():
    with pytest.raises(ValueError, match="input widths \\(8, 16\\)"):
        OwnWeights((Conv(8),), [8, 16])
    several = OwnWeights((Identity(), Pool("avg")), [8, 16])
    assert several.path(1)(torch.randn(1, 16, 4, 4)).shape == (1, 16, 4, 4)


def test_a_step_moves_the_sampled_slice_by_its_gradient_and_the_rest_by_decay():
    """As documented: slices share a tensor, so that weight decay and momentum reach what was not sampled."""
    shared = Sliced(SUPER_KERNEL, [8])
    optimizer = torch.optim.SGD(shared.parameters(), lr=0.1, weight_decay=0.5)
    depthwise = shared.layers[0].depthwise.conv.weight
    before = depthwise.detach().clone()
    shared.path(0)(torch.randn(4, 8, 6, 6)).square().sum().backward()
    outside = torch.ones_like(depthwise, dtype=torch.bool)
    outside[:24, :, 1:4, 1:4] = False
    assert not depthwise.grad[outside].any()
    assert depthwise.grad[~outside].all()
    optimizer.step()
    assert torch.allclose(depthwise[outside], 0.95 * before[outside])


def test_batch_norm_settings_are_those_of_the_shared_layer():
    shared = Sliced(SUPER_KERNEL, [8]).train()
    x = torch.randn(4, 8, 6, 6)
    shared.path(0)(x)
    norms = [module for module in shared.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.eps = 1.0, 1e-3
    shared.path(0)(x)
    mean = nn.functional.conv2d(x, shared.layers[0].expand.conv.weight[:24]).mean((0, 2, 3))
    assert torch.allclose(norms[0].running_mean[:24], mean, atol=1e-6)
    assert not norms[0].running_mean[24:].any()
    for norm in norms:
        norm.eval()  # frozen statistics, as when a trained network is tuned
    before = norms[0].running_mean.clone()
    y = shared.path(0)(x)
    assert torch.equal(norms[0].running_mean, before)
    alone = shared.layer(0, 8).eval()
    assert torch.allclose(alone(x), y, atol=1e-6)
    assert {(module.eps, module.momentum) for module in alone.modules() if isinstance(module, nn.BatchNorm2d)} == {
        (1e-3, 1.0)
    }


def test_one_layer_serves_several_input_widths():
    shared = Sliced((Conv(8),), [4, 6]).eval()
    for width in (4, 6):
        x = torch.randn(1, width, 5, 5)
        assert torch.allclose(shared.path(0)(x), shared.layer(0, width).eval()(x), atol=1e-6)
    assert next(tuple(p.shape) for p in shared.parameters()) == (8, 6, 1, 1)


def test_training_and_evaluation_mode_reach_the_slices():
    space = build_space("single_path", resolution=16, num_classes=4, widths=(8,) * 9, depths=(1,) * 6)
    net = Supernet(space)
    a = (0,) * 6
    x = torch.randn(4, 3, 16, 16)
    trained = net.train()(x, a)
    with torch.no_grad():
        assert not torch.allclose(net.eval()(x, a), trained)
        assert torch.allclose(net.train()(x, a), trained, atol=1e-5)


@pytest.mark.parametrize("block", [Head(3), BatchNormAct(), InvertedResidual(8, 3, 3, se=True)])
def test_blocks_of_every_kind_can_be_sliced(block):
    shared = Sliced((block,), [8, 16]).eval()
    x = torch.randn(2, 8, 4, 4)
    assert torch.allclose(shared.path(0)(x), shared.layer(0, 8).eval()(x), atol=1e-5)


def test_gradients_of_shared_weights_add_up_over_paths():
    """Strict fairness: several paths, one step."""
    space = build_space("single_path", resolution=16, num_classes=4, widths=(8,) * 9, depths=(1,) * 6)
    net = Supernet(space).double().eval()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    paths = [(0,) * 6, (3,) * 6]
    singles = []
    for path in paths:
        net.zero_grad(set_to_none=True)
        net(x, path).square().sum().backward()
        singles.append({name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None})
    net.zero_grad(set_to_none=True)
    outputs = [net(x, path) for path in paths]  # both forward passes before any backward one
    for output in outputs:
        output.square().sum().backward()
    for name, parameter in net.named_parameters():
        expected = sum(single[name] for single in singles if name in single)
        assert torch.allclose(parameter.grad, expected)


def test_extraction_follows_channels_last():
    space = build_space("proxylessnas", resolution=16, num_classes=4, widths=(8,) * 9, depths=(1,) * 6)
    net = Supernet(space).to(memory_format=torch.channels_last)
    alone = extract(net, (0,) * 6)
    weight = next(p for p in alone.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("candidates", "why"), [(("k3e1", "k3e3"), "a super-kernel"), (("k5e2", "k3e6"), "not a slice")]
)
def test_a_table_whose_candidates_cannot_share_is_a_users_mistake(candidates, why):
    stages = (Stage(8, 1, 1), Stage(16, 2, 2))
    table = ChainTable("mine", stages, candidates, stem=8, head=16, sharing="super_kernel")
    with pytest.raises(UserError, match=rf"stage1/0: .*{why}"):
        Supernet(table.build(8, 3, 3))
