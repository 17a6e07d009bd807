"""The verdict: who is compared, what is said, and that an interrupted comparison goes on."""

import json
import re
from dataclasses import replace
from random import Random
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import stats

from config_file.errors import UserError
from config_file.run_folder import RunFolder
from lookup_tables import build_table
from search.comparison.analysis import Difference, compare, in_words
from search.comparison.contenders import random_networks
from search.comparison.findings import differences, write_findings
from search.comparison.options import VerdictOptions
from search.comparison.scaled_baseline import scaled_mobilenetv2
from supernet import build_space
from supernet.metrics import LATENCY

SMALL = {"widths": (16, 8, 16, 24, 32, 48, 64, 96, 320), "depths": (2, 3, 3, 3, 3, 1)}


def test_one_search_is_compared_as_one_network() -> None:
    found, random, baseline = [81.0, 83.0, 82.0], [[78.0], [80.0], [76.0], [79.0]], [80.0, 79.0, 82.0]
    against = differences([found], 1, random, baseline)
    drawn = [trained[0] for trained in random]
    # the found network's mean is one more draw: t of a single new observation, s * sqrt(1 + 1/M), M - 1 degrees
    error = np.std(drawn, ddof=1) * np.sqrt(1 + 1 / 4)
    assert against["random"].mean == pytest.approx(82 - np.mean(drawn))
    assert against["random"].p == pytest.approx(2 * stats.t.sf((82 - np.mean(drawn)) / error, 3))
    assert against["mobilenetv2"].p == pytest.approx(stats.ttest_ind(found, baseline, equal_var=False).pvalue)
    low, high = against["random"].low, against["random"].high
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(1 - 0.05 / 4, 3) * error)  # Holm's first step


def test_several_searches_are_compared_by_their_means() -> None:
    rng = np.random.default_rng(0)
    found, random, baseline = rng.normal(80, 1, (3, 4)), rng.normal(79, 1, 6), rng.normal(78, 1, 5)
    against = differences(found.tolist(), 3, random[:, None].tolist(), baseline.tolist())
    assert against["random"].p == pytest.approx(stats.ttest_ind(found.mean(1), random).pvalue)
    # the variance of a training from all networks; as in a random-effects analysis of variance
    within = (3 * found.var(1, ddof=1).sum() + 4 * baseline.var(ddof=1)) / (3 * 3 + 4)
    error = np.sqrt(found.mean(1).var(ddof=1) / 3 + within / 5)
    expected = 2 * stats.t.sf(abs(found.mean() - baseline.mean()) / error, 2)
    assert against["mobilenetv2"].p == pytest.approx(expected)
    pairs = differences(np.repeat(found, 2, axis=0).tolist(), 3, random[:, None].tolist(), baseline.tolist())
    assert pairs["random"].p == pytest.approx(against["random"].p)  # two alike of each search are no more searches


def test_both_comparisons_are_corrected_by_holm() -> None:
    """Of every pair of p values the decisions of the step-down procedure, written out."""
    rng = np.random.default_rng(1)
    cases = compare(rng.normal(80.7, 1, (400, 4, 1, 3)), rng.normal(79.6, 1, (400, 8)), rng.normal(80.0, 0.5, (400, 3)))
    kinds = set()
    for p, shown, lows, highs in zip(
        *(np.stack([getattr(case, name) for case in cases]).T for name in ("p", "shown", "low", "high")), strict=True
    ):
        first, second = np.argsort(p)
        expected = [False, False]
        expected[first] = bool(p[first] <= 0.025)
        expected[second] = bool(expected[first] and p[second] <= 0.05)
        assert shown.tolist() == expected
        assert ((lows > 0) | (highs < 0)).tolist() == expected  # the interval that is shown says the same
        kinds.add(tuple(expected))
    assert len(kinds) == 4


@pytest.mark.parametrize(("searches", "trainings", "random"), [(1, 3, 10), (3, 3, 10), (5, 2, 10)])
def test_without_any_effect_it_rarely_claims_one(searches: int, trainings: int, random: int) -> None:
    """Nominal are 2.5 % on each side; the test between trainings that was made before had 7 %."""
    rng = np.random.default_rng(searches)
    cases = 6000
    networks = 0.7 * rng.normal(size=(cases, searches, 1, 1))
    found = networks + 0.4 * rng.normal(size=(cases, searches, 1, trainings))
    drawn = 0.7 * rng.normal(size=(cases, random)) + 0.4 * rng.normal(size=(cases, random))
    baseline = 0.4 * rng.normal(size=(cases, trainings)) + (networks[:, 0, 0] if searches == 1 else 0)
    differences_ = compare(found, drawn, baseline)
    for sign in (1, -1):
        claims = [each.shown & (np.sign(each.mean) == sign) for each in differences_]
        assert np.any(claims, axis=0).mean() <= 0.025
    if searches == 1:
        earlier = stats.ttest_ind(found[:, 0, 0], drawn[:, :3], axis=1, equal_var=False)
        assert ((earlier.pvalue < 0.05) & (earlier.statistic > 0)).mean() > 0.05


def difference_of(mean: float, low: float, high: float, shown: bool) -> Difference:
    return Difference(*map(np.float64, (mean, low, high, 0.975, 0.01)), np.bool_(shown))


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (difference_of(1, 0.2, 1.8, True), "Yes: this network beats random networks by +1.00 points (97.5 % interval"),
        (difference_of(-1, -1.8, -0.2, True), "No: this network is worse than random networks: -1.00 points"),
        (difference_of(1, -1, 3, False), "No difference shown between this network and random networks: +1.00"),
        (difference_of(0, np.nan, np.nan, False), "+0.00 points, among trainings that do not vary."),
    ],
)
def test_the_verdict_is_said_in_words(difference: Difference, words: str) -> None:
    assert words in in_words(difference, "this network", "random networks")


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
    arguments = [*common, "--epochs", "1", "--batch-size", "256", "--seeds", "2", "--random-networks", "2"]
    best = tmp_path / "v" / "search" / "best.json"
    whole = best.read_text()
    for damaged in (whole[:60], "{}", "[]"):
        best.write_text(damaged)
        with pytest.raises(UserError, match=r"damaged|not one of this toolkit"):
            main(arguments)
    best.write_text(whole)
    with monkeypatch.context() as patch:
        patch.setattr("search.comparison.verdict.retrain", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt, match="--only found --resume"):
            main([*arguments, "--only", "found"])
    main([*arguments, "--only", "found", "--resume"])
    out = capsys.readouterr().out
    assert "random networks" not in out
    assert "long  " not in out
    with monkeypatch.context() as patch:
        patch.setattr("search.comparison.verdict.MANY", 0)
        patch.setattr("training.estimate.LONG", 0.0)
        main([*arguments, "--resume"])
    out = capsys.readouterr().out
    assert re.search(r"^long       about .* on this machine", out, re.MULTILINE)
    assert "random networks of the same cost" in out
    assert "a MobileNetV2 of the same cost" in out
    assert "the search" not in out.split("mobilenetv2  test accuracy")[1].split("One search was run")[0]
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
    assert abs(cost / best["cost"]["latency"] - 1) <= 0.03 + 1e-3
    assert costs["mobilenetv2-0-seed42"][0] == "flops"
    (tmp_path / "phone.json").rename(tmp_path / "moved.json")
    with pytest.raises(UserError, match=r"phone\.json"):
        main([*arguments, "--plan"])
    assert main([*arguments, "--plan", "--lookup-table", "moved.json"]) == 0


def test_an_arm_is_a_part_of_the_work() -> None:
    arms = ("found", "random", "mobilenetv2")
    assert VerdictOptions(title="v").parts == (arms, ())
    assert VerdictOptions(title="v", only="random").parts == (("random",), ("found", "mobilenetv2"))


def test_a_baseline_of_another_cost_is_called_so(tmp_path, capsys) -> None:
    rows = [
        {"arm": arm, "network": network, "test_accuracy": accuracy, "macs": 10**6}
        for arm, networks in (("found", (0, 0)), ("random", (0, 1)), ("mobilenetv2", (0, 0)))
        for network, accuracy in zip(networks, (0.5, 0.6), strict=True)
    ]
    run = RunFolder.open(VerdictOptions(output=str(tmp_path / "verdict")))
    for same, words in ((True, "MobileNetV2 of the same cost"), (False, "MobileNetV2 of as many multiply-accumulates")):
        write_findings(run, rows, same_cost=same)
        assert words in capsys.readouterr().out


def test_trainings_that_do_not_vary_are_written_as_json(tmp_path) -> None:
    rows = [
        {"arm": arm, "network": network, "test_accuracy": 0.1, "macs": 10**6}
        for arm, networks in (("found", (0, 0)), ("random", (0, 1)), ("mobilenetv2", (0, 0)))
        for network in networks
    ]
    run = RunFolder.open(VerdictOptions(output=str(tmp_path / "verdict")))
    write_findings(run, rows)
    content = json.loads((tmp_path / "verdict" / "verdict.json").read_text(), parse_constant=pytest.fail)
    assert content["differences"]["random"]["p"] == 1
    assert not content["differences"]["random"]["shown"]
    assert "do not vary" in content["verdict"][0]


def test_random_networks_cost_less_and_more_in_turn() -> None:
    space = build_space("nasbench_macro", 16, 10, widths=(8, 8, 16, 16, 32), depths=(3, 3, 2))
    table = build_table(space, "flops")
    rng = Random(0)
    found = [space.canonical(space.sample(rng)) for _ in range(2)]
    options = VerdictOptions(title="v", random_networks=12, searches=2)
    drawn = random_networks(options, found, table)
    assert len({*drawn, *found}) == 14
    for which, architecture in enumerate(found):
        cost = table.cost([architecture])[0]
        shares = [table.cost([network])[0] / cost for network in drawn[which::2]]
        assert all(0.97 <= share <= 1.03 for share in shares)
        assert all((share <= 1) == (turn % 2 == 0) or share == 1 for turn, share in enumerate(shares))
    dearest = table.maximum()[1]
    assert all(table.cost([network])[0] <= table.maximum()[0] for network in random_networks(options, [dearest], table))
    with pytest.raises(UserError, match="--random-networks 2: at least as many as --searches 3"):
        VerdictOptions(title="v", random_networks=2, searches=3)


def test_several_searches(tmp_path, capsys, monkeypatch) -> None:
    from search.cli import main as search
    from search.comparison import replicates
    from search.comparison.verdict import main
    from training.cli import main_train_supernet

    monkeypatch.chdir(tmp_path)
    common = ["--title", "v", "--threads", "1", "--no-tensorboard"]
    space = ["--search-space", "nasbench_macro", "--widths", "8,8,16,16,32", "--depths", "1,1,1", "--resolution", "16"]
    main_train_supernet([*common, *space, "--epochs", "1", "--batch-size", "256"])
    search(
        [*common, "--search-strategy", "random", "--random-iteration", "3", "--target-hc", "5", "--eval-images", "40"]
    )
    arguments = [*common, "--epochs", "1", "--batch-size", "512", "--seeds", "2", "--random-networks", "2"]
    capsys.readouterr()
    assert main([*arguments, "--searches", "2", "--plan"]) == 0
    assert "search of seed 43: runs/v/search-seed43, to be run first" in capsys.readouterr().out
    interrupted = Mock(side_effect=KeyboardInterrupt)
    with monkeypatch.context() as patch:
        patch.setattr(replicates, "search_stage", interrupted)
        with pytest.raises(KeyboardInterrupt):
            main([*arguments, "--searches", "2"])
    assert main([*arguments, "--searches", "2", "--resume"]) == 0
    out = capsys.readouterr().out
    first, second = (
        json.loads((tmp_path / f"runs/v/{name}/best.json").read_text()) for name in ("search", "search-seed43")
    )
    assert (first["search"]["random_seed"], second["search"]["random_seed"]) == (42, 43)
    assert {**first["search"], "random_seed": 0} == {**second["search"], "random_seed": 0}
    content = json.loads((tmp_path / "runs/v/verdict/verdict.json").read_text())
    assert content["searches"] == 2
    found = [row for row in content["trainings"] if row["arm"] == "found"]
    assert [(row["network"], row["seed"]) for row in found] == [(0, 42), (0, 43), (1, 44), (1, 45)]
    assert [row["names"] for row in found[::2]] == [first["names"], second["names"]]
    assert "the search" in content["verdict"][0]
    assert "One search was run" not in out
    other = ["--random-seed", "44", "--output", "runs/v/search-seed44", "--random-iteration", "4"]
    search([*common, "--search-strategy", "random", "--target-hc", "5", "--eval-images", "40", *other])
    with pytest.raises(UserError, match=r"search-seed44 is a search with other options than .*--random-iteration"):
        main([*arguments, "--searches", "3", "--random-networks", "3", "--overwrite"])
    saved = tmp_path / "runs/v/search/config.yaml"
    saved.write_text(saved.read_text().replace("search_strategy: random", "search_strategy: leaves:mark"))
    (tmp_path / "leaves.py").write_text("from pathlib import Path\nPath('mark').touch()\n")
    options = VerdictOptions(title="v", searches=4, random_networks=4)
    with pytest.raises(UserError, match=r"--search-strategy leaves:mark, code of your own .*--random-seed 45"):
        replicates._again(options, tmp_path / "runs/v/search", 45, tmp_path / "runs/v/search-seed45")
    assert not (tmp_path / "mark").exists()
