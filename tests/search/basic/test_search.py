"""Searches from Python: proposals, the best of them, their files, resuming, and one's own approach."""

from __future__ import annotations

import ast
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from config_file.errors import UserError
from search.basic import APPROACHES, NAS, BasicNAS, NASBase, NASConfig, nas_registry
from supernet import build_space
from tests.search.basic.networks import SPACE, agent, build, trainings

GRID = [{"act": act, "width": width} for act, width in product(SPACE["act"], SPACE["width"])]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def proposed(searched: NASBase) -> list[dict[str, Any]]:
    return [dict(zip(("act", "width"), values, strict=True)) for values in searched.search_results]


def judged_by(worth: Any, **settings: Any) -> BasicNAS:
    """A search whose evaluation is a function of the values: the builder hides them in the network."""

    def build_named(config: dict[str, Any]) -> nn.Module:
        model = nn.Linear(1, 1)
        model.config = config  # type: ignore[assignment]
        return model

    made = NAS(NASConfig(**settings), model_builder=build_named)
    assert isinstance(made, BasicNAS)
    made.eval_func = lambda model: worth(model.config)
    made.log = lambda line: None
    return made


# ---- proposals


def test_the_grid_is_walked_in_order() -> None:
    searched = agent(search_algorithm="grid", max_trials=4)
    searched.search()
    assert proposed(searched) == GRID[:4]


@pytest.mark.parametrize("algorithm", ["grid", "random", "bo", None])
def test_a_search_ends_with_its_space_and_finds_its_best(algorithm: str | None) -> None:
    searched = agent(search_algorithm=algorithm, max_trials=50)
    (best,) = searched.search()
    found = {tuple(config.values()): config for config in proposed(searched)}
    assert sorted(map(str, found.values())) == sorted(map(str, GRID))
    assert trainings() == len(GRID)  # nothing twice
    least = min(searched.search_results, key=lambda values: searched.search_results[values]["mse"])
    assert best == found[least]


def test_random_proposals_depend_on_the_seed() -> None:
    def order(seed: int) -> list[dict[str, Any]]:
        searched = agent(search_algorithm="random", max_trials=6, seed=seed)
        searched.search(overwrite=True)
        return proposed(searched)

    assert order(1) == order(1) != order(2)


def test_bayesian_optimisation_needs_fewer_trials_than_the_grid_has() -> None:
    """A smooth hill on 400 points whose top chance would find in 200 trials on average."""
    space = {"x": list(range(20)), "y": list(range(20))}
    searched = judged_by(
        lambda config: -((config["x"] - 13) ** 2) - (config["y"] - 4) ** 2, search_space=space, max_trials=60
    )
    assert searched.search() == [{"x": 13, "y": 4}]


def test_any_strategy_of_ours_proposes() -> None:
    searched = agent(search_algorithm="regularized_evolution", max_trials=5, options={"re_population": 3})
    searched.search()
    assert len(searched.search_results) == 5


def test_the_strategy_is_told_the_sum_of_the_metrics_with_their_signs() -> None:
    told: list[float] = []

    class Counting:
        """A searcher as Neural Compressor's are."""

        def suggest(self) -> dict[str, Any]:
            return {"a": len(told)}

        def get_feedback(self, metric: float) -> None:
            told.append(metric)

    searched = judged_by(
        lambda config: {"up": 10.0 * config["a"], "down": 1.0},
        search_space={"a": [0, 1, 2]}, metrics=["up", "down"], higher_is_better=[True, False], max_trials=3,
    )  # fmt: skip
    searched.search_algorithm = Counting()
    searched.search()
    assert told == [-1.0, 9.0, 19.0]


# ---- the best


def test_the_best_are_those_that_no_other_beats_in_all_metrics() -> None:
    worth = {1: (1, 5), 2: (2, 5), 3: (3, 4), 4: (3, 4), 5: (0, 6), 6: (9, 9)}  # up, down
    searched = judged_by(
        lambda config: {"up": worth[config["a"]][0], "down": worth[config["a"]][1]},
        search_space={"a": list(worth)}, search_algorithm="grid", metrics=["up", "down"],
        higher_is_better=[True, False], max_trials=9,
    )  # fmt: skip

    def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
        return one != other and one[0] >= other[0] and one[1] <= other[1]

    expected = {a for a, pair in worth.items() if not any(beats(other, pair) for other in worth.values())}
    assert expected == {3, 4, 6}  # equals are both kept
    assert [config["a"] for config in searched.search()] == [6, 3, 4]


def test_the_number_of_parameters_can_count() -> None:
    """Equal networks but for their width: the narrowest is the best."""
    searched = agent(search_algorithm="grid", metrics=["params"], max_trials=6)
    assert [config["width"] for config in searched.search()] == [2, 2]


def test_a_front_is_searched_by_its_metrics() -> None:
    settings = {"metrics": ["mse", "params"], "higher_is_better": [False, False]}
    searched = agent(search_algorithm="nsga2", max_trials=6, options={"population": 4}, **settings)
    best = searched.search()
    assert {"width": 2} in [{"width": config["width"]} for config in best]
    with pytest.raises(UserError, match="nsga2 searches a front of metrics: name them"):
        judged_by(lambda config: 1, search_space={"a": [1]}, search_algorithm="nsga2").search("other")


# ---- files


def test_files_say_all_results() -> None:
    searched = agent(search_algorithm="grid", max_trials=3)
    searched.search("out")
    folder = Path("out/NASResults")
    names = ["Final_results.txt", *(f"Trial_{number}_results.txt" for number in (1, 2, 3)), "archive.jsonl"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    text = (folder / "Final_results.txt").read_text()
    every, best = text.split("Best Search Results")
    rows = re.findall(r"^(?:\d+\. )?act_(\w+),width_(\d+): (\{.*\}) Paras: ([\d.e-]+)M$", every, re.MULTILINE)
    found = {(act, int(width)): ast.literal_eval(numbers) for act, width, numbers, _ in rows}
    assert found == {values: {"mse": all_["mse"]} for values, all_ in searched.search_results.items()}
    for _, width, _, params in rows:  # width x (weight + bias), width weights and a bias
        assert float(params) * 10**6 == pytest.approx(3 * int(width) + 1)
    assert best.count("width_") == 1
    for number in (1, 2, 3):
        assert (folder / f"Trial_{number}_results.txt").read_text().split("Best")[0].count("width_") == number


def test_a_trial_that_fails_is_said_and_the_search_goes_on() -> None:
    def picky(config: dict[str, Any]) -> nn.Module:
        if config["width"] == 4:
            raise ValueError("not four")
        return build(config)

    searched = agent(search_algorithm="bo", max_trials=6)
    searched.model_builder = picky
    searched.search()
    assert len(searched.search_results) == 4
    text = Path("NASResults/Final_results.txt").read_text()
    assert text.count("failed: 'tests.search.basic.test_search:") == 2
    assert "raised ValueError: not four" in text


def test_where_all_trials_fail_the_first_is_the_message() -> None:
    searched = agent(max_trials=2)
    searched.eval_func = lambda model: {}
    with pytest.raises(UserError, match=r"^all 2 trials failed, the first one: an evaluation gives a number"):
        searched.search()


# ---- going on


def test_a_search_goes_on_with_more_trials_as_if_it_had_never_ended() -> None:
    once = agent(max_trials=6, seed=5)
    once.search("once")
    made = trainings()
    first = agent(max_trials=3, seed=5)
    first.search("twice")
    assert trainings() == made + 3
    second = agent(max_trials=6, seed=5)
    assert second.search("twice") == once.best_model_archs
    assert trainings() == made + 6
    assert second.search_results == once.search_results
    final = [Path(place, "NASResults/Final_results.txt").read_bytes() for place in ("once", "twice")]
    assert final[0] == final[1]


def test_results_are_loaded_without_a_search() -> None:
    searched = agent(max_trials=4)
    best = searched.search()
    later = agent(metrics=None, higher_is_better=None)
    later.load_search_results("NASResults")
    assert later.search_results == searched.search_results
    assert later.find_best_model_archs() != best  # more is better where nothing is said
    with pytest.raises(UserError, match="its trials are of another space"):
        agent(search_space={"act": ["relu"]}).load_search_results("NASResults")
    with pytest.raises(UserError, match="no trials are there"):
        agent().load_search_results("elsewhere")
    with pytest.raises(UserError, match="there are no trials yet"):
        agent().find_best_model_archs()


def test_trials_of_something_else_are_refused_or_overwritten() -> None:
    agent(max_trials=2).search()
    other = {"act": ["relu"], "width": [2, 3]}
    with pytest.raises(UserError, match="cannot be continued, they were made with something else: space was"):
        agent(search_space=other).search()
    with pytest.raises(UserError, match="seed was 42, is 7"):
        agent(seed=7).search()
    searched = agent(search_space=other, max_trials=5)
    searched.search(overwrite=True)
    assert len(searched.search_results) == 2
    assert not Path("NASResults/Trial_3_results.txt").exists()


# ---- approaches


def test_an_approach_of_ones_own() -> None:
    @nas_registry("Mine")
    class Mine(NASBase):
        def estimate(self, model: nn.Module) -> float:
            return -float(sum(p.numel() for p in model.parameters()))

        def select_model_arch(self) -> dict[str, Any] | None:
            left = [config for config in GRID if tuple(config.values()) not in self.search_results]
            return left[-1] if left else None

    try:
        searched = NAS(NASConfig(approach="mine", search_space=SPACE, max_trials=99), model_builder=build)
        assert isinstance(searched, Mine)
        searched.log = lambda line: None
        assert [config["width"] for config in searched.search()] == [2, 2]
        assert proposed(searched) == GRID[::-1]
    finally:
        del APPROACHES["mine"]
    with pytest.raises(UserError, match="unknown approach 'mine'"):
        NAS(NASConfig(approach="mine"))


def test_networks_of_a_space_of_ours_are_built_by_it() -> None:
    space = build_space("nasbench_macro", resolution=16, num_classes=10)
    searched = NAS(NASConfig(search_algorithm="random", max_trials=2), search_space=space)
    assert isinstance(searched, BasicNAS)
    searched.eval_func = lambda model: float(sum(p.numel() for p in model.parameters()))
    searched.log = lambda line: None
    searched.search()
    for names, numbers in searched.search_results.items():
        spec = space.decode(space.parse(names))
        assert numbers["metric"] == numbers["params"] == spec.params((3, 16, 16))


def test_a_space_of_ours_by_its_name_is_searched_by_the_stage() -> None:
    options = {
        "dataset": "digits", "resolution": 8, "batch_size": 64, "train_portion": 0.2, "epochs": 1, "threads": 1,
        "tensorboard": False, "widths": (4, 4, 8, 8, 16),
    }  # fmt: skip
    config = NASConfig(
        search_space="nasbench_macro", search_algorithm="random", max_trials=2, metrics=["acc"], options=options
    )
    for _ in range(2):  # the second one goes on, and has nothing left to do
        searched = NAS(config)
        searched.log = lambda line: None
        (best,) = searched.search("out")
        assert Path("out/NASResults/search/best.json").is_file()
        results = searched.search_results
        assert len(results) == 2
        assert tuple(best.values()) == max(results, key=lambda names: results[names]["accuracy"])


def module(config: dict[str, Any]) -> nn.Module:
    if config["channels"] == 3:
        raise ValueError("not three")
    return nn.Sequential(
        nn.Conv2d(3, config["channels"], 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(config["channels"], 10),
    )  # fmt: skip


def test_networks_of_a_builder_are_trained_by_the_toolkit() -> None:
    """The section `train` of a file says how; the accuracy is that of the training evaluator for the same module."""
    Path("nas.yml").write_text(
        "nas: {search: {search_space: {channels: [2, 3, 4]}, search_algorithm: grid, metrics: [acc]}}\n"
        "train: {end_epoch: 1, optimizer: {SGD: {learning_rate: 0.1}}, dataloader: {batch_size: 64}}\n",
        encoding="utf-8",
    )

    def search() -> NASBase:
        searched = NAS("nas.yml", model_builder=module)
        searched.config.options |= {"dataset": "digits", "train_portion": 0.2, "confirm_images": 0}
        searched.log = lambda line: None
        searched.search()
        return searched

    searched = search()
    assert list(searched.search_results) == [(2,), (4,)]
    accuracies = {values: numbers["accuracy"] for values, numbers in searched.search_results.items()}
    assert all(0 < accuracy <= 1 for accuracy in accuracies.values())
    assert searched.best_model_archs == [{"channels": max(accuracies, key=lambda values: accuracies[values])[0]}]
    assert "raised ValueError: not three" in Path("NASResults/Final_results.txt").read_text()
    logs = {path: path.read_bytes() for path in Path("NASResults/trials").glob("*.log")}
    assert len(logs) == 2
    assert search().search_results == searched.search_results
    assert {path: path.read_bytes() for path in logs} == logs  # nothing was trained again
    config = NASConfig(search_space={"channels": [2]}, metrics=["macs"], options={"dataset": "digits"})
    with pytest.raises(UserError, match="--objective flops: nothing gives it"):
        NAS(config, model_builder=module).search("other")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search_space": None}, "or a space that was built, not None"),
        ({"search_space": "proxylessnas"}, "or a space that was built, not 'proxylessnas'"),
        ({"search_algorithm": "annealing"}, "unknown search_algorithm 'annealing'"),
    ],
)
def test_what_cannot_be_searched(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        agent(**settings).search()


def test_functions_and_builders_that_are_missing() -> None:
    searched = agent()
    searched.eval_func = None
    with pytest.raises(UserError, match="a train_func of your own needs an eval_func"):
        searched.search()
    searched = agent()
    searched.model_builder = None
    with pytest.raises(UserError, match="needs a model_builder"):
        searched.search()
    assert not list(Path().rglob("*.txt"))
