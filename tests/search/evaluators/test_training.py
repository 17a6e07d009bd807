"""Real trainings as an evaluator: the behaviour of every evaluator, and what a training adds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from config_file.errors import UserError
from search.evaluators.evaluator import Judge
from search.evaluators.training import TrainingEvaluator
from search.evaluators.workers import in_processes
from search.result import Fidelity, Result
from search.testing.evaluators import EvaluatorSuite
from search.testing.toy import toy_space
from search.trials.course import rungs_of
from search.trials.options import recipe_values
from supernet import Architecture, Network, build_space
from tests.search.toy import toy_data
from training.options import RetrainOptions
from training.retrain import train_network

RISING = (Fidelity(epochs=1), Fidelity(epochs=2), Fidelity(epochs=4))
ARCHITECTURES = [(0, 1, 0, 0, 0), (1, 1, 2, 0, 0), (2, 0, 0, 1, 0)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def options(**more: Any) -> RetrainOptions:
    return RetrainOptions(**{"title": "t", "batch_size": 32, "lr": 0.1, "train_on": "train", **more})


def make(
    folder: Path, fidelities: Sequence[Fidelity] = RISING, recipe: RetrainOptions | None = None, **more: Any
) -> TrainingEvaluator:
    recipe = recipe or options()
    data = toy_data()
    low = more.pop("low", None)
    rungs = rungs_of(fidelities, recipe.trainer, low)
    space = more.pop("space", None) or toy_space(classes=len(data.classes))
    return TrainingEvaluator(space, {data.resolution: data}, recipe_values(recipe), rungs, folder, **more)


def timeless(results: Iterator[Result]) -> list[dict[str, Any]]:
    return [replace(result, spent={}).to_row() for result in results]


class TestTraining(EvaluatorSuite):
    measures: ClassVar = {"accuracy": True, "loss": False}
    fidelities: ClassVar[tuple[Fidelity, ...]] = RISING
    more: ClassVar[dict[str, Any]] = {"confirm_images": 8}

    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path: Path) -> None:
        self.folder, self.made = tmp_path, 0

    def make(self) -> TrainingEvaluator:
        self.made += 1
        return make(self.folder / str(self.made), self.fidelities, **self.more)

    def resumed(self, evaluator: Judge) -> TrainingEvaluator:
        assert isinstance(evaluator, TrainingEvaluator)
        return make(evaluator.folder, self.fidelities, **self.more)

    def architectures(self) -> list[Architecture]:
        return ARCHITECTURES

    def failing(self) -> tuple[TrainingEvaluator, Architecture]:
        return make(self.folder / "failing", recipe=options(lr=1e9, clip_grad_norm=0.0)), ARCHITECTURES[0]


class TestMoreDataThenEpochs(TestTraining):
    """Shares of the images that rise too, and a training that ends early."""

    fidelities: ClassVar = (Fidelity(epochs=1, data=0.3), Fidelity(epochs=3, data=1))
    more: ClassVar = {"confirm_images": 8, "early_stop": 2}


def test_equals_a_training_without_a_search(tmp_path: Path) -> None:
    evaluator = make(tmp_path)
    (result,) = evaluator.evaluate(ARCHITECTURES[:1])
    state = train_network(toy_space().decode(ARCHITECTURES[0]), toy_data(), options(epochs=4))
    assert result.metrics == {"accuracy": state.validation["val_accuracy"], "loss": state.validation["val_loss"]}


def test_a_rung_goes_on_from_the_one_below_and_is_charged_what_it_adds(tmp_path: Path) -> None:
    evaluator = make(tmp_path / "by rung")
    found = [next(evaluator.evaluate(ARCHITECTURES[:1], fidelity)) for fidelity in RISING]
    assert [result.spent["epochs"] for result in found] == [1, 1, 2]
    at_once = make(tmp_path / "at once")
    (straight,) = at_once.evaluate(ARCHITECTURES[:1])
    assert straight.spent["epochs"] == 4
    assert straight.metrics == found[-1].metrics
    (passed,) = at_once.evaluate(ARCHITECTURES[:1], RISING[0])  # on the way: it is known, and free
    assert passed.spent == {}
    assert passed.metrics == found[0].metrics
    log = (tmp_path / "by rung" / "0-1-0-0-0.log").read_text()
    assert [line.split(":")[0] for line in log.splitlines() if line.startswith("epoch")] == [
        f"epoch {number}/4" for number in range(1, 5)
    ]


def test_a_lost_checkpoint_is_trained_and_charged_again(tmp_path: Path) -> None:
    evaluator = make(tmp_path)
    list(evaluator.evaluate(ARCHITECTURES[:1], RISING[1]))
    evaluator.finish()
    assert not list(tmp_path.glob("*.pt"))
    (result,) = evaluator.evaluate(ARCHITECTURES[:1], RISING[2])
    assert result.spent["epochs"] == 4
    assert timeless(evaluator.evaluate(ARCHITECTURES[:1])) == timeless(make(tmp_path / "2").evaluate(ARCHITECTURES[:1]))


def test_prices_are_what_is_charged(tmp_path: Path) -> None:
    evaluator = make(tmp_path)
    assert [evaluator.price(ARCHITECTURES[0], fidelity)["epochs"] for fidelity in RISING] == [1, 2, 4]
    list(evaluator.evaluate(ARCHITECTURES[:1], RISING[0]))
    assert evaluator.price(ARCHITECTURES[0], RISING[2])["epochs"] == 4
    evaluator.finish()
    assert evaluator.price(ARCHITECTURES[0], RISING[2])["epochs"] == 1 + 4


def test_a_diverged_trial_is_a_result_and_the_others_go_on(tmp_path: Path) -> None:
    space = toy_space()

    class Breaking(type(space)):  # type: ignore[misc]
        def decode(self, architecture: Architecture) -> Any:
            if architecture == ARCHITECTURES[1]:
                raise RuntimeError("no such network\nat all")
            return space.decode(architecture)

    breaking = Breaking(space.name, space.decisions, space.sites, space.input_shape)
    found = list(make(tmp_path, space=breaking).evaluate(ARCHITECTURES, RISING[0]))
    assert [result.failed for result in found] == [False, True, False]
    assert found[1].note == "RuntimeError: no such network at all"
    assert math.isnan(found[1].value("accuracy"))
    (diverged,) = make(tmp_path / "2", recipe=options(lr=1e9, clip_grad_norm=0.0)).evaluate(ARCHITECTURES[:1])
    assert "became NaN or infinite" in diverged.note
    assert diverged.spent["epochs"] > 0


def test_a_trial_whose_process_died_has_failed_for_good_unless_it_had_come_to_its_end(tmp_path: Path) -> None:
    evaluator, first, last = make(tmp_path), RISING[0], RISING[-1]
    (known,) = evaluator.evaluate(ARCHITECTURES[:1], first)
    assert evaluator.lost(ARCHITECTURES[0], first, "killed", 5.0) == known
    assert (tmp_path / "0-1-0-0-0.pt").exists()
    dead = evaluator.lost(ARCHITECTURES[0], last, "killed", 5.0)
    assert (dead.state, dead.note, dead.spent, dead.fidelity) == ("failed", "killed", {"seconds": 5.0}, last)
    assert not (tmp_path / "0-1-0-0-0.pt").exists()
    (again,) = make(tmp_path).evaluate(ARCHITECTURES[:1])
    assert timeless(iter([again])) == timeless(iter([dead]))


def test_early_stop_is_the_same_by_rungs_and_at_once(tmp_path: Path) -> None:
    """With a rate of nearly nothing no validation is better than the first one but by chance: it ends."""
    recipe = options(lr=1e-9)
    fidelities = (Fidelity(epochs=2), Fidelity(epochs=6), Fidelity(epochs=40))
    by_rung = make(tmp_path / "1", fidelities, recipe, early_stop=3)
    found = [next(by_rung.evaluate(ARCHITECTURES[:1], fidelity)) for fidelity in fidelities]
    assert found[-1].state == "stopped"
    assert sum(result.spent["epochs"] for result in found) < 40
    (straight,) = make(tmp_path / "2", fidelities, recipe, early_stop=3).evaluate(ARCHITECTURES[:1])
    assert straight.metrics == found[-1].metrics
    assert straight.spent["epochs"] == sum(result.spent["epochs"] for result in found)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_the_weights_of_the_best_are_kept_whatever_the_order(tmp_path: Path, keep: int) -> None:
    kept = []
    for name, order in (("1", ARCHITECTURES), ("2", ARCHITECTURES[::-1])):
        evaluator = make(tmp_path / name, RISING[:1], keep=keep)
        found = {result.architecture: result.value("accuracy") for result in evaluator.evaluate(order)}
        least = sorted(found.values(), reverse=True)[:keep]
        expected = {"-".join(map(str, a)) for a, value in found.items() if least and value >= least[-1]}
        kept.append({path.stem for path in (tmp_path / name).glob("*.safetensors")})
        assert kept[-1] == expected
    assert kept[0] == kept[1]


@pytest.mark.usefixtures("served_workers")
def test_processes_change_nothing(tmp_path: Path) -> None:
    expected = timeless(make(tmp_path / "1").evaluate(ARCHITECTURES, RISING[0]))
    evaluator = make(tmp_path / "2")
    workers = in_processes(evaluator, 2, 1)
    try:
        assert timeless(workers.evaluate(ARCHITECTURES, RISING[0])) == expected
    finally:
        workers.close()  # type: ignore[attr-defined]


def test_files_of_other_trials_are_refused(tmp_path: Path) -> None:
    list(make(tmp_path).evaluate(ARCHITECTURES[:1], RISING[0]))
    with pytest.raises(UserError, match="made with something else"):
        list(make(tmp_path, recipe=options(lr=0.2)).evaluate(ARCHITECTURES[:1], RISING[0]))


def test_the_test_split_is_never_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data()
    evaluator = make(tmp_path)
    for images in evaluator.setting.images:
        monkeypatch.setattr(images.data.test, "_load", None)
        monkeypatch.setattr(images.data.test, "raw", None)
    assert len(list(evaluator.evaluate(ARCHITECTURES[:1]))) == 1
    assert {len(images.seen) for images in evaluator.setting.images} == {len(data.val)}


def test_narrower_and_smaller_rungs_begin_anew_or_go_on(tmp_path: Path) -> None:
    """Another width is another network; the same one goes on at other sizes of image, from its own weights."""
    fidelities = (Fidelity(epochs=1, width=0.5), Fidelity(epochs=2, width=1.0))
    evaluator = make(tmp_path, fidelities, space=build_space("nasbench_macro", resolution=8, num_classes=4))
    architecture = (1,) * 8
    found = [next(evaluator.evaluate([architecture], fidelity)) for fidelity in fidelities]
    assert [result.spent["epochs"] for result in found] == [1, 2]
    small, full = (evaluator.setting.network(architecture, rung) for rung in evaluator.rungs)
    assert isinstance(small, Network)
    assert isinstance(full, Network)
    shape = (3, 8, 8)
    halves = [(small.spec.shapes(shape)[site][1][0], out[0]) for site, (_, out) in full.spec.shapes(shape).items()]
    assert halves[-1] == (4, 4)  # the classes stay
    assert all(half == width // 2 for half, width in halves[:-1])


def test_several_gpus_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    evaluator = make(tmp_path)
    for device, expected in (
        ("cuda", ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda:1", ["cuda:1"] * 3),
        ("cpu", ["cpu"] * 3),
    ):
        evaluator.device = torch.device(device)
        made = [evaluator.factory(number, 3, 1) for number in range(3)]
        assert [str(one.args[0]["device"]) for one in made] == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fidelities", "courses", "spans"),
    [
        ([{"epochs": 1}, {"epochs": 3}], [0, 0], [3, 3]),
        ([{"epochs": 2, "data": 0.1}, {"epochs": 3, "data": 1}], [0, 0], [3, 3]),
        ([{"epochs": 3, "data": 0.1}, {"epochs": 3, "data": 1}], [0, 1], [3, 3]),
        ([{"epochs": 2, "width": 0.5}, {"epochs": 3, "width": 0.5}, {"epochs": 9, "width": 1}], [0, 0, 1], [3, 3, 9]),
    ],
)
def test_courses(fidelities: list[dict[str, float]], courses: list[int], spans: list[int]) -> None:
    rungs = rungs_of([Fidelity(**amounts) for amounts in fidelities], "plain")
    assert [rung.course for rung in rungs] == courses
    assert [rung.span for rung in rungs] == spans
    anew = rungs_of([Fidelity(**amounts) for amounts in fidelities], "plain", "distillation")
    assert anew[-1].course > anew[-2].course
    assert {rung.trainer for rung in anew[:-1]} == {"distillation"}
