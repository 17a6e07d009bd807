"""Training in phases: what is drawn, at which rate, taught by whom, and going on from everywhere bit for bit."""

from __future__ import annotations

import io
import json
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch.nn import functional as F

from config_file.errors import UserError
from supernet import extract
from tests.training import toy
from tests.training.test_trainers import TOY
from training import Context, Trainer
from training.cli import main_train_supernet
from training.loop import train_step
from training.options import TrainSupernetOptions
from training.phased import Phased
from training.phases import phases_of
from training.recipe import Recipe
from training.state import TrainingState
from training.testing import TrainerSuite
from training.train_supernet import prepare_supernet
from training.trainers import trainer_of

PHASES: list[dict[str, Any]] = [
    {"name": "largest", "epochs": 1, "draw": {"*": "largest"}},
    {"name": "kernel", "epochs": 1, "lr": 0.03, "teacher": "largest", "draw": {"*": "largest", "*/kernel": "*"}},
    {"name": "depth", "epochs": 1, "paths_per_step": 2, "draw": {"*/expand": "6", "stage1/depth": [2, 3]}},
    {"name": "expand", "epochs": 2, "sample_strategy": "sandwich", "sandwich-random": 1, "sort_channels": True,
     "teacher": "largest", "lr_scheduler": "linear", "warmup_epochs": 1, "elastic_resolution": "4,8"},
]  # fmt: skip
OFA: dict[str, Any] = {
    "search_space": "ofa_mbv3", "widths": (8,) * 8 + (16,), "depths": (3, 1, 1, 1, 1), "batch_size": 96,
    "train_portion": 0.14,
}  # fmt: skip


def options(root: Path, phases: Any = PHASES, **changes: Any) -> TrainSupernetOptions:
    given = {name: value for name, value in (toy.SMALL | OFA | changes).items() if name != "epochs"}
    return TrainSupernetOptions(title="toy", root_path=str(root), phases=json.dumps(phases), **given)


class TestPhased(TrainerSuite):
    changes: ClassVar = {
        "phases": json.dumps([{"epochs": 1, "draw": {"*": "smallest"}}, {"epochs": 1, "teacher": "1"}])
    }

    def make(self, context: Context) -> Trainer:
        return Phased(phases_of(context.options), trainer_of, context)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, TrainingState]:
    """A training to its end."""
    job = prepare_supernet(options(tmp_path_factory.mktemp("runs")))
    assert job.recipe.steps_per_epoch == 2
    for epoch in range(5):
        for x, y in job.recipe.batches(epoch):
            train_step(job.recipe, job.state, x, y)
    return job.recipe, job.state


def test_killed_in_and_between_phases_it_goes_on_bit_for_bit(
    trained: tuple[Recipe, TrainingState], tmp_path: Path
) -> None:
    saved = None
    for first, last in pairwise((0, 1, 2, 5, 6, 7, 10)):  # phases begin at 2, 4 and 6
        job = prepare_supernet(options(tmp_path))
        if saved is not None:
            job.state.load_state_dict(torch.load(saved, weights_only=True))
        for number in range(first, last):
            x, y = next(job.recipe.batches(*divmod(number, 2)))
            train_step(job.recipe, job.state, x, y)
        saved = io.BytesIO()
        torch.save(job.state.state_dict(), saved)
        saved.seek(0)
    toy.same(job.state.state_dict(), trained[1].state_dict())


def test_paths_stay_within_their_phase_and_reach_all_of_it(trained: tuple[Recipe, TrainingState]) -> None:
    trainer = trained[0].trainer
    assert isinstance(trainer, Phased)
    space = trainer.context.space
    allowed = [
        {"*/kernel": ["7"], "*/depth": ["3"], "*/expand": ["6"]},
        {"*/kernel": ["3", "5", "7"], "*/depth": ["3"], "*/expand": ["6"]},
        {"*/kernel": ["3", "5", "7"], "*/depth": ["2", "3"], "*/expand": ["6"]},
        {"*/kernel": ["3", "5", "7"], "*/depth": ["2", "3"], "*/expand": ["3", "4", "6"]},
    ]
    for place, rules in enumerate(allowed):
        inner: Any = trainer.trainers[place]
        paths = [path for step in range(30) for path in getattr(inner, "trainer", inner).paths(step)]
        part = inner.context.narrowed if hasattr(inner.context, "narrowed") else inner.context.within.narrowed
        for glob, names in rules.items():
            for number, decision in enumerate(space.decisions):
                if fnmatchcase(decision.name, glob):
                    met = {decision.options[part.widen(path)[number]] for path in paths}
                    assert met == {*names}
    steps = [trainer.phase_of(step) for step in range(10)]
    assert steps == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]
    assert [len(trainer.step(step).passes) for step in (0, 2, 4, 6)] == [1, 1, 2, 3]
    assert trainer.passes(10) == 2 + 2 + 4 + 12
    assert trainer.passes(5) == 2 + 2 + 2


def test_every_phase_has_the_schedule_of_a_training_of_its_own(trained: tuple[Recipe, TrainingState]) -> None:
    """Cosines from their own rates to 0, and a line behind a warm-up."""
    rates = [trained[0].rate(step) for step in range(10)]
    expected = [0.1, 0.05, 0.03, 0.015, 0.1, 0.05, 0.05, 0.1, 0.1, 0.05]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_a_phase_begins_with_the_weights_and_a_fresh_optimizer_and_the_former_network_teaches(tmp_path: Path) -> None:
    phases = [PHASES[0], PHASES[1] | {"kd_alpha": 0.5, "divergence": "kl"}]
    job = prepare_supernet(options(tmp_path, phases))
    trainer, state = job.trainer, job.state
    assert isinstance(trainer, Phased)
    for x, y in job.recipe.batches(0):
        train_step(job.recipe, state, x, y)
    largest = tuple(size - 1 for size in trainer.context.space.sizes)
    teacher = extract(trainer.context.supernet, largest).train()
    weights = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    held = set(state.optimizer.state)
    x, y = next(job.recipe.batches(1))
    trainer.before(2, x, y, state.optimizer, 0.03)
    assert held
    assert not state.optimizer.state
    toy.same(dict(state.model.state_dict()), weights)
    step = trainer.step(2)
    loss, outputs = step.passes[0](x, y)
    with torch.no_grad():
        taught = teacher(x).log_softmax(1)
    kl = F.kl_div(outputs.log_softmax(1), taught, log_target=True, reduction="batchmean")
    expected = F.cross_entropy(outputs, y, label_smoothing=0.1) + 0.5 * kl
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_sorting_where_a_phase_begins_leaves_the_largest_network_what_it_is(tmp_path: Path) -> None:
    phases = [{"epochs": 1, "draw": {"*": "largest"}}, {"epochs": 1, "sort_channels": True}]
    job = prepare_supernet(options(tmp_path, phases))
    supernet = job.trainer.context.supernet
    largest = tuple(size - 1 for size in supernet.space.sizes)
    x, y = next(job.recipe.batches(0))
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    supernet.eval()
    expected = supernet(x, largest)
    job.trainer.before(2, x, y, job.state.optimizer, 0.1)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    torch.testing.assert_close(supernet(x, largest), expected, rtol=1e-4, atol=1e-5)


def test_from_a_yaml_file_to_the_end_and_another_list_does_not_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As typed by a user; --plan counts the passes of all phases."""
    file = tmp_path / "phases.yml"
    file.write_text(
        "training:\n  phases:\n    - {name: a, epochs: 1, draw: {'*': largest}}\n"
        "    - name: b\n      epochs: 1\n      sample_strategy: sandwich\n      lr: 0.02\n"
    )
    words = [word for word in TOY if word not in ("--epochs", "2")]
    words += ["--root-path", str(tmp_path), "--config", str(file)]
    main_train_supernet([*words, "--plan", "--plan-seconds", "0.1"])
    assert "2 epochs x 4 steps = 8 optimizer steps, 1 pass over 64 images each: 1,280 images" in capsys.readouterr().out
    main_train_supernet(words)
    said = capsys.readouterr().out
    assert "phases: a (1 epoch, uniform, 1 path), b (1 epoch, sandwich, 4 paths)" in said
    assert "next phase: b" in said
    assert "trained 8 steps, 20 paths" in said
    (tmp_path / "toy" / "supernet" / "supernet.json").unlink()
    file.write_text(file.read_text().replace("0.02", "0.01"))
    with pytest.raises(UserError, match="was trained with --phases"):
        main_train_supernet([*words, "--resume"])


@pytest.mark.parametrize(("phases", "message"), [
    ([{"draw": {"*": "largest"}}], "--phases: 1: it needs epochs"),
    ([{"epochs": 0}], "--phases: 1: epochs must be at least 1"),
    ([{"epochs": 1, "draw": {"*/kernl": "3"}}], r"no decision of ofa_mbv3 matches '\*/kernl' \(there are stage1/depth"),
    ([{"epochs": 1, "draw": {"*/kernel": "9"}}], "no option of stage1/0/kernel matches 9 .*3, 5, 7"),
    ([{"epochs": 1, "draw": {"*/kernel": []}}], "must be options of a decision"),
    ([{"epochs": 1, "draw": "largest"}], "draw: its content must be an object"),
    ([{"epochs": 1, "name": "a", "sample_strategy": "sandwhich"}], "--phases: a: .*sandwich"),
    ([{"epochs": 1, "sample_strategy": "differentiable"}], "learns more than weights; a phase draws paths"),
    ([{"epochs": 1, "sample_strategy": "os:getcwd"}], "code of your own has to be typed"),
    ([{"epochs": 1, "batch_size": 3}], "unknown key 'batch_size'"),
    ([{"epochs": 1, "sandwich_random": 3}], "--sandwich-random is for --sample-strategy sandwich, not for uniform"),
    ([{"epochs": 1, "lr": -1}], "lr must be above 0"),
    ([{"epochs": 1, "warmup_epochs": 2}], "--warmup-epochs 2 must be at most --epochs 1"),
    ([{"epochs": 1, "name": "a"}, {"epochs": 1, "name": "a"}], "two phases have this name"),
    ([{"epochs": 1, "teacher": "big"}], "--teacher big: there is no trained network"),
    ([{"epochs": 1, "elastic_resolution": "4,99"}], "--elastic-resolution 4,99: at most --resolution 8"),
    ([], "a list of 1 to 100 phases, not of 0"),
    ({"epochs": 1}, "its content must be a list"),
    ("nonsense", "its content must be a list"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(phases: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        prepare_supernet(options(tmp_path, phases))


def test_epochs_that_are_given_are_those_of_the_phases(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--epochs 3: the phases have 5 together"):
        TrainSupernetOptions(title="a", root_path=str(tmp_path), phases=json.dumps(PHASES), epochs=3)
    assert options(tmp_path).epochs == 5
