"""Differentiable searches of cells: second order on a tiny one, skips counted, and an end before they take over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.readers.json_text import read_jsonl
from supernet import Supernet, build_space
from supernet.cell_space import CellSpace
from supernet.relaxations import Relaxation, of_logits
from supernet.relaxations.edges import EdgeParameters
from supernet.spaces.cells import CellTable
from tests.training.differentiable_search.test_gradient import Case
from training.differentiable_search import learner as learner_module
from training.differentiable_search.gradient import WeightUpdate, first_order, of_loss, second_order
from training.differentiable_search.skipping import collapse_warning, most_skips, skip_counts, skips_so_far
from training.optimizers import PathSGD
from training.options import TrainSupernetOptions
from training.train_supernet import train_supernet

TINY = CellTable("tiny", ("skip_connect", "sep_conv_3x3", "avg_pool_3x3"), nodes=2, width=2, cells=3)
TRAINING: dict[str, Any] = {
    "dataset": "digits", "resolution": 8, "train_portion": 0.06, "batch_size": 16, "sample_strategy": "differentiable",
    "relaxation": "softmax", "epochs": 3, "threads": 1, "tensorboard": False,
}  # fmt: skip


class CellCase(Case):
    """The case of a chain, of cells whose edges share a gate per kind."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        space = TINY.build(8, 3, affine=False)
        self.net = Supernet(space).double().train()
        self.parameters = of_logits(self.net, 0).double()
        with torch.no_grad():
            self.parameters.logits.normal_()
        self.relaxation = Relaxation("softmax", self.parameters, 0)
        weights = list(self.net.parameters())
        self.step = WeightUpdate(weights, PathSGD(weights, 0.05, 0.9, 1e-3), 0.05)
        for p in weights:
            self.step.optimizer.state[p]["momentum_buffer"] = 0.1 * torch.randn_like(p)


def test_second_order_of_a_cell_is_the_numeric_derivative_through_a_step_of_the_weights() -> None:
    case = CellCase()
    logits = case.parameters.logits
    losses = of_loss(lambda: case.loss(case.train)), of_loss(lambda: case.loss(case.val))
    first = first_order(logits, losses[1])
    second = second_order(logits, case.net, case.step, *losses, epsilon=1e-6)  # no kink of a ReLU in between
    some = [(0, 0), (1, 3), (3, 1), (5, 2), (9, 0)]  # operations and none, of edges of both kinds
    reference = []
    for index in some:
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                logits[index] += sign * 1e-5
            ends.append(float(case.after_a_step()))
            with torch.no_grad():
                logits[index] -= sign * 1e-5
        reference.append((ends[0] - ends[1]) / 2e-5)
    numeric = torch.tensor(reference, dtype=torch.float64)
    errors = [float((torch.stack([g[i] for i in some]) - numeric).norm() / numeric.norm()) for g in (first, second)]
    assert errors[0] > 0.02, "the two orders were expected to differ"
    assert errors[1] < 1e-3


# ---- skips


def darts() -> CellSpace:
    space = build_space("darts", resolution=8, num_classes=3, widths=(2,), depths=(3,))
    assert isinstance(space, CellSpace)
    return space


def of_operations(space: CellSpace, normal: int, reduce: int) -> tuple[int, ...]:
    """The first two inputs of each node, with so many skips in a kind of cell and 3x3 separable convolutions else."""
    left, chosen = {"normal": normal, "reduce": reduce}, {}
    for node in space.nodes:
        for gate in node.picks[0].gates[:2]:
            chosen[gate] = 2 if left[node.kind] > 0 else 3
            left[node.kind] -= 1
    return space.keeping(chosen)


def test_skips_are_counted_per_kind_of_cell_and_warned_of() -> None:
    space = darts()
    assert skip_counts(space, of_operations(space, 3, 1)) == {"skips/normal": 3, "skips/reduce": 1}
    assert most_skips(space, of_operations(space, 2, 8)) == 2
    assert "skips are taking over: 3 of 8 edges" in collapse_warning(space, of_operations(space, 3, 0))
    assert collapse_warning(space, of_operations(space, 2, 8)) == ""
    chain = build_space("nasbench_macro", widths=(4, 4, 6, 8, 16))
    assert skip_counts(chain, (0, 1, 0, 2, 0, 1, 1, 1)) == {"skips": 3}
    assert skips_so_far([{"loss": 1.0}, {"skips/normal": 1, "skips/reduce": 0}, {"skips/normal": 2}]) == {
        "normal": [1, 2],
        "reduce": [0],
    }


def test_it_ends_before_skips_take_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "tiny.yml"
    table.write_text(json.dumps(TINY.to_dict()), encoding="utf-8")  # which is YAML too
    found = iter([1, 2])
    monkeypatch.setattr(learner_module, "most_skips", lambda *_: next(found))
    folder = train_supernet(
        TrainSupernetOptions(
            title="a", root_path=str(tmp_path), search_space=str(table), max_skips=1, validate_every=3, **TRAINING
        )
    )
    log = (folder / "log.txt").read_text(encoding="utf-8")
    assert "the search ends: 2 skips after epoch 2, more than --max-skips 1; what was learnt by epoch 1 is kept" in log
    first, whole = (
        json.loads((folder / name).read_text()) for name in ("architectures/epoch_0001.json", "architecture.json")
    )
    assert whole["derived"] == first["derived"]
    assert whole["decisions"] == first["decisions"]
    rows = [row for row in read_jsonl(folder / "metrics.jsonl") if "skips/normal" in row]
    assert len(rows) == len(whole["skips"]["normal"]) == 2
    assert json.loads((folder / "supernet.json").read_text())["train"]["steps"] == rows[-1]["step"]
    state = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["state"]["trainer"]
    assert state["stopped"]
    edges = EdgeParameters(TINY.build())
    edges.load_state_dict(state["parameters"])
    assert list(edges.derive()) == whole["derived"]
