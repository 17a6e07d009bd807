from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
import torch
from torch import nn

from search.evaluators import supernet as evaluator_module
from search.evaluators.prefix_evaluation import tree_of
from search.evaluators.supernet import SupernetEvaluator
from search.result import Result
from search.testing.toy import toy_space
from supernet import Architecture, SearchSpace, Supernet, build_space
from tests.search.evaluators.test_supernet import randomised
from tests.search.toy import toy_data
from tests.supernet.own_spaces import small_nasbench201
from training.data import Data

Logits = dict[Architecture, list[torch.Tensor]]
IMAGE = (3, 8, 8)


@pytest.fixture(scope="module")
def data() -> Data:
    return toy_data()


def population(space: SearchSpace, count: int) -> list[Architecture]:
    """Relatives: a few, their crossovers and mutants."""
    rng = random.Random(0)
    parents = [space.sample(rng) for _ in range(3)]
    cuts = [rng.randrange(len(space.sizes)) for _ in range(count)]
    children = [rng.choice(parents)[:cut] + rng.choice(parents)[cut:] for cut in cuts]
    return list(dict.fromkeys([*parents, *(space.mutate(child, rng, 0.1) for child in children)]))


def make(supernet: Supernet, data: Data, **settings: object) -> SupernetEvaluator:
    return SupernetEvaluator(supernet, data, **{"calibration_images": 60, "batch_size": 20, **settings})  # type: ignore[arg-type]


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[Result], Logits]]:
    """Evaluate, and keep the logits of every batch."""
    seen: list[list[torch.Tensor]] = []
    classify = evaluator_module.score

    def recording(network: nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]], *rest: object) -> object:
        outputs = [(network(x), y) for x, y in batches]
        seen.append([x for x, _ in outputs])
        return classify(nn.Identity(), outputs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluator_module, "score", recording)

    def run(evaluator: SupernetEvaluator, architectures: list[Architecture]) -> tuple[list[Result], Logits]:
        results, logits = [], {}
        for result in evaluator.evaluate(architectures):
            results.append(replace(result, spent={}))
            logits[result.architecture] = seen[-1]
        return sorted(results, key=lambda result: result.architecture), logits

    return run


WIDTHS = (8, 8, 8, 8, 16, 16, 16, 16, 32)
SPACES: dict[str, Callable[[], SearchSpace]] = {
    "inverted residuals": lambda: build_space(
        "proxylessnas", resolution=8, num_classes=4, widths=WIDTHS, depths=(1, 2, 1, 1, 1, 1)
    ),
    "sliced kernels": lambda: build_space(
        "single_path", resolution=8, num_classes=4, widths=WIDTHS, depths=(1, 2, 1, 1, 1, 1)
    ),
    "shuffle units": lambda: build_space(
        "spos", resolution=8, num_classes=4, widths=(8, 16, 32, 64, 128, 32), depths=(2, 1, 2, 1)
    ),
    "depths": toy_space,
}


@pytest.mark.parametrize("name", SPACES)
def test_bit_identical_to_each_alone(
    name: str, data: Data, evaluated: Callable[..., tuple[list[Result], Logits]]
) -> None:
    space = SPACES[name]()
    architectures = population(space, 2)
    torch.manual_seed(0)
    supernet = randomised(Supernet(space))
    alone, logits = evaluated(make(supernet, data, prefix_sharing=False), architectures)
    assert len({result.value("loss") for result in alone}) > 1
    tree = tree_of(space, architectures, IMAGE)
    assert tree is not None
    per_image = 4 * tree.most_held() / (1 << 30)
    # Everything, a part of the validation images, a tree in parts, nothing.
    for memory in (1.0, per_image * (60 + 25), per_image * 70, 0.0):
        shared, same = evaluated(make(supernet, data, memory=memory), architectures[::-1])
        assert shared == alone
        for architecture in architectures:
            assert len(logits[architecture]) == 3
            assert all(map(torch.equal, logits[architecture], same[architecture]))


def test_bit_identical_without_calibration(data: Data, evaluated: Callable[..., tuple[list[Result], Logits]]) -> None:
    space = toy_space()
    supernet, architectures = randomised(Supernet(space)), population(space, 4)
    alone, _ = evaluated(make(supernet, data, calibration_images=0, prefix_sharing=False), architectures)
    assert evaluated(make(supernet, data, calibration_images=0), architectures)[0] == alone


def test_what_is_not_a_chain_is_evaluated_alone(data: Data) -> None:
    space = small_nasbench201(resolution=8, num_classes=4)
    architectures = [(3, 2, 1, 0, 3, 2), (3, 2, 1, 0, 3, 3)]
    assert tree_of(space, architectures, IMAGE) is None
    results = list(make(randomised(Supernet(space)), data).evaluate(architectures))
    assert [result.architecture for result in results] == architectures


def test_each_shared_layer_is_made_once(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    space = toy_space()
    architectures = [(3, 0, 1, 2, 0), (3, 0, 1, 2, 1), (3, 0, 2, 2, 1), (0, 0, 0, 0, 0), (0, 0, 1, 0, 0)]
    made = []
    layer = SupernetEvaluator._layer
    monkeypatch.setattr(SupernetEvaluator, "_layer", lambda self, step: made.append(step.site) or layer(self, step))
    list(make(Supernet(space), data).evaluate(architectures))
    # stem, first layer | head of the two short ones, second layers (1 and 2) | their third, fourth and head
    assert sorted(made) == sorted(
        ["stem", "layer0", "head", *["layer1"] * 2, *["layer2"] * 2, *["layer3"] * 3, *["head"] * 3]
    )
    tree = tree_of(space, architectures, IMAGE)
    assert tree is not None
    assert tree.layers() == (len(made), 3 * 6 + 3)  # the two short networks are one and the same


def test_a_thousand_networks_of_nasbench_macro_share_more_than_half() -> None:
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    drawn = random.Random(0).sample(sorted(itertools.product(range(3), repeat=8)), 1000)
    whole, parts = tree_of(space, drawn, (3, 32, 32)), [tree_of(space, drawn[i::16], (3, 32, 32)) for i in range(16)]
    assert whole is not None
    shared, alone = whole.layers()
    assert alone == sum(len(space.decode(architecture).nodes) for architecture in drawn)
    in_parts = [part.layers() for part in parts if part is not None]
    assert sum(count for _, count in in_parts) == alone
    assert 2.2 * shared < alone < 1.7 * sum(count for count, _ in in_parts)


def test_an_interrupted_walk_is_continued_in_the_same_order(data: Data) -> None:
    space = SPACES["inverted residuals"]()
    rng = random.Random(1)
    whole = tree_of(space, {space.sample(rng) for _ in range(30)}, IMAGE)
    assert whole is not None
    order = [architecture for leaf in whole.leaves() for architecture in leaf]
    for done in (1, 7, 29):
        rest = tree_of(space, set(order[done:]), IMAGE)
        assert rest is not None
        assert [architecture for leaf in rest.leaves() for architecture in leaf] == order[done:]


def test_what_is_held_is_counted(data: Data) -> None:
    space = toy_space()
    tree = tree_of(space, [(0, 0, 0, 0, 0)], IMAGE)
    assert tree is not None
    assert tree.most_held() == 2 * 4 * 4 * 4  # no branching: a layer's input and output
    assert tree.cut() == []
    tree = tree_of(space, [(3, 0, 0, 0, 0), (3, 1, 0, 0, 0)], IMAGE)
    assert tree is not None
    assert tree.most_held() == 3 * 4 * 4 * 4  # the stem's output waits for the second child
    assert [part.most_held() for part in tree.cut()] == [2 * 4 * 4 * 4] * 2
