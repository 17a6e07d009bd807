"""Defaults of differentiable searches: they learn, those of OSNASLib do not where steps are few, and that is said."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.readers.json_text import read_jsonl
from lookup_tables import build_table
from supernet.relaxations import RELAXATIONS
from tests.training import toy
from tests.training.differentiable_search.test_learner import learner_of, options_of
from training.differentiable_search.options import GradientOptions, architecture_optimizer, architecture_steps
from training.differentiable_search.penalties import WEIGHTS, make_penalty
from training.differentiable_search.report import report_epoch
from training.differentiable_search.skipping import collapse_warning
from training.loop import train_step
from training.train_supernet import prepare_supernet, train_supernet
from training.trainer import Silent

QUICKSTART: dict[str, Any] = {"batch_size": 16, "train_portion": 0.3, "epochs": 2, "target_hc": 0.03}


@pytest.mark.parametrize("trainer", ["differentiable", "differentiable_gumbel"])
def test_defaults_learn_and_those_of_osnaslib_do_not(
    tmp_path: Path, trainer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    full = math.log(3)
    rows = {}
    presets: dict[str, dict[str, Any]] = {
        "default": {},
        "osnaslib": {
            "a_optimizer": "sgd",
            "a_lr": 0.05,
            "a_weight_decay": 4e-4,
            "hc_loss": "squared",
            "hc_weight": 0.005,
        },
    }
    for title, preset in presets.items():
        folder = train_supernet(options_of(tmp_path, title, sample_strategy=trainer, **QUICKSTART, **preset))
        rows[title] = [row for row in read_jsonl(folder / "metrics.jsonl") if "entropy" in row]
        said = capsys.readouterr().out
        assert ("learns next to nothing" in said) == (title == "osnaslib")
        assert "collapsing" not in said or title == "default"
    first = prepare_supernet(options_of(tmp_path, "unused", **QUICKSTART))
    hardware = learner_of(first).hardware
    assert hardware is not None
    at_start = float(hardware.expected(learner_of(first).parameters.by_decision()).detach()[0])
    assert rows["osnaslib"][-1]["entropy"] > 0.999 * full
    assert rows["osnaslib"][-1]["expected_flops"] == pytest.approx(at_start, rel=0.01)
    assert rows["default"][-1]["entropy"] < 0.9 * full
    assert rows["default"][-1]["expected_flops"] == pytest.approx(0.03, rel=0.1)


def test_default_rates_follow_the_number_of_steps_and_the_optimizer(tmp_path: Path) -> None:
    def rate(relaxation: str = "softmax", steps: int = 100, **changes: Any) -> tuple[str, float]:
        return architecture_optimizer(options_of(tmp_path, **changes), RELAXATIONS[relaxation].scaled, steps)

    assert rate(steps=1000) == ("adam", pytest.approx(0.03))
    assert rate(steps=10) == ("adam", 0.3)
    assert rate(steps=112_000) == ("adam", 0.001)  # ProxylessNAS's own length and rate
    assert rate(a_optimizer="sgd") == ("sgd", 0.05)
    assert rate("binary") == ("sgd", 0.05)  # the task's gradient is rounding: Adam would make steps of it
    assert rate("binary", a_optimizer="adam", a_lr=0.01) == ("adam", 0.01)
    options = options_of(tmp_path, epochs=10, a_warmup_epochs=2.5, a_every=4)
    assert architecture_steps(options, options.epochs, 30) == 57  # ceil(7.5 * 30 / 4)


@pytest.mark.parametrize("name", ["reinforce", "rl", "RL", "score_function", "score-function"])
def test_the_score_function_goes_by_several_names(tmp_path: Path, name: str) -> None:
    assert options_of(tmp_path, relaxation=name).relaxation == "reinforce"


def test_the_relative_penalty_has_no_unit() -> None:
    for scale in (1.0, 1e3):
        options = GradientOptions()
        penalise = make_penalty(options, 20 * scale, minimum=scale)
        cost = torch.tensor(25 * scale, dtype=torch.float64)
        assert float(penalise(torch.zeros((), dtype=torch.float64), cost)) == pytest.approx(WEIGHTS["relative"] / 16)


def test_no_collapse_is_said_of_a_distribution_that_has_decided_nothing(tmp_path: Path) -> None:
    job = prepare_supernet(options_of(tmp_path))
    learner = learner_of(job)
    for sureness, said in ((0.01, False), (3.0, True)):
        with torch.no_grad():
            learner.parameters.logits.zero_()
            learner.parameters.logits[:, 0] = sureness  # nasbench_macro's first option skips
        assert collapse_warning(learner.supernet.space, learner.derive())
        log = Spoken()
        report_epoch(learner, log, 1)
        assert ("collapsing" in log.text) == said


class Spoken(Silent):
    text = ""

    def log(self, text: str = "") -> None:
        self.text += text


@pytest.mark.parametrize("relaxation", ["binary_two", "reinforce"])
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_a_constrained_training_holds_its_target_from_half_on(tmp_path: Path, share: float, relaxation: str) -> None:
    table = build_table(toy.toy_space(), "flops", 8)
    low, high = table.minimum()[0] / 1e6, table.maximum()[0] / 1e6
    target = low + share * (high - low)
    held = QUICKSTART | {"target_hc": target, "hc_mode": "constrained", "relaxation": relaxation, "epochs": 3}
    job = prepare_supernet(options_of(tmp_path, **held))
    learner = learner_of(job)
    assert learner.hardware is not None
    course = []
    while job.state.step < job.recipe.steps:
        for x, y in job.recipe.batches(job.state.step // job.recipe.steps_per_epoch):
            train_step(job.recipe, job.state, x, y)
            expected = learner.hardware.expected(learner.parameters.by_decision()).detach()
            course.append(float(expected[0]) / target)
    assert len(course) == learner.steps
    assert max(abs(cost - 1) for cost in course[len(course) // 2 :]) < 0.1
    assert learner.hardware.costs(learner.derive())["flops"] <= target
