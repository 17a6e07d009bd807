"""`python -m benchmarks.gpu` on a CPU: its parts give their rows, and what a part has found outlives it."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock, Mock

import pytest
import torch

from benchmarks import gpu
from benchmarks.on_gpu import graphs, parts, work
from benchmarks.on_gpu.work import Row, Work, row
from config_file.errors import UserError


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.setattr(work, "TINY", {"chain": work.TINY["chain"]})
    return Work("cpu", True, 0.0, "digits", "./data", tmp_path, 16)


def test_every_part_gives_its_rows(tiny: Work) -> None:
    found = {part.__name__: list(part(tiny)) for part in (parts.step, parts.mixed, parts.population, graphs.graphs)}
    alone, shared = (found["step"][place]["value"] for place in (1, 0))
    over = found["step"][2]
    assert over["low"] <= over["value"] <= over["high"]
    assert over["value"] == pytest.approx(shared / alone, rel=1.0)
    distance = found["mixed"][0]["value"]
    assert 0 < distance < parts.MIXED
    assert [one["unit"] for one in found["population"]] == ["networks/s"]
    assert all("needs a CUDA device" in one["note"] for one in found["graphs"])


def test_the_step_that_is_captured_is_one_of_torchs_sgd() -> None:
    torch.manual_seed(0)
    network, other = (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)) for _ in range(2))
    other.load_state_dict(network.state_dict())
    x, y = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 0])
    step, optimizer = graphs.one_step(network, x, y), torch.optim.SGD(other.parameters(), 0.01, 0.9, weight_decay=4e-5)
    for _ in range(3):
        step()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(other(x), y).backward()
        optimizer.step()
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_a_graph_is_captured_after_a_warm_up_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Stream", "stream", "current_stream", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    monkeypatch.setattr(torch.cuda, "synchronize", Mock())
    run = Mock()
    rows = list(graphs._payoff("a pass", run, torch.device("cuda"), "graph", graphs.captured))
    assert torch.cuda.graph.call_count == 1  # type: ignore[attr-defined]
    assert torch.cuda.CUDAGraph().replay.call_count >= 30
    assert "pays after" in rows[0]["note"] or rows[0]["note"] == "never pays"


def fine(work: Work) -> Iterator[Row]:
    yield row("a", 2.0, "x", aim=1.0, low=1.5, high=2.5)
    yield row("64 images at once, each alone", 3.0, "networks/s")


def broken(work: Work) -> Iterator[Row]:
    yield row("before", 1.0)
    raise ValueError("out of luck")


def endless(work: Work) -> Iterator[Row]:
    yield row("first", float("nan"))
    time.sleep(60)


def test_what_is_found_is_kept_whatever_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: fork)
    monkeypatch.setattr(gpu, "PARTS", {"fine": (1.0, fine), "broken": (1.0, broken), "endless": (1.0, endless)})
    words = ["--parts", "fine,broken,endless", "--minutes", "0.02", "--folder", str(tmp_path), "--device", "cpu"]
    assert gpu.main(words) == 1
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [one["what"] for one in rows][:3] == ["a", "64 images at once, each alone", "before"]
    assert rows[3]["note"] == "ValueError: out of luck"
    assert rows[4]["value"] is None
    assert rows[5]["what"].startswith("endless: cut off after 1 s")
    assert "out of luck" in (tmp_path / "broken.error.txt").read_text()
    assert (tmp_path / "gpu.png").is_file()
    assert capsys.readouterr().out.count("\n") == len(rows) + 2
    with pytest.raises(UserError, match="fine"):
        gpu.main(["--parts", "fein", "--folder", str(tmp_path)])
