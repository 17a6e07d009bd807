"""What is chosen is judged on images that nothing was selected by, and that figure is what is reported."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from config_file.loader import parse
from search.cli import main
from search.evaluators.held_back import hold_back, images_to_hold_back
from search.evaluators.refitted_head import left_out_predictions, without_head
from search.evaluators.supernet import SupernetEvaluator
from search.options import SearchOptions
from search.preparation import prepare
from search.reporting.finished_search import read_search
from supernet import Supernet, build_space, extract
from tasks import wilson_interval
from tests.search.evaluators.test_supernet import make, randomised, some
from tests.search.test_cli import TARGET, here, rows, trained  # noqa: F401 - fixtures
from tests.search.toy import toy_data
from training.bn_calibration import calibrate_batch_norm

COMMON = [*TARGET, "--calibration-images", "32"]
QUICK = [*COMMON, "--search-strategy", "random", "--random-iteration", "6"]
HELD_BACK = 71  # a quarter of the 287 validation images of digits


@pytest.fixture(scope="module")
def toy() -> tuple[Supernet, Any]:
    torch.manual_seed(0)
    space = build_space("proxylessnas", resolution=8, num_classes=4, depths=(1, 2, 1, 1, 1, 1))
    return randomised(Supernet(space)), toy_data(val=200)


def test_the_usual_part_is_a_quarter() -> None:
    assert [images_to_hold_back(None, n) for n in (3, 287, 5000, 10**6)] == [0, 71, 1250, 10_000]
    assert images_to_hold_back(12, 5000) == 12


def test_the_parts_are_the_shuffled_order_cut_in_two() -> None:
    val = toy_data().val
    seen, held = hold_back(val, 15, seed=7)
    order = torch.cat([seen.positions, held.positions]).tolist()
    assert (len(seen), len(held)) == (35, 15)
    assert sorted(order) == list(range(50))
    x, y = next(val.batches(50, seed=7, shuffle=True))
    for part, (first, last) in ((seen, (0, 35)), (held, (35, 50))):
        own_x, own_y = next(part.batches(len(part)))
        assert torch.equal(own_x, x[first:last])
        assert torch.equal(own_y, y[first:last])


def test_holding_images_back_that_no_candidate_used_changes_nothing(toy: tuple[Supernet, Any]) -> None:
    architectures = some(toy[0].space, 4)
    plain = list(make(*toy, eval_images=(100,)).evaluate(architectures))
    less = list(make(*toy, eval_images=(100,), confirm_images=100).evaluate(architectures))
    assert [(r.architecture, r.metrics, r.interval) for r in plain] == [
        (r.architecture, r.metrics, r.interval) for r in less
    ]


@pytest.mark.parametrize("prefix_sharing", [True, False])
def test_a_confirmation_is_what_the_held_back_images_say(toy: tuple[Supernet, Any], prefix_sharing: bool) -> None:
    evaluator = make(*toy, confirm_images=60, prefix_sharing=prefix_sharing, batch_size=64)
    architectures = some(toy[0].space, 3)
    found = {result.architecture: result for result in evaluator.confirm(architectures)}
    x, y = next(toy[1].val.batches(200, seed=0, shuffle=True))
    for architecture in architectures:
        network = extract(toy[0], architecture)
        calibrate_batch_norm(network, [next(toy[1].train.batches(64, seed=0, shuffle=True))[0]])
        with torch.no_grad():
            right = int((network.eval()(x[140:]).argmax(1) == y[140:]).sum())
        assert found[architecture].value("accuracy") == right / 60
        assert found[architecture].interval == wilson_interval(right, 60)
        assert dict(found[architecture].fidelity) == {"images": 60}


def test_a_refitted_head_is_fitted_on_all_other_images_and_judged_on_those_held_back(toy: tuple[Supernet, Any]) -> None:
    evaluator = make(*toy, confirm_images=60, refit_head=True, batch_size=200)
    (architecture,) = some(toy[0].space, 1)
    (found,) = evaluator.confirm([architecture])
    network = without_head(extract(toy[0], architecture))
    calibrate_batch_norm(network, [next(toy[1].train.batches(64, seed=0, shuffle=True))[0]])
    x, y = next(toy[1].val.batches(200, seed=0, shuffle=True))
    with torch.no_grad():
        predicted = left_out_predictions(network.eval()(x).flatten(1), torch.nn.functional.one_hot(y, 4).double())
    assert found.value("accuracy") == pytest.approx((predicted.argmax(1) == y)[140:].double().mean().item(), abs=1e-9)
    assert dict(found.fidelity) == {"images": 60}


def test_the_interval_holds_where_that_of_the_winner_did_not() -> None:
    """200 searches among 60 networks that are hardly different; 400 images, a quarter of them held back."""
    rng = np.random.default_rng(0)
    whole = SimpleNamespace(order=lambda seed: torch.from_numpy(np.random.default_rng(seed).permutation(400)))
    covered = {"selected": 0, "confirmed": 0}
    for trial in range(200):
        truth = rng.normal(0.6, 0.01, 60)
        answers = rng.random((60, 400)) < truth[:, None]
        order = whole.order(trial)
        seen, held = answers[:, order[:300]], answers[:, order[300:]]
        for way, chosen_on, judged_on in (("selected", answers, answers), ("confirmed", seen, held)):
            best = int(chosen_on.sum(1).argmax())
            low, high = wilson_interval(int(judged_on[best].sum()), judged_on.shape[1])
            covered[way] += low <= truth[best] <= high
    assert covered["selected"] < 0.6 * 200
    assert 0.91 * 200 <= covered["confirmed"] <= 200


def test_every_file_reports_what_was_confirmed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert main(QUICK) == 0
    out = capsys.readouterr().out
    folder = here / "runs/toy/search"
    best = json.loads((folder / "best.json").read_text())
    assert best["confirmed"] is True
    assert best["n_images"] == HELD_BACK
    right = round(best["accuracy"] * HELD_BACK)
    assert best["accuracy"] == pytest.approx(right / HELD_BACK)
    assert best["interval"] == pytest.approx(wilson_interval(right, HELD_BACK))
    assert best["selected_with"]["n_images"] == 287 - HELD_BACK
    low, high = (f"{100 * end:.2f}" for end in best["interval"])
    assert f"{100 * best['accuracy']:.2f} % on 71 validation images that nothing was selected by" in out
    assert f"95 % interval {low} to {high}" in out
    assert f"selected   with {100 * best['selected_with']['accuracy']:.2f} % on 216 validation images" in out
    assert "so optimistic" in out
    table = rows(folder)
    again = [row for row in table if row["confirmed_accuracy"]]
    (chosen,) = [row for row in again if row["indices"] == " ".join(map(str, best["architecture"]))]
    assert float(chosen["confirmed_accuracy"]) == pytest.approx(best["accuracy"], abs=1e-6)
    assert float(chosen["confirmed_ci_low"]) == pytest.approx(best["interval"][0], abs=1e-6)
    run = read_search(folder)
    front = {" ".join(map(str, r.architecture)) for _, r in run.front("flops")}
    assert front <= {row["indices"] for row in again} < {row["indices"] for row in table}
    page = (folder / "report.html").read_text()
    assert f"confirmed on {HELD_BACK} images that nothing was selected by, 95 % interval" in page
    assert "so optimistic" in page


@pytest.mark.usefixtures("served_workers")
def test_whatever_evaluates_together_or_in_processes_confirms_the_same(here: Path) -> None:  # noqa: F811
    flags = [*COMMON, "--search-strategy", "nsga2", "--population", "4", "--evaluations", "8"]
    outcomes = []
    for name, more in (("one", []), ("two", ["--workers", "2"]), ("alone", ["--no-prefix-sharing"])):
        assert main([*flags, *more, "--output", name]) == 0
        with (here / name / "front.csv").open(newline="") as file:
            front = list(csv.DictReader(file))
        assert all(row["confirmed_accuracy"] and row["confirmed_ci_high"] for row in front)
        found = {(row["indices"], row["accuracy"], row["confirmed_accuracy"]) for row in rows(here / name)}
        outcomes.append(((here / name / "best.json").read_text(), front, found))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_interrupted_among_confirmations_it_ends_the_same(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    assert main([*QUICK, "--output", "whole"]) == 0
    confirm = SupernetEvaluator.confirm

    def interrupted(self: SupernetEvaluator, architectures: Any) -> Any:
        yield next(confirm(self, architectures))
        raise KeyboardInterrupt

    monkeypatch.setattr(SupernetEvaluator, "confirm", interrupted)
    with pytest.raises(KeyboardInterrupt, match="6 evaluations are kept"):
        main(QUICK)
    folder = here / "runs/toy/search"
    assert not (folder / "best.json").exists()
    monkeypatch.setattr(SupernetEvaluator, "confirm", confirm)
    with pytest.raises(UserError, match=r"confirmed on was .71 validation images., is .20 "):
        main([*QUICK, "--resume", "--eval-images", "216", "--confirm-images", "20"])
    assert main([*QUICK, "--resume"]) == 0
    for name in ("best.json", "confirmed.jsonl"):
        content = [[json.loads(line) for line in (path / name).read_text().splitlines()] if "jsonl" in name else
                   json.loads((path / name).read_text()) for path in (folder, here / "whole")]  # fmt: skip
        if "jsonl" in name:
            content = [[{**row, "spent": 0, "checksum": ""} for row in part] for part in content]
        assert content[0] == content[1]
    assert rows(folder) == rows(here / "whole")


def test_without_it_the_score_is_said_to_be_optimistic(here: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert main([*QUICK, "--confirm-images", "0"]) == 0
    out = capsys.readouterr().out
    assert "confirmed  nothing (--confirm-images 0)" in out
    assert "the best of 6 architectures there, not confirmed" in out
    folder = here / "runs/toy/search"
    best = json.loads((folder / "best.json").read_text())
    top = max(rows(folder), key=lambda row: float(row["accuracy"]))
    assert best["accuracy"] == pytest.approx(float(top["accuracy"]), abs=1e-6)
    assert (best["confirmed"], best["interval"], best["n_images"]) == (False, None, 287)
    assert "not confirmed" in (folder / "report.html").read_text()


OWN = """
from search.result import Result
from training.data import Data
class Mine:
    needs_supernet = True
    def __init__(self, context):
        self.seen, self.held = context.validation
    def evaluate(self, architectures, fidelity=None):
        for a in architectures:
            yield Result(a, {"accuracy": 0.5 + sum(a) / 1000})
class Confirming(Mine):
    confirms = "71 images of mine"
    def confirm(self, architectures):
        assert len(self.held) == 71 and len(self.seen) == 216
        for a in architectures:
            yield Result(a, {"accuracy": 0.25}, interval=(0.125, 0.375))
"""


def test_evaluators_of_ones_own(here: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    monkeypatch.delitem(sys.modules, "judges", raising=False)
    (here / "judges.py").write_text(OWN)
    own = [*QUICK, "--evaluator", "judges:Mine"]
    with pytest.raises(UserError, match="--confirm-images: Mine holds nothing back"):
        main([*own, "--confirm-images", "50"])
    assert main([*own, "--output", "plain"]) == 0
    assert "confirmed  nothing (Mine holds nothing back)" in capsys.readouterr().out
    assert main([*QUICK, "--evaluator", "judges:Confirming", "--output", "again"]) == 0
    assert "25.00 % on 71 images of mine that nothing was selected by" in capsys.readouterr().out
    page = (here / "again" / "report.html").read_text()
    assert "confirmed on images that nothing was selected by" in page
    assert "supernet's weights" not in page
    best = json.loads((here / "again" / "best.json").read_text())
    assert (best["accuracy"], best["interval"], best["confirmed"]) == (0.25, [0.125, 0.375], True)


def test_an_accuracy_in_percent_is_refused_when_it_is_given(here: Path, monkeypatch) -> None:  # noqa: F811
    monkeypatch.delitem(sys.modules, "judges", raising=False)
    (here / "judges.py").write_text(OWN.replace("0.5 + sum(a) / 1000", "50.0 + sum(a)"))
    with pytest.raises(UserError, match=r"judges:Mine: evaluate\(\) gave an accuracy of 5\d, not a fraction"):
        main([*QUICK, "--evaluator", "judges:Mine"])


def test_learning_on_frozen_weights_does_not_see_them_either(here: Path) -> None:  # noqa: F811
    arguments = [*TARGET, "--search-strategy", "differentiable", "--batch-size", "72"]
    seen = {}
    for images in (0, 71):
        options = parse(SearchOptions, [*arguments, "--confirm-images", str(images)], "search.py", "")
        search = prepare(options)
        assert search.learning is not None
        seen[images] = search.learning._learner.images
        assert search.learning.steps_per_epoch == (287 - images) // 72
    assert len(seen[0]) == 287
    held = set(search.context.validation[1].positions.tolist())
    assert len(held) == 71
    assert not held & set(seen[71].positions.tolist())


def test_too_many_are_refused(here: Path) -> None:  # noqa: F811
    with pytest.raises(UserError, match="--confirm-images 287: there are 287 validation images"):
        main([*QUICK, "--confirm-images", "287"])


@pytest.mark.parametrize(
    "strategy", [["random", "--random-iteration", "8"], ["nsga2", "--population", "4", "--evaluations", "8"]]
)
def test_scores_corrected_for_cost_are_confirmed_too(strategy: list[str], here: Path) -> None:  # noqa: F811
    assert main([*COMMON, "--search-strategy", *strategy, "--score", "corrected"]) == 0
    folder = here / "runs/toy/search"
    best = json.loads((folder / "best.json").read_text())
    assert (best["confirmed"], best["n_images"]) == (True, HELD_BACK)
    if strategy[0] == "nsga2":
        with (folder / "front.csv").open(newline="") as file:
            assert all(row["confirmed_accuracy"] for row in csv.DictReader(file))
