"""The sandwich rule, in-place distillation and attentive sampling, against sums written down and brute force."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import train_supernet as script
from config_file.errors import UserError
from lookup_tables import build_table
from search.objectives import Objective
from search.predictor.kept import train
from search.result import Result
from supernet import SearchSpace, build_space
from supernet.samplers import UniformSampler
from tests.training.test_trainers import TOY
from training import Context, PathTrainer, Trainer
from training.cli import main_train_supernet
from training.extremes import extremes
from training.testing import TINY, TrainerSuite
from training.trainers import TRAINERS
from training.trainers.balanced import BANDS
from training.trainers.sandwich import Sandwich
from training.trainers.uniform import PREDICTORS, AttentiveSampler, Several

NARROW = {"widths": (8, 8, 8, 8, 8, 8, 8, 8, 16), "depths": (2, 2, 1, 1, 1), "num_classes": 10, "resolution": 8}


class TestSandwich(TrainerSuite):
    def make(self, context: Context) -> Trainer:
        return TRAINERS["sandwich"](context)

    @pytest.mark.parametrize("distils", [True, False])
    def test_its_gradient_is_the_sum_of_its_parts(self, distils: bool) -> None:
        """Labels teach the largest path, its detached answers the three others: one scalar, differentiated once."""
        self.changes = {"distill_in_place": distils}  # type: ignore[misc]
        trainer, x, y = self._start()
        assert isinstance(trainer, Sandwich)
        paths, model, step = trainer.paths(3), trainer.context.supernet, trainer.step(3)
        assert paths[0] == (2,) * 8  # the largest and the smallest of NAS-Bench-Macro
        assert paths[1] == (0,) * 8
        for run in step.passes:
            run(x, y)[0].backward()
        found = [p.grad for p in step.parameters]
        largest, *others = [model(x, path) for path in paths]
        loss = F.cross_entropy(largest, y, label_smoothing=0.1)
        for outputs in others:
            if distils:
                p = largest.detach().softmax(1)
                loss = loss + (p * (p.log() - outputs.log_softmax(1))).sum(1).mean()
            else:
                loss = loss + F.cross_entropy(outputs, y, label_smoothing=0.1)
        expected = torch.autograd.grad(loss, step.parameters)
        for grad, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-6)

    def test_answers_teach_and_are_not_taught(self) -> None:
        """Of points the loss itself is the distance: it lets a gradient through to both."""
        trainer, x, y = self._start()
        assert isinstance(trainer, Sandwich)
        trainer.divergence = F.mse_loss
        paths, model, step = trainer.paths(3), trainer.context.supernet, trainer.step(3)
        losses = [run(x, y)[0] for run in step.passes]
        found = torch.autograd.grad(sum(losses), step.parameters)
        largest, *others = [model(x, path) for path in paths]
        loss = F.cross_entropy(largest, y, label_smoothing=0.1)
        loss = loss + sum(((outputs - largest.detach()) ** 2).mean() for outputs in others)
        for grad, wanted in zip(found, torch.autograd.grad(loss, step.parameters), strict=True):
            torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-6)

    def test_the_ends_are_validated_first(self) -> None:
        trainer = self.make(self.context())
        assert trainer.paths_to_validate(2, 10) == [(0,) * 8, (2,) * 8]  # of NAS-Bench-Macro
        *ends, third = trainer.paths_to_validate(3, 10)
        assert ends == [(0,) * 8, (2,) * 8]
        assert third not in ends
        assert trainer.paths_to_validate(1, 10) == [(0,) * 8]


class TestAttentive(TrainerSuite):
    """Of several paths per step; the sandwich's are drawn in the same way."""

    changes: ClassVar = {"attentive": "worst-up", "attentive_candidates": 3, "paths_per_step": 2}

    def make(self, context: Context) -> Trainer:
        return TRAINERS["uniform"](context)


def test_of_the_published_space_the_ends_are_the_published_ones() -> None:
    space = build_space("ofa_mbv3")
    ends = extremes(space)
    assert build_table(space, "flops", 224).cost(list(ends)).tolist() == [121_278_672, 566_170_656]
    assert ends.largest == tuple(size - 1 for size in space.sizes)


@pytest.mark.parametrize("space", [
    build_space("simple_cnn", num_classes=10),
    build_space("nasbench201", widths=(4,), depths=(1,)),
    build_space("ofa_mbv3", image_sizes="4,8", **(NARROW | {"depths": (1, 1, 1, 1, 1)})),
], ids=lambda space: space.name)  # fmt: skip
def test_the_ends_are_those_of_a_list_of_all_networks(space: SearchSpace) -> None:
    every = list(space.enumerate())[:60_000:7] if space.size > 10**5 else list(space.enumerate())
    macs = [sum(block.macs(shape) for block, shape in _blocks(space, a)) for a in every[:: max(1, len(every) // 400)]]
    ends = extremes(space)
    low, high = (sum(block.macs(shape) for block, shape in _blocks(space, end)) for end in ends)
    assert low <= min(macs)
    assert high >= max(macs)
    assert all(space.canonical(end) == end for end in ends)


def _blocks(space: SearchSpace, architecture: tuple[int, ...]) -> list[Any]:
    spec = space.decode(architecture)
    entering = spec.shapes(space.image(architecture))
    return [(node.block, entering[node.site][0]) for node in spec.nodes]


def test_attention_takes_the_best_or_the_worst_of_its_candidates() -> None:
    space = build_space("simple_cnn", num_classes=10)
    table = build_table(space)
    for which, pick in (("best-up", np.argmax), ("worst-up", np.argmin)):
        sampler = AttentiveSampler(UniformSampler(space, 5), table.cost, 9, which)
        for step in (0, 7):
            drawn = Several(UniformSampler(space, 5), 9).paths(step)
            assert len(set(drawn)) > 1
            assert sampler.paths(step) == [drawn[int(pick(table.cost(drawn)))]]


def test_a_space_of_one_network_is_run_once() -> None:
    trainer = TestSandwich()
    context = trainer.context()
    single = Sandwich(context)
    ends = single.ends._replace(smallest=single.ends.largest)
    sampler = type(single.sampler)(ends, Several(UniformSampler(context.space, 0), 2))  # type: ignore[call-arg]
    assert sampler.paths(0) == [ends.largest]
    assert sampler.paths_per_step == 1


@pytest.mark.parametrize(("words", "message"), [
    (["--sample-strategy", "sandwhich"], "sandwich"),
    (["--sandwich-random", "3"], "--sandwich-random is for --sample-strategy sandwich, not for uniform"),
    (["--sample-strategy", "sandwich", "--divergence", "beta"], "unknown divergence 'beta'.*kl, alpha"),
    (["--sample-strategy", "sandwich", "--alpha-clip", "3"], "--alpha-clip is for --divergence alpha only|kl"),
    (["--sample-strategy", "fair", "--attentive", "best-up"], "--attentive is for --sample-strategy uniform, sandwich"),
    (["--attentive", "best"], "--attentive: no value 'best'.*best-up, worst-up"),
    (["--sample-strategy", "sandwich", "--target-hc", "3"], "limit the paths of --sample-strategy uniform"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(words: list[str], message: str, tmp_path: Any) -> None:
    with pytest.raises(UserError, match=message):
        main_train_supernet([*TOY, "--root-path", str(tmp_path), *words])
    assert not list(tmp_path.iterdir())
    assert TINY["search_space"] == "nasbench_macro"


def test_a_predictor_chooses_among_networks_of_about_as_many_macs(tmp_path: Any) -> None:
    """One that a search kept, by the script: it prefers fewer layers of option 2, which cost most."""
    space = build_space("nasbench_macro", widths=(4, 4, 6, 8, 16), resolution=8, num_classes=10)
    table, rng = build_table(space, "flops", 8), random.Random(3)
    drawn = [space.sample(rng) for _ in range(60)]
    worth = {architecture: -float(sum(option == 2 for option in architecture)) for architecture in drawn}
    results = [Result(architecture, {"accuracy": value}) for architecture, value in worth.items()]
    file = tmp_path / "predictor.json"
    train(space, Objective("accuracy", maximise=True, measured=True), results, 0).save(file)
    PREDICTORS["search.predictor"] = script.expectation
    context = TestSandwich().context()
    changes = {"attentive": "best-up", "attentive_by": str(file), "attentive_candidates": 20}
    trainer = TRAINERS["uniform"](replace(context, options=replace(context.options, **changes)))
    assert isinstance(trainer, PathTrainer)
    edges = np.linspace(table.minimum()[0], table.maximum()[0], BANDS + 1)[1:-1]
    sampler: Any = trainer.sampler
    for step in range(12):
        candidates = sampler.draw.paths(step)
        assert len(candidates) == 20
        assert len(set(np.searchsorted(edges, table.cost(candidates), "right").tolist())) == 1
        (path,) = trainer.paths(step)
        assert path.count(2) == min(candidate.count(2) for candidate in candidates)
    other = build_space("simple_cnn", num_classes=10)
    with pytest.raises(UserError, match="it predicts networks of nasbench_macro, not of simple_cnn"):
        script.expectation(file, other)
    with pytest.raises(UserError, match="--attentive-by nowhere: there is no such file"):
        main_train_supernet([*TOY, "--root-path", str(tmp_path), "--attentive", "best-up", "--attentive-by", "nowhere"])
