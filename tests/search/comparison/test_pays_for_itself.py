"""The benchmark of equal CPU seconds: its baseline, its clock, its table, and a run of some seconds."""

from __future__ import annotations

import re
import time

import pytest
from scipy import stats

from benchmarks import pays_for_itself as benchmark
from config_file.files import append_sealed
from search.comparison.scaled_baseline import scaled_mobilenetv2
from supernet import build_space
from supernet.space import with_sites


def test_the_baseline_is_the_widest_mobilenetv2_within_the_limit() -> None:
    spec = benchmark.mobilenetv2_within(benchmark.CIFAR10, 10, 1)
    widths = (32, 16, 24, 40, 80, 96, 192, 320, 256)
    space = with_sites(
        build_space("proxylessnas", resolution=32, num_classes=10, widths=widths, strides=(2, 1, 2, 2, 1, 1, 1))
    )
    every = {scaled_mobilenetv2(space, lambda s: s.macs((3, 32, 32)), 1e5 * step)[0] for step in range(30, 70)}
    within = [other.macs((3, 32, 32)) for other in every if other.macs((3, 32, 32)) <= 5e6]
    assert spec.macs((3, 32, 32)) == max(within)
    assert len(within) > 5


def test_a_clock_goes_on_counting_cpu_seconds_and_keeps_what_was_decided(tmp_path) -> None:
    clock = benchmark.Clock(tmp_path / "clock.json")

    def work() -> None:
        began = time.process_time()
        while time.process_time() - began < 0.03:
            pass

    with clock.part("retrain"):
        work()
        assert clock.seconds >= 0.02
        clock.decide(lambda: 7)

    def interrupted() -> None:
        with clock.part("retrain"):
            work()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    again = benchmark.Clock(tmp_path / "clock.json")
    again.decide(lambda: 9)
    assert again.epochs == 7
    assert 0.05 <= again.parts["retrain"] == again.seconds < 1


def test_the_interval_of_the_pairs_is_students(tmp_path, capsys) -> None:
    ours, theirs = {1: 0.71, 2: 0.72, 3: 0.70, 4: 0.9}, {1: 0.69, 2: 0.715, 3: 0.68, 5: 0.1}
    for arm, found in ((benchmark.FOUND, ours), (benchmark.BASELINE, theirs)):
        for seed, accuracy in found.items():
            row = {"arm": arm, "seed": seed, "minutes": 2.0, "test_accuracy": accuracy, "macs": 5e6, "epochs": 3}
            append_sealed(tmp_path / "rows.jsonl", {**row, "seconds": 120.0, "parts": {"retrain": 120.0}})
    benchmark.print_table(benchmark.kept_rows(tmp_path / "rows.jsonl"), [2.0])
    said = capsys.readouterr().out.splitlines()[-1]
    mean, low, high = (float(number) for number in re.findall(r"[+-]\d+\.\d+", said))
    expected = stats.ttest_rel([71, 72, 70], [69, 71.5, 68])
    interval = expected.confidence_interval(0.95)
    assert mean == pytest.approx(1.5)
    assert (low, high) == pytest.approx((interval.low, interval.high), abs=0.006)
    assert said.endswith("3 pairs")


@pytest.mark.slow
def test_both_arms_run_and_are_not_run_again(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(benchmark, "SMALL_MINUTES", 0.03)
    flags = ["--small", "--seeds", "1", "--folder", str(tmp_path)]
    assert benchmark.main(flags) == 0
    rows = benchmark.kept_rows(tmp_path / "rows.jsonl")
    assert {row["arm"] for row in rows} == set(benchmark.ARMS)
    assert all(row["macs"] <= 2e6 for row in rows)
    assert sorted(rows[0]["parts"]) == ["retrain", "search", "supernet"]
    capsys.readouterr()
    began = time.process_time()
    assert benchmark.main(flags) == 0
    assert time.process_time() - began < 0.5
    assert "0.03 min" in capsys.readouterr().out
