"""The dynamic approach from Python: predictors of what a supernet's weights measure, by the stage."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from config_file.errors import UserError
from search.basic import NAS, NASConfig
from tests.search.test_cli import here, trained  # noqa: F401 - fixtures


def test_settings_as_a_mapping_and_those_that_there_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = {"supernet": "ofa_mbv3_d234_e346_k357_w1.2", "metrics": ["acc", "macs"], "population": 10, "num_evals": 20}
    config = NASConfig(approach="dynas", search_algorithm="nsga2", dynas=told)
    assert config.dynas.population == 10
    config.dynas.results_csv_path = "results.csv"
    assert config.content()["nas"]["dynas"] == {**told, "results_csv_path": "results.csv"}
    for wrong, message in (
        ({**told, "popultion": 3}, "unknown key 'popultion' in nas.dynas; did you mean 'population'"),
        ({**told, "supernet": "ofa_mbv4"}, "unknown supernet of nas.dynas 'ofa_mbv4'"),
        ({**told, "metrics": ["acc", "joules"]}, "unknown metric of nas.dynas.metrics 'joules'"),
    ):
        with pytest.raises(UserError, match=message):
            NAS(NASConfig(approach="dynas", search_algorithm="nsga2", dynas=wrong)).search()
    with pytest.raises(UserError, match="dynas holds names and values, not 3"):
        NASConfig(approach="dynas", dynas=3)


def settings() -> NASConfig:
    options = {"title": "toy", "calibration_images": 64, "eval_images": (60,), "tensorboard": False, "threads": 1}
    config = NASConfig(approach="dynas", search_algorithm="nsga2", options=options | {"inner_evaluations": 50})
    config.dynas.metrics = ["acc", "macs"]
    config.dynas.population = 4
    config.dynas.num_evals = 8
    config.dynas.results_csv_path = "search_results.csv"
    return config


def test_a_front_of_accuracy_and_cost(here: Path) -> None:  # noqa: F811
    searched = NAS(settings())
    Path("search_results.csv").unlink(missing_ok=True)
    best = searched.search()
    assert len(searched._results) == 8
    results = searched._results.values()
    front = {
        tuple(searched.space.names(one.architecture))
        for one in results
        if not any(
            other.metrics["accuracy"] >= one.metrics["accuracy"]
            and other.cost["flops"] <= one.cost["flops"]
            and (other.metrics["accuracy"], other.cost["flops"]) != (one.metrics["accuracy"], one.cost["flops"])
            for other in results
        )
    }
    assert {tuple(config.values()) for config in best} == front
    with Path("search_results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["config", "date", "lat", "macs", "acc"]
    found = [(float(row["acc"]), int(row["macs"])) for row in table]
    assert found == [(pytest.approx(100 * one.metrics["accuracy"]), one.cost["flops"]) for one in results]
    (fitted,) = json.loads(Path("NASResults/search/best.json").read_text())["search"]["predictors"]
    assert (fitted["objective"], fitted["rows"], fitted["tau"]) == ("accuracy", 4, None)  # of four nothing can be said
    assert "predicted  accuracy from 4 networks" in Path("NASResults/search/log.txt").read_text()
    assert "accuracy from 4 networks" in Path("NASResults/search/report.html").read_text()


def test_without_a_supernet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no supernet stage at runs/toy/supernet; make it with"):
        NAS(settings()).search()
