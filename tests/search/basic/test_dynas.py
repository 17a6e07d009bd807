"""The dynamic approach from Python: predictors of what a supernet's weights measure, by the stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config_file.errors import UserError
from search.basic import NAS, NASConfig
from tests.search.test_cli import here, trained  # noqa: F401 - fixtures


def settings() -> NASConfig:
    options = {"title": "toy", "calibration_images": 64, "eval_images": (60,), "tensorboard": False, "threads": 1}
    config = NASConfig(approach="dynas", search_algorithm="nsga2", options=options | {"inner_evaluations": 50})
    config.dynas.metrics = ["acc", "macs"]
    config.dynas.population = 4
    config.dynas.num_evals = 8
    return config


def test_a_front_of_accuracy_and_cost(here: Path) -> None:  # noqa: F811
    searched = NAS(settings())
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
    (fitted,) = json.loads(Path("NASResults/search/best.json").read_text())["search"]["predictors"]
    assert (fitted["objective"], fitted["rows"], fitted["tau"]) == ("accuracy", 4, None)  # of four nothing can be said
    assert "predicted  accuracy from 4 networks" in Path("NASResults/search/log.txt").read_text()
    assert "accuracy from 4 networks" in Path("NASResults/search/report.html").read_text()


def test_without_a_supernet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no supernet stage at runs/toy/supernet; make it with"):
        NAS(settings()).search()
