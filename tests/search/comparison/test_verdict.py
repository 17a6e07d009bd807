"""The verdict: who is compared, what is said, and that an interrupted comparison goes on."""

import json
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import stats

from config_file.errors import UserError
from config_file.run_folder import RunFolder
from lookup_tables import build_table
from search.comparison.findings import Difference, difference, write_findings
from search.comparison.options import VerdictOptions
from search.comparison.scaled_baseline import scaled_mobilenetv2
from supernet import build_space
from supernet.metrics import LATENCY

SMALL = {"widths": (16, 8, 16, 24, 32, 48, 64, 96, 320), "depths": (2, 3, 3, 3, 3, 1)}


def test_a_difference_is_welchs() -> None:
    ours, theirs = [0.81, 0.83, 0.82], [0.78, 0.80, 0.76]
    found = difference(ours, theirs)
    reference = stats.ttest_ind(ours, theirs, equal_var=False)
    assert found.mean == pytest.approx(100 * (np.mean(ours) - np.mean(theirs)))
    assert found.p == pytest.approx(reference.pvalue)
    assert found.low < found.mean < found.high


@pytest.mark.parametrize(
    ("difference_", "start"),
    [
        (Difference(1, 0.2, 1.8, 0.03), "Yes"),
        (Difference(-1, -1.8, -0.2, 0.03), "No:"),
        (Difference(1, -1, 3, 0.3), "No d"),
    ],
)
def test_the_verdict_is_said_in_words(difference_: Difference, start: str) -> None:
    assert difference_.words("random networks").startswith(start)


@pytest.mark.parametrize("target", [2e6, 4e6, 8e6])
def test_the_baseline_meets_the_cost(target: float) -> None:
    space = build_space("proxylessnas", resolution=32, num_classes=10, strides=(1, 2, 2, 2, 1, 1, 1), **SMALL)
    spec, multiplier = scaled_mobilenetv2(space, lambda network: network.macs((3, 32, 32)), target)
    # Widths are rounded to 4: of the candidates the nearest is within a few per cent, far less than any effect here.
    assert abs(spec.macs((3, 32, 32)) / target - 1) < 0.06
    assert 0.05 <= multiplier <= 3
    shapes = spec.shapes((3, 32, 32))
    assert shapes[spec.nodes[-2].site][1][1:] == space.decode((0,) * len(space.sizes)).shapes((3, 32, 32))["mix"][1][1:]


def test_at_width_one_the_baseline_is_mobilenetv2() -> None:
    space = build_space("proxylessnas", num_classes=1000)
    spec, multiplier = scaled_mobilenetv2(space, lambda network: network.macs((3, 224, 224)), 300_774_272)
    assert multiplier == pytest.approx(1, abs=0.01)  # the first multiplier that rounds to its widths
    assert (spec.macs((3, 224, 224)), spec.params((3, 224, 224))) == (300_774_272, 3_504_872)  # published


def test_the_whole_comparison(tmp_path, capsys, monkeypatch) -> None:
    from search.cli import main as search
    from search.comparison.verdict import main
    from training.cli import main_train_supernet

    common = ["--root-path", str(tmp_path), "--title", "v", "--threads", "1", "--no-tensorboard"]
    space = ["--search-space", "nasbench_macro", "--widths", "8,8,16,16,32", "--depths", "1,1,1", "--resolution", "16"]
    main_train_supernet([*common, *space, "--epochs", "1", "--batch-size", "256"])
    search([*common, "--search-strategy", "random", "--random-iteration", "4", "--target-hc", "5"])
    arguments = [*common, "--epochs", "1", "--batch-size", "256", "--seeds", "2"]
    best = tmp_path / "v" / "search" / "best.json"
    whole = best.read_text()
    for damaged in (whole[:60], "{}", "[]"):
        best.write_text(damaged)
        with pytest.raises(UserError, match="damaged"):
            main(arguments)
    best.write_text(whole)
    with monkeypatch.context() as patch:
        patch.setattr("search.comparison.verdict.retrain", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt, match="--only found --resume"):
            main([*arguments, "--only", "found"])
    main([*arguments, "--only", "found", "--resume"])
    assert "random networks" not in capsys.readouterr().out
    main([*arguments, "--resume"])
    out = capsys.readouterr().out
    assert "random networks of the same cost" in out
    assert "a MobileNetV2 of the same cost" in out
    content = json.loads((tmp_path / "v" / "verdict" / "verdict.json").read_text())
    assert [row["title"] for row in content["trainings"]] == [
        "found-0-seed42", "found-0-seed43", "random-0-seed42", "random-1-seed43",
        "mobilenetv2-0-seed42", "mobilenetv2-0-seed43",
    ]  # fmt: skip
    table = build_table(build_space("nasbench_macro", 16, 10, widths=(8, 8, 16, 16, 32), depths=(1, 1, 1)), "flops")
    assert all(row["macs"] <= 1.001 * table.maximum()[0] for row in content["trainings"] if row["arm"] != "mobilenetv2")


def test_a_search_within_milliseconds(tmp_path, capsys, monkeypatch) -> None:
    from search.cli import main as search
    from search.comparison.verdict import main
    from training.cli import main_train_supernet

    monkeypatch.chdir(tmp_path)
    common = ["--title", "v", "--threads", "1", "--no-tensorboard"]
    space = ["--search-space", "nasbench_macro", "--widths", "8,8,16,16,32", "--depths", "1,1,1", "--resolution", "16"]
    main_train_supernet([*common, *space, "--epochs", "1", "--batch-size", "256"])
    counted = build_table(build_space("nasbench_macro", 16, 10, widths=(8, 8, 16, 16, 32), depths=(1, 1, 1)), "params")
    entries = {key: replace(entry, value=entry.value / 1000 + 0.1) for key, entry in counted.entries.items()}
    table = replace(counted, metric=LATENCY, entries=entries)
    table.save("phone.json")
    limit = ["--info-metric", "latency", "--lookup-table", "phone.json", "--target-hc", str(table.maximum()[0] - 1)]
    search([*common, "--search-strategy", "random", "--random-iteration", "4", *limit])
    capsys.readouterr()
    arguments = [*common, "--epochs", "1", "--batch-size", "256", "--seeds", "2"]
    for wrong in (["--optimizer", "abc"], ["--dataset", "abc"], ["--loss", "abc"]):  # as without --plan
        with pytest.raises(UserError, match="'abc'"):
            main([*arguments, *wrong, "--plan"])
    assert main([*arguments, "--plan"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    costs = {title: (metric, float(cost.replace(",", ""))) for title, metric, cost, *_ in lines}
    best = json.loads((tmp_path / "runs/v/search/best.json").read_text())
    assert costs["found-0-seed42"] == ("latency", pytest.approx(best["cost"]["latency"], abs=1e-4))
    metric, cost = costs["random-1-seed43"]
    assert metric == "latency"
    assert 0.97 * best["cost"]["latency"] - 1e-4 <= cost <= best["cost"]["latency"] + 1e-4
    assert costs["mobilenetv2-0-seed42"][0] == "flops"
    (tmp_path / "phone.json").rename(tmp_path / "moved.json")
    with pytest.raises(UserError, match=r"phone\.json"):
        main([*arguments, "--plan"])
    assert main([*arguments, "--plan", "--lookup-table", "moved.json"]) == 0


def test_a_baseline_of_another_cost_is_called_so(tmp_path, capsys) -> None:
    rows = [
        {"arm": arm, "test_accuracy": accuracy, "macs": 10**6}
        for arm in ("found", "random", "mobilenetv2")
        for accuracy in (0.5, 0.6)
    ]
    run = RunFolder.open(VerdictOptions(output=str(tmp_path / "verdict")))
    for same, words in ((True, "MobileNetV2 of the same cost"), (False, "MobileNetV2 of as many multiply-accumulates")):
        write_findings(run, rows, same)
        assert words in capsys.readouterr().out
