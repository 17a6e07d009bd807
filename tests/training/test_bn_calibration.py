from __future__ import annotations

import pytest
import torch
from torch import nn

from training.bn_calibration import calibrate_batch_norm


def small_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 4, 3, 2), nn.BatchNorm2d(4)
    )


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def images(count: int = 40) -> torch.Tensor:
    """Batches with means far apart: averaging their variances would be far off."""
    return torch.randn(count, 3, 12, 12) + torch.linspace(-3, 3, count).view(-1, 1, 1, 1)


@pytest.mark.parametrize("sizes", [[40], [20, 20], [2] * 20, [16, 16, 8], [37, 3]])
def test_pooled_moments_of_the_first_layer_are_exact(sizes: list[int]) -> None:
    network, x = small_network(), images()
    calibrate_batch_norm(network, x.split(sizes))
    seen = network[0](x).detach().double()
    norm = norms(network)[0]
    torch.testing.assert_close(norm.running_mean.double(), seen.mean((0, 2, 3)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(norm.running_var.double(), seen.var((0, 2, 3)), rtol=1e-5, atol=1e-6)


def test_averaged_variances_would_be_wrong_here() -> None:
    network, x = small_network(), images()
    for norm in norms(network):
        norm.momentum = None
    network.train()
    for batch in x.split(4):
        network(batch)
    seen = network[0](x).detach()
    averaged = norms(network)[0].running_var
    assert averaged.sum() < 0.7 * seen.var((0, 2, 3)).sum()


def test_one_batch_of_everything_gives_the_output_of_training_mode() -> None:
    network, x = small_network(), images()
    network[3].p = 0.0
    calibrate_batch_norm(network, [x])
    calibrated = network(x)
    for norm in norms(network):
        norm.train()
    torch.testing.assert_close(calibrated, network(x), rtol=2e-3, atol=2e-3)  # unbiased against biased variance


def test_what_was_there_before_leaves_no_trace() -> None:
    network, x = small_network(), images()
    calibrate_batch_norm(network, [x])
    clean = [buffer.clone() for norm in norms(network) for buffer in (norm.running_mean, norm.running_var)]
    norms(network)[0].running_var.fill_(float("nan"))
    norms(network)[1].running_mean.fill_(1e9)
    calibrate_batch_norm(network, [x])
    for before, norm in zip(clean[::2], norms(network), strict=True):
        assert torch.equal(before, norm.running_mean)


def test_modes_momenta_and_hooks_are_restored_and_dropout_stays_off() -> None:
    network, x = small_network(), images()
    norms(network)[0].momentum = 0.3
    network.train()
    calibrate_batch_norm(network, x.split(10))
    assert not any(module.training for module in network.modules())
    assert [norm.momentum for norm in norms(network)] == [0.3, 0.1]
    assert not any(module._forward_pre_hooks for module in network.modules())
    first = [norm.running_mean.clone() for norm in norms(network)]
    calibrate_batch_norm(network, x.split(10))
    assert all(torch.equal(a, norm.running_mean) for a, norm in zip(first, norms(network), strict=True))


def test_a_failure_leaves_hooks_and_momenta_as_they_were() -> None:
    network = small_network()
    with pytest.raises(RuntimeError):
        calibrate_batch_norm(network, [torch.randn(2, 5, 12, 12)])
    assert [norm.momentum for norm in norms(network)] == [0.1, 0.1]
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        calibrate_batch_norm(small_network(), [])


def test_a_network_without_batch_norm_is_only_put_in_eval_mode() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout())
    calibrate_batch_norm(network, [images(4)])
    assert not network.training


def test_inference_mode_and_channels_last() -> None:
    network, x = small_network(), images()
    calibrate_batch_norm(network, x.split(20))
    other = small_network()
    other.load_state_dict(network.state_dict())
    other.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        calibrate_batch_norm(other, [b.contiguous(memory_format=torch.channels_last) for b in x.split(20)])
    for a, b in zip(norms(network), norms(other), strict=True):
        torch.testing.assert_close(a.running_var, b.running_var, rtol=1e-4, atol=1e-5)
