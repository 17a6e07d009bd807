"""Networks of trials: narrower ones of every space, and those that a teacher teaches."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.errors import UserError
from search.archive import read_archive
from search.cli import main
from search.trials.width import narrower
from supernet import Network
from supernet.spaces import SPACES, build_network_space
from training.cli import main_retrain


@pytest.mark.parametrize("name", [name for name in SPACES if name != "fbnet"])
@pytest.mark.parametrize("factor", [0.25, 0.6])
def test_networks_of_every_space_can_be_narrower(name: str, factor: float) -> None:
    """They run, with as many outputs; weights shrink about as the square of the factor, but for the rounding to 4."""
    space, rng = build_network_space(name, resolution=SPACES[name].resolution, num_classes=10), random.Random(0)
    shape = space.input_shape
    for _ in range(3):
        architecture = space.sample(rng)
        spec, narrow = (narrower(space, architecture, less) for less in (1, factor))
        assert spec == space.decode(architecture)
        *_, (_, leaving) = narrow.shapes(shape).values()
        *_, (_, usual) = spec.shapes(shape).values()
        assert leaving == usual
        assert narrow.params(shape) < spec.params(shape)
        assert narrow.macs(shape) < spec.macs(shape)
    small = 64 if shape[1] > 64 else shape[1]
    outputs = Network(narrow, 3).eval()(torch.zeros(1, 3, small, small))
    assert outputs.shape == (1, usual[0])


PLACE = ["--threads", "1", "--no-tensorboard", "--dataset", "digits", "--resolution", "8", "--train-portion", "0.2"]
SPACE = ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16", "--batch-size", "64"]


def test_a_teacher_at_the_lower_fidelities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last fidelity begins anew without it; another teacher is another search."""
    monkeypatch.chdir(tmp_path)
    main_retrain(["--title", "teacher", *PLACE, *SPACE, "--epochs", "1", "--architecture", "random"])
    words = [
        *("--title", "t", *PLACE, *SPACE, "--target-hc", "1", "--evaluator", "training", "--fidelities", "1,2"),
        *("--low-fidelity-trainer", "distillation", "--teacher", "runs/teacher"),
        *("--search-strategy", "random", "--random-iteration", "2"),
    ]
    main(words)
    _, results = read_archive(tmp_path / "runs/t/search/archive.jsonl")
    assert [(result.fidelity["epochs"], result.spent["epochs"]) for result in results] == [(1, 1), (1, 1), (2, 2)]
    log = next(tmp_path.glob(f"runs/t/search/trials/{'-'.join(map(str, results[-1].architecture))}.log")).read_text()
    begun: list[Any] = [line.split(":")[0] for line in log.splitlines() if line.startswith("epoch")]
    assert begun == ["epoch 1/1", "epoch 1/2", "epoch 2/2"]
    main_retrain(["--title", "teacher", *PLACE, *SPACE, "--epochs", "2", "--architecture", "random", "--overwrite"])
    with pytest.raises(UserError, match="trainers was"):
        main([*words, "--resume"])
