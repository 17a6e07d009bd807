"""Untrained networks as an evaluator, and the command that scores and ranks them."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau, rankdata

from config_file.errors import UserError
from search.cli import main as search
from search.evaluators.workers import in_processes
from search.evaluators.zero_cost import ZeroCostEvaluator
from search.proxies import SCORES, Sample
from search.ranking.untrained import UntrainedOptions, drawn
from search.ranking.untrained import main as zero_cost
from search.testing.evaluators import EvaluatorSuite
from supernet import Architecture, Network, SearchSpace, build_space

SPACE_FILE = """\
name: micro
stem: 8
stages:
  - {channels: 8, depth: 2, stride: 2}
  - {channels: 16, depth: 2, stride: 2}
candidates: [k3e1, k3e3, k5e3, skip]
head: 16
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "micro.yml").write_text(SPACE_FILE)
    return tmp_path


def small() -> SearchSpace:
    return build_space("nasbench_macro", resolution=8, num_classes=3, widths=(4, 4, 8, 8, 16))


class TestZeroCost(EvaluatorSuite):
    measures: ClassVar = {"synflow": True, "snip": True, "zen": True}

    def make(self) -> ZeroCostEvaluator:
        images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(3))
        sample = Sample(images, torch.arange(6) % 3, 3, torch.nn.functional.cross_entropy)
        return ZeroCostEvaluator(small(), tuple(self.measures), sample, seed=5)

    def architectures(self) -> list[Architecture]:
        rng, space = random.Random(0), small()
        return list(dict.fromkeys(space.sample(rng) for _ in range(5)))


@pytest.mark.usefixtures("served_workers")
def test_two_processes_score_alike() -> None:
    suite = TestZeroCost()
    alone = {r.architecture: r.metrics for r in suite.make().evaluate(suite.architectures())}
    shared = in_processes(suite.make(), 2, 1)
    try:
        together = {r.architecture: r.metrics for r in shared.evaluate(suite.architectures())}
    finally:
        shared.close()
    assert together == alone


DATA = ("--search-space", "micro.yml", "--dataset", "digits", "--resolution", "8", "--threads", "1")


def test_a_search_picks_by_a_score(folder: Path) -> None:
    search(["--title", "z", "--evaluator", "zero_cost", "--zero-cost", "synflow,nwot", "--search-strategy", "grid",
            "--evaluations", "12", *DATA])  # fmt: skip
    rows = [json.loads(line) for line in (folder / "runs/z/search/archive.jsonl").read_text().splitlines()[1:]]
    best = json.loads((folder / "runs/z/search/best.json").read_text())
    assert len(rows) == 12
    assert best["architecture"] == max(rows, key=lambda row: row["metrics"]["synflow"])["architecture"]


def test_networks_are_ranked_by_all_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zero_cost(["--title", "z", "--zero-cost", "synflow,nwot", "--architectures", "15", *DATA])
    with (folder / "runs/z/zero_cost/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["indices"] for row in rows}) == 15
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("synflow", "nwot", "flops")}
    joined = sum(np.log(rankdata(columns[name]) / 15) for name in ("synflow", "nwot"))
    assert list(joined) == sorted(joined, reverse=True)
    shown = capsys.readouterr().out
    assert f"{kendalltau(columns['synflow'], columns['flops']).statistic:.3f}" in shown
    # The same command goes on, and evaluates nothing twice.
    before = (folder / "runs/z/zero_cost/archive.jsonl").read_text()
    (folder / "runs/z/zero_cost/scores.csv").unlink()
    zero_cost(["--title", "z", "--resume"])
    assert (folder / "runs/z/zero_cost/archive.jsonl").read_text() == before
    with (folder / "runs/z/zero_cost/scores.csv").open() as file:
        assert list(csv.DictReader(file)) == rows


def test_a_network_without_a_number_is_the_worst(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network: Network, _sample: Sample) -> float:
        return float("nan") if len(network.spec.nodes) < 7 else float(len(network.spec.nodes))

    monkeypatch.setitem(SCORES, "broken", type(SCORES["snip"])(broken, "none", "nothing"))
    zero_cost(["--title", "z", "--zero-cost", "broken", "--architectures", "30", *DATA])
    with (folder / "runs/z/zero_cost/scores.csv").open() as file:
        values = [row["broken"] for row in csv.DictReader(file)]
    assert "" in values
    assert values == [*sorted(filter(None, values), reverse=True), *[""] * values.count("")]


def test_accuracies_of_a_file_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = build_space("micro.yml", resolution=8, num_classes=10)
    rng = random.Random(1)
    chosen = list(dict.fromkeys(space.canonical(space.sample(rng)) for _ in range(12)))
    rows = [f"{' '.join(space.names(a))},{0.5 + 0.01 * sum(a)}" for a in chosen]
    Path("trained.csv").write_text("\n".join(["architecture,accuracy", *rows]) + "\n")
    zero_cost(["--title", "z", "--zero-cost", "l2_norm", "--of", "trained.csv", *DATA])
    with (folder / "runs/z/zero_cost/scores.csv").open() as file:
        found = {tuple(map(int, row["indices"].split())): float(row["l2_norm"]) for row in csv.DictReader(file)}
    assert set(found) == set(chosen)
    tau = kendalltau([found[a] for a in chosen], [sum(a) for a in chosen]).statistic
    assert f"{tau:.3f}" in capsys.readouterr().out.splitlines()[1]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--zero-cost", "synflo"), r"unknown zero-cost score 'synflo'; did you mean 'synflow'\?"),
        (("--zero-cost", "flops"), r"--zero-cost flops is a cost"),
        (("--zero-cost", ","), r"--zero-cost names nothing"),
        (("--zero-cost", "snip", "--of", "nothing.csv"), r"nothing.csv: no such file"),
    ],
)
def test_what_cannot_be_scored_is_one_line(folder: Path, flags: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        zero_cost(["--title", "z", *flags, *DATA])
    assert not (folder / "runs").exists()


def test_networks_are_drawn_until_there_are_no_more() -> None:
    space = small()
    asked = UntrainedOptions(title="z", architectures=40, random_seed=3)
    found = drawn(asked, space)
    assert found == drawn(asked, space)
    assert len(set(found)) == 40
    assert all(space.canonical(a) == a for a in found)
    everything = drawn(UntrainedOptions(title="z", architectures=0), space)
    assert len(set(everything)) == len(everything) == space.num_canonical
    with pytest.raises(UserError, match=r"--architectures 0: proxylessnas has .* all of at most 1,000,000"):
        drawn(UntrainedOptions(title="z", architectures=0), build_space("proxylessnas"))


def test_a_plan_refuses_what_a_run_would(folder: Path) -> None:
    with pytest.raises(UserError, match="unknown zero-cost score 'synflo'"):
        zero_cost(["--title", "z", "--zero-cost", "synflo", "--plan", *DATA])
