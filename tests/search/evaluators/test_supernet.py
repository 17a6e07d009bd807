from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from config_file.errors import UserError
from deployment.folding import fold_batch_norms
from search.evaluators import kept_batches
from search.evaluators.context import check_same_data
from search.evaluators.supernet import SupernetEvaluator
from search.result import Fidelity, Result
from search.testing.evaluators import EvaluatorSuite
from search.testing.toy import toy_space
from supernet import Architecture, SearchSpace, Supernet, build_space, extract
from tests.search.toy import toy_data
from training.bn_calibration import calibrate_batch_norm
from training.data import Data


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return toy_space()


@pytest.fixture(scope="module")
def data() -> Data:
    return toy_data()


@pytest.fixture
def supernet(space: SearchSpace) -> Supernet:
    torch.manual_seed(0)
    return randomised(Supernet(space))


def randomised(supernet: Supernet) -> Supernet:
    """Running statistics and affine parameters as after a training that mixed all paths."""
    for module in supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 2)
            module.running_var.uniform_(0.2, 5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    return supernet


def some(space: SearchSpace, count: int) -> list[Architecture]:
    rng = random.Random(0)
    return [space.canonical(space.sample(rng)) for _ in range(count)]


def make(supernet: Supernet, data: Data, **settings: object) -> SupernetEvaluator:
    return SupernetEvaluator(supernet, data, **{"calibration_images": 64, "batch_size": 32, **settings})  # type: ignore[arg-type]


def scores(results: list[Result]) -> dict[Architecture, tuple[float, float]]:
    return {result.architecture: (result.value("accuracy"), result.value("loss")) for result in results}


class TestSupernetEvaluator(EvaluatorSuite):
    measures: ClassVar = {"accuracy": True, "loss": False}
    settings: ClassVar[dict[str, Any]] = {}

    def make(self) -> SupernetEvaluator:
        torch.manual_seed(0)
        settings = {"eval_images": (20, 0), "confirm_images": 10, **self.settings}
        return make(randomised(Supernet(toy_space())), toy_data(), **settings)

    def architectures(self) -> list[Architecture]:
        return list(dict.fromkeys(some(toy_space(), 5)))

    def failing(self) -> tuple[SupernetEvaluator, Architecture]:
        evaluator = self.make()
        for parameter in evaluator.supernet.parameters():
            parameter.data.fill_(math.nan)
        return evaluator, self.architectures()[0]


class TestRefittedHeads(TestSupernetEvaluator):
    settings: ClassVar[dict[str, Any]] = {"refit_head": True}


def test_a_result_does_not_depend_on_who_else_is_evaluated(space: SearchSpace, supernet: Supernet, data: Data) -> None:
    architectures = list(dict.fromkeys(some(space, 6)))
    together = scores(list(make(supernet, data).evaluate(architectures)))
    reverse = scores(list(make(supernet, data).evaluate(architectures[::-1])))
    alone = {}
    for architecture in architectures:
        alone |= scores(list(make(supernet, data).evaluate([architecture])))
    assert together == reverse == alone
    assert len({loss for _, loss in together.values()}) == len(architectures)


def test_the_global_random_state_does_not_matter(space: SearchSpace, supernet: Supernet, data: Data) -> None:
    first = scores(list(make(supernet, data).evaluate(some(space, 2))))
    torch.manual_seed(123)
    torch.rand(7)
    assert scores(list(make(supernet, data).evaluate(some(space, 2)))) == first


def test_the_supernet_is_left_as_it_is(space: SearchSpace, supernet: Supernet, data: Data) -> None:
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    supernet.train()
    list(make(supernet, data).evaluate(some(space, 3)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert supernet.training


def test_it_equals_calibrating_and_classifying_by_hand(space: SearchSpace, supernet: Supernet, data: Data) -> None:
    architecture = some(space, 1)[0]
    result = next(make(supernet, data, calibration_images=96, batch_size=96).evaluate([architecture]))
    network = extract(supernet, architecture)
    calibrate_batch_norm(network, [next(data.train.batches(96))[0]])
    x, y = next(data.val.batches(len(data.val)))
    with torch.no_grad():
        logits = network(x)
    assert result.value("accuracy") == (logits.argmax(1) == y).sum().item() / 50
    assert result.value("loss") == pytest.approx(torch.nn.functional.cross_entropy(logits, y).item(), rel=1e-4)
    assert result.fidelity == Fidelity(images=50) == Fidelity(images=len(data.val))
    low, high = result.interval
    assert 0 <= low < result.value("accuracy") < high <= 1
    assert result.seconds > 0


def test_stale_running_statistics_do_not_matter(space: SearchSpace, supernet: Supernet, data: Data) -> None:
    first = scores(list(make(supernet, data).evaluate(some(space, 3))))
    uncalibrated = scores(list(make(supernet, data, calibration_images=0).evaluate(some(space, 3))))
    for module in supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 9)
    assert scores(list(make(supernet, data).evaluate(some(space, 3)))) == first
    assert uncalibrated != first
    assert scores(list(make(supernet, data, calibration_images=0).evaluate(some(space, 3)))) != uncalibrated


def test_unused_decisions_do_not_change_a_result(supernet: Supernet, data: Data) -> None:
    short, same = (0, 1, 0, 0, 0), (0, 1, 2, 1, 2)
    results = list(make(supernet, data).evaluate([short, same]))
    assert results[0].value("loss") == results[1].value("loss")


def test_fewer_validation_images(space: SearchSpace, supernet: Supernet, data: Data) -> None:
    evaluator = make(supernet, data, eval_images=(20,))
    architecture = some(space, 1)[0]
    assert next(evaluator.evaluate([architecture])).fidelity == Fidelity(images=20)
    full = next(evaluator.evaluate([architecture], fidelity=Fidelity(images=10_000)))
    assert full.fidelity == Fidelity(images=50)
    assert full.value("loss") == next(make(supernet, data).evaluate([architecture])).value("loss")
    assert next(evaluator.evaluate([architecture])).fidelity == Fidelity(images=20)


def test_images_that_do_not_fit_in_memory_are_read_again(
    space: SearchSpace, supernet: Supernet, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = scores(list(make(supernet, data).evaluate(some(space, 3))))
    monkeypatch.setattr(kept_batches, "KEPT_BYTES", 40_000)
    assert scores(list(make(supernet, data).evaluate(some(space, 3)))) == kept


def test_diverged_weights_give_a_failed_result(space: SearchSpace, supernet: Supernet, data: Data) -> None:
    for parameter in supernet.parameters():
        parameter.data.fill_(math.nan)
    result = next(make(supernet, data).evaluate(some(space, 1)))
    assert result.failed
    assert result.interval is None
    assert Result.from_row(result.to_row()).failed


@pytest.mark.parametrize("name", ["proxylessnas", "spos", "mobilenetv2", "single_path", "nasbench_macro"])
def test_folding_and_layout_change_nothing_but_rounding(name: str) -> None:
    """Inverted residuals, shuffle units, slices of shared kernels and of shared batch norms."""
    space = build_space(name, resolution=16, num_classes=5)
    supernet = randomised(Supernet(space)).eval()
    x = torch.randn(4, 3, 16, 16)
    for architecture in some(space, 2):
        network = extract(supernet, architecture)
        expected = network(x).detach()
        norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
        folded = fold_batch_norms(network).to(memory_format=torch.channels_last)
        assert norms > 0
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
        torch.testing.assert_close(folded(x).detach(), expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


@pytest.mark.parametrize("missing", ["classes", "split"])
def test_a_supernet_that_does_not_say_its_images_is_refused(missing: str) -> None:
    """Images whose split nobody knows may be those it has learnt."""
    info = {"task": "classification", "classes": ["a", "b"], "split": {"sha256": None}}
    del info[missing]
    with pytest.raises(UserError, match=f"it lacks '{missing}'"):
        check_same_data(toy_data(), info, Path("runs/a/supernet"))
