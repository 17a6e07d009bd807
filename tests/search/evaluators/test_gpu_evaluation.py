"""Evaluations on a GPU, pretended or real: the CPU's scores, one wait per network, batches that fill the memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from search.evaluators import supernet as module
from search.evaluators.supernet import SupernetEvaluator, images_at_once
from search.options import SearchOptions
from search.result import Result
from search.testing.toy import toy_space
from supernet import Architecture, Network, Supernet, build_space
from tests.search.toy import toy_data
from tests.training.pretended_gpu import GPU, PretendedGpu, needs_gpu
from training.data import Data
from training.device import prepare_device

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> Data:
    return toy_data()


@pytest.fixture(scope="module")
def networks() -> list[Architecture]:
    space, rng = toy_space(), random.Random(0)
    return list(dict.fromkeys(space.canonical(space.sample(rng)) for _ in range(8)))


def evaluator(data: Data, device: torch.device, **settings: Any) -> SupernetEvaluator:
    torch.manual_seed(0)
    supernet = Supernet(toy_space())
    for norm in (m for m in supernet.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.weight.data.uniform_(0.5, 1.5)
    settings = {"calibration_images": 64, "batch_size": 32, "device": device} | settings
    return SupernetEvaluator(supernet.to(device), data, **settings)


def same(found: Sequence[Result], expected: Sequence[Result], tolerance: float) -> None:
    assert [result.architecture for result in found] == [result.architecture for result in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("sharing", [True, False])
def test_each_network_waits_once(sharing: bool, data: Data, networks: list[Architecture]) -> None:
    expected = list(evaluator(data, CPU, prefix_sharing=sharing).evaluate(networks))
    with PretendedGpu() as gpu:
        there = evaluator(data, GPU, prefix_sharing=sharing, at_once=10**6)
        first = list(there.evaluate(networks[:2]))
        gpu.waits.clear()
        rest = list(there.evaluate(networks[2:]))
    same(sorted(first + rest, key=key), sorted(expected, key=key), 1e-6)
    assert len(gpu.waits) == len(networks) - 2
    assert all(wait.startswith("tolist() at training/evaluate.py") for wait in gpu.waits)


def key(result: Result) -> Architecture:
    return result.architecture


def test_a_validation_takes_what_fits_and_calibration_what_is_asked_for(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet = Supernet(toy_space())
    options = SearchOptions(title="a", root_path="b", eval_batch_size=8, calibration_images=16)
    trained = SimpleNamespace(supernet=supernet, info={"sha256": ""})
    context = SimpleNamespace(options=options, trained=trained, device=GPU, data=data, confirm_images=0, seed=0)
    monkeypatch.setattr(module, "memory_of", lambda device: 1 << 30)
    with PretendedGpu():
        made = SupernetEvaluator.of(context)  # type: ignore[arg-type]
        sizes = [{len(x) for x, _ in batches} for batches in (made._batches(data.val, 40), made._calibration._batches)]
    assert made.memory == 0.25
    assert sizes == [{40}, {8}]
    assert made.fingerprints["batch_size"] == 8


def test_the_batch_is_what_the_outputs_of_all_layers_say() -> None:
    space = build_space("nasbench_macro", resolution=16, num_classes=10, widths=(4, 4, 6, 8, 16))
    network = Network(space.decode((2,) * 8)).eval()  # the maps are alike in all of its networks
    values: list[int] = []
    for node in network.spec.nodes:
        network.layer(node.site).register_forward_hook(lambda layer, inputs, output: values.append(output.numel()))
    network(torch.zeros(1, 3, 16, 16))
    assert images_at_once(space, 16, 0.125) == (1 << 30) // (64 * 4 * sum(values))
    assert images_at_once(space, 16, 1000.0) == module.MOST_AT_ONCE


@needs_gpu
def test_a_real_gpu_gives_the_scores_of_the_cpu(data: Data, networks: list[Architecture]) -> None:
    prepare_device(GPU, 0)
    same(list(evaluator(data, GPU).evaluate(networks)), list(evaluator(data, CPU).evaluate(networks)), 1e-4)
    alone = evaluator(data, GPU, prefix_sharing=False, at_once=4096).evaluate(networks)
    same(sorted(alone, key=key), sorted(evaluator(data, CPU).evaluate(networks), key=key), 1e-4)
