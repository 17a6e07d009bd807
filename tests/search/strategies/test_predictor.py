from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict

from config_file.errors import UserError
from config_file.files import append_sealed
from lookup_tables.limits import Limit, Limits
from search.archive import Archive
from search.engine import with_costs
from search.objectives import parse_objectives
from search.problem import Problem
from search.reporting.results_file import write_results
from search.result import Result
from search.strategies.predictor import PredictorOptions, PredictorSearch
from search.strategies.surrogate import ALPHAS, fit_predictor, one_hot
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_accuracy, toy_space, toy_tables
from search.warm_start import read_results
from tasks import LANDMARKS


class TestPredictor(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> PredictorSearch:
        return PredictorSearch(problem, PredictorOptions(population=20, inner_evaluations=120), seed)


def test_features_mask_what_does_not_matter() -> None:
    space = toy_space()
    features = one_hot(space, [(0, 1, 0, 0, 0), (0, 1, 2, 2, 2)])
    assert features.shape == (2, sum(space.sizes))
    assert (features[0] == features[1]).all()
    assert features.sum() == 4  # depth and one layer, twice


def test_predictors_predict() -> None:
    space = toy_space(layers=6)
    every = [a for a in space.enumerate() if space.canonical(a) == a]
    order = np.random.default_rng(0).permutation(len(every))
    train, test = ([every[i] for i in part] for part in (order[:80], order[80:380]))
    targets = np.array(list(map(toy_accuracy, train)))
    fitted = fit_predictor(one_hot(space, train), targets, seed=0)
    model, error = fitted.model, fitted.error
    truth = np.array(list(map(toy_accuracy, test)))
    folds = KFold(5, shuffle=True, random_state=0)  # what it says of itself, by sklearn's own cross-validation
    held_out = cross_val_predict(RidgeCV(alphas=ALPHAS), one_hot(space, train), targets, cv=folds)
    assert fitted.kind == "ridge"
    assert fitted.error == pytest.approx(np.sqrt(((held_out - targets) ** 2).mean()))
    assert fitted.tau == pytest.approx(kendalltau(held_out, targets).statistic)
    assert (fitted.rows, fitted.spread) == (80, pytest.approx(targets.std()))
    missed = np.sqrt(((model.predict(one_hot(space, test)) - truth) ** 2).mean())
    assert missed < 0.5 * truth.std()
    assert 0 < error < 0.5 * truth.std()


def test_costs_of_a_table_are_not_predicted_and_two_objectives_make_a_front() -> None:
    space = toy_space(layers=6)
    tables = toy_tables(space)
    problem = Problem(Limits(space), parse_objectives("accuracy,flops"), tables)
    strategy = PredictorSearch(problem, PredictorOptions(population=20, inner_evaluations=200), 0)
    rounds = []
    for _ in range(3):
        batch = strategy.ask(100)
        strategy.tell([with_costs(result, tables) for result in results_of(batch)])
        rounds.append(batch)
    assert [len(batch) for batch in rounds] == [20, 20, 20]
    assert [[(name, one.rows) for name, one in found.items()] for found in strategy.rounds] == [
        [("accuracy", 20)], [("accuracy", 40)]
    ]  # fmt: skip
    better = [
        np.mean([toy_accuracy(a) for a in batch]) / np.mean(tables["flops"].cost(np.array(batch))) for batch in rounds
    ]
    assert better[2] > better[0]


def test_what_is_known_before_is_learnt_from_and_its_best_are_confirmed() -> None:
    space = toy_space(layers=6)
    known = results_of([a for a in space.enumerate() if space.canonical(a) == a and a[0] < 4])
    options = PredictorOptions(population=10, inner_evaluations=200)
    warm = PredictorSearch(Problem(Limits(space), earlier=known), options, 0)
    cold = PredictorSearch(Problem(Limits(space)), options, 0)
    first = warm.ask(10)
    best = sorted((toy_accuracy(result.architecture) for result in known), reverse=True)[:5]
    assert sorted(map(toy_accuracy, first[:5]), reverse=True) == best
    assert not {result.architecture for result in known} & set(first[5:])
    assert np.mean(list(map(toy_accuracy, first))) > np.mean(list(map(toy_accuracy, cold.ask(10)))) + 0.1


def test_of_what_is_known_only_what_keeps_the_limits_is_confirmed() -> None:
    space = toy_space(layers=5)
    table = toy_tables(space)["flops"]
    known = results_of(sorted({space.canonical(architecture) for architecture in space.enumerate()})[::3])
    middle = float(np.median([table.cost([result.architecture])[0] for result in known]))
    problem = Problem(Limits(space, [Limit(table, upper=middle)]), earlier=known)
    first = PredictorSearch(problem, PredictorOptions(population=10, inner_evaluations=50), 0).ask(10)
    allowed = [r.architecture for r in known if table.cost([r.architecture])[0] <= middle]
    assert max(map(toy_accuracy, allowed)) < max(toy_accuracy(result.architecture) for result in known)
    assert sorted(map(toy_accuracy, first[:5])) == sorted(map(toy_accuracy, allowed))[-5:]
    assert max(table.cost(np.array(first))) <= middle


def test_a_cost_that_is_looked_up_is_minimised() -> None:
    space = toy_space(layers=5)
    tables = toy_tables(space)
    problem = Problem(Limits(space), parse_objectives("flops"), tables)
    strategy = PredictorSearch(problem, PredictorOptions(population=8, inner_evaluations=200), 0)
    rounds = []
    for _ in range(2):
        rounds.append(strategy.ask(8))
        strategy.tell([with_costs(result, tables) for result in results_of(rounds[-1])])
    every = {space.canonical(architecture) for architecture in space.enumerate()} - {*rounds[0]}
    cheapest = sorted(tables["flops"].cost(np.array([*every])))
    assert sorted(tables["flops"].cost(np.array(rounds[1])))[:4] == cheapest[:4]


def test_failures_among_what_is_known_are_no_data() -> None:
    space = toy_space()
    known = [Result(a, {"accuracy": np.nan}) for a in ((0, 0, 0, 0, 0), (0, 1, 0, 0, 0))]
    strategy = PredictorSearch(Problem(Limits(space), earlier=known), PredictorOptions(population=5), 0)
    assert not {result.architecture for result in known} & set(strategy.ask(5))


def test_it_starts_from_the_files_of_an_earlier_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = toy_space()
    tables = toy_tables(space)
    archive = Archive(tmp_path / "archive.jsonl", {})
    results = [with_costs(result, tables) for result in results_of([(0, 0, 0, 0, 0), (1, 2, 1, 0, 0)])]
    for result in [*results, with_costs(Result((0, 2, 0, 0, 0), {"accuracy": np.nan}), tables)]:
        archive.add(result)
    write_results(tmp_path / "results.csv", list(archive), Limits(space))
    for name in ("archive.jsonl", "results.csv"):
        read = read_results(tmp_path / name, space)
        assert [result.architecture for result in read] == [result.architecture for result in archive]
        assert [result.value("accuracy") for result in read[:2]] == pytest.approx(
            [result.value("accuracy") for result in results], abs=1e-6
        )
        assert read[2].failed
    text = f"architecture,accuracy\n{' '.join(space.names((1, 2, 1, 0, 0)))},0.5\n"
    (tmp_path / "own.csv").write_text(text)
    (own,) = read_results(tmp_path / "own.csv", space)
    assert (own.architecture, own.value("accuracy")) == ((1, 2, 1, 0, 0), 0.5)
    (tmp_path / "percent.csv").write_text(text.replace("0.5", "50"))
    assert read_results(tmp_path / "percent.csv", space)[0].value("accuracy") == 0.5
    assert "read as percent" in capsys.readouterr().out


def test_results_of_landmarks_are_known_by_their_nme(tmp_path: Path) -> None:
    space = toy_space()
    archive = Archive(tmp_path / "archive.jsonl", {})
    archive.add(with_costs(Result((1, 2, 1, 0, 0), {"nme": 0.25}), toy_tables(space)))
    write_results(tmp_path / "results.csv", list(archive), Limits(space), LANDMARKS)
    for name in ("archive.jsonl", "results.csv"):
        (read,) = read_results(tmp_path / name, space)
        assert read.value("nme") == 0.25
        assert np.isnan(read.value("accuracy"))
        assert len(read_results(tmp_path / name, space, parse_objectives("nme,flops"))) == 1
        with pytest.raises(UserError, match="no result in it has accuracy"):
            read_results(tmp_path / name, space, parse_objectives("accuracy,flops"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "has no column accuracy or nme"),
        ("indices,accuracy\nx,1\n", "line 2: toy has 5 decisions"),
        ("names,accuracy\nx,1\n", "neither an archive.jsonl nor a results.csv"),
    ],
)
def test_a_table_of_something_else_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        read_results(tmp_path / "a.csv", toy_space())


def test_rows_of_one_architecture_are_repetitions_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("indices,accuracy\n1 2 1 0 0,0.5\n0 0 0 0 0,0.25\n1 2 1 0 0,0.75\n")
    read = read_results(tmp_path / "a.csv", toy_space())
    assert {r.architecture: r.value("accuracy") for r in read} == {(1, 2, 1, 0, 0): 0.625, (0, 0, 0, 0, 0): 0.25}


def test_results_of_another_space_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("indices,accuracy\n0 9,0.5\n")
    with pytest.raises(UserError, match="line 2: toy has 5 decisions"):
        read_results(tmp_path / "a.csv", toy_space())
    with pytest.raises(UserError, match="no such file"):
        read_results(tmp_path / "b.csv", toy_space())
    append_sealed(tmp_path / "c.jsonl", {"format": "x"})
    with pytest.raises(UserError, match="not one of this toolkit"):
        read_results(tmp_path / "c.jsonl", toy_space())
