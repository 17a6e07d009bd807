"""Every stage, killed in every window between two of its files, goes on to what it leaves in one go.

The other half is in `test_killed_later.py`: files are shared out among processes whole.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.house.killed import COMMANDS, main
from tests.served import started

# Windows that must have been found, for the test to be one; more are found by listening.
EXPECTED = {
    "supernet": ["supernet.safetensors gets its name", "supernet.json"],
    "differentiable": ["architecture.json gets its name", "env.json"],
    "search": ["report.html gets its name", "best.json"],
    "first": ["first.jsonl", "spent.json gets its name"],
    "front": ["front.csv gets its name", "best.json"],
    "learning": ["learning/env.json gets its name", "learning/metrics.jsonl"],
    "training": ["trainings/ONE.pt gets its name", "trainings/ONE.jsonl"],
    "runs": ["runs.csv gets its name", "best.json gets its name"],
    "retrain": ["result.json gets its name", "model.safetensors"],
    "export": ["card.json gets its name", "model.onnx gets its name"],
    "zero_cost": ["archive.jsonl", "scores.csv"],
    "rank": ["scores.csv gets its name", "rank.json"],
    "verdict": ["trainings.jsonl", "verdict.json"],
    "kit": ["kit.json gets its name", "README.txt"],
    "table": ["t.rounds.jsonl", "t.json"],
}


LATER = ("first", "front", "learning", "export", "rank", "verdict")


def ends_the_same(stage: str, folder: Path) -> None:
    said = folder / "said.txt"
    process = started(main, stage, folder, said=said)
    process.join()
    assert process.exitcode == 0, said.read_text()
    found = json.loads(said.read_text().splitlines()[-1])
    assert found["wrong"] == []
    before, after = EXPECTED[stage]
    flat = [name for window in found["windows"] for name in window]
    assert before in flat
    assert after in flat


@pytest.mark.slow
@pytest.mark.parametrize("stage", [stage for stage in COMMANDS if stage not in LATER])
def test_killed_in_every_window_it_ends_the_same(stage: str, tmp_path: Path) -> None:
    ends_the_same(stage, tmp_path)
