"""search.py within milliseconds: a table given by --lookup-table, and tables that do not fit."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
import torch

from config_file.errors import UserError
from config_file.files import write_sealed
from config_file.loader import save
from lookup_tables import CostTable, Entry, build_table
from search.cli import main
from search.evaluators import context
from search.reporting.finished_search import read_search
from supernet import Architecture, Block, SearchSpace, Shape, Supernet
from supernet.metrics import FLOPS, LATENCY, METRICS, Metric
from training.data import load_data
from training.options import TrainSupernetOptions
from training.supernet_file import save_supernet
from training.train_supernet import networks_of

TINY = {
    "name": "tiny", "stem": 8, "head": 16, "candidates": ["k3e3", "k5e3", "skip"],
    "stages": [{"channels": 8, "depth": 2, "stride": 2}],
}  # fmt: skip
QUICK = [
    "--title",
    "toy",
    "--info-metric",
    "latency",
    "--threads",
    "1",
    "--no-tensorboard",
    "--calibration-images",
    "32",
]
QUICK += ["--eval-images", "32"]
RANDOM = ["--search-strategy", "random", "--random-iteration", "4"]


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchSpace:
    """The current folder has an (untrained) supernet stage of this space."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yml").write_text(json.dumps(TINY))
    options = TrainSupernetOptions(title="toy", search_space="tiny.yml", resolution=16)
    data = load_data(options, options.resolution)
    space = networks_of(options, data)
    torch.manual_seed(0)
    stage = tmp_path / "runs" / "toy" / "supernet"
    stage.mkdir(parents=True)
    about = {"classes": list(data.classes), "resolution": data.resolution, "split": data.split_record}
    save_supernet(stage, Supernet(space), about)
    save(options, stage / "config.yaml")
    return space


def milliseconds(space: SearchSpace, resolution: int = 16) -> CostTable:
    flops = build_table(space, "flops", resolution)
    entries = {key: Entry(e.value / 1e5, e.value / 1e5) for key, e in flops.entries.items()}
    return CostTable(space, LATENCY, resolution, entries, scale=0.5, offset=2.0, engine="an engine", threads=1)


def test_a_search_within_milliseconds(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    table = milliseconds(space)
    table.save("t.json")
    target = (table.minimum()[0] + table.maximum()[0]) / 2
    assert main([*QUICK, *RANDOM, "--lookup-table", "t.json", "--target-hc", f"{target:.6f}"]) == 0
    best = json.loads(Path("runs/toy/search/best.json").read_text())
    architecture = space.parse(best["names"])
    assert best["cost"]["latency"] == pytest.approx(table.cost([architecture])[0])
    assert best["cost"]["latency"] <= target
    assert set(best["cost"]) == {"flops", "params", "latency"}
    assert re.search(r"latency of at most [0-9.]+ ms", capsys.readouterr().out)


STRATEGIES = {
    "random": ["--random-iteration", "3"],
    "evolution": ["--population", "4", "--parent-num", "2", "--generation-num", "1"],
    "differentiable": ["--a-samples", "2", "--a-epochs", "1"],
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_search_with_one_objective_takes_a_table_by_its_name(space: SearchSpace, strategy: str) -> None:
    """The table holds latencies, and everything else calls it what the user does."""
    table = milliseconds(space)
    table.save("t.json")
    middle = (table.minimum()[0] + table.maximum()[0]) / 2
    flags = ["--info-metric", "phone", "--lookup-table", "phone=t.json", "--target-hc", f"{middle}"]
    flags += ["--search-strategy", strategy, *STRATEGIES[strategy]]
    assert main(["--title", "toy", *QUICK[4:], *flags]) == 0
    best = json.loads(Path("runs/toy/search/best.json").read_text())
    assert best["cost"]["phone"] == pytest.approx(table.cost([tuple(best["architecture"])])[0])
    assert best["cost"]["phone"] <= middle
    assert set(best["cost"]) == {"flops", "params", "phone"}
    found = read_search(Path("runs/toy/search"))
    assert found.metric("phone") is LATENCY
    assert found.limits == (float("-inf"), pytest.approx(middle))


def test_two_latencies_are_objectives_and_limits(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    cpu = milliseconds(space)
    phone = replace(cpu, offset=9.0, scale=0.7)
    cpu.save("cpu.json")
    phone.save("phone.json")
    low, high = phone.minimum()[0], phone.maximum()[0]
    flags = ["--lookup-table", "cpu=cpu.json", "--lookup-table", "phone=phone.json", "--target-hc", "1000"]
    flags += ["--constraint", f"{low + 0.1 * (high - low)}<=phone<={low + 0.8 * (high - low)}"]
    flags += ["--objective", "accuracy", "--objective", "cpu", "--objective", "phone:max", "--evaluations", "8"]
    nsga = [*flags, "--info-metric", "cpu", "--search-strategy", "nsga3", "--population", "4"]
    assert main(["--title", "toy", *QUICK[4:], *nsga]) == 0
    rows = Path("runs/toy/search/front.csv").read_text().splitlines()
    assert (
        rows[0] == "accuracy,cpu,phone,confirmed_accuracy,confirmed_ci_low,confirmed_ci_high,knee,indices,architecture"
    )
    for row in rows[1:]:
        assert low + 0.1 * (high - low) <= float(row.split(",")[2]) <= low + 0.8 * (high - low)
    best = json.loads(Path("runs/toy/search/best.json").read_text())
    architecture = space.parse(best["names"])
    for name, table in (("cpu", cpu), ("phone", phone)):
        assert best["cost"][name] == pytest.approx(table.cost([architecture])[0])
    assert "phone of at most" in capsys.readouterr().out
    assert "phone" in Path("runs/toy/search/report.html").read_text()


def test_a_table_is_limited_in_the_unit_of_its_metric_under_any_title(
    space: SearchSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    table = build_table(space, "flops", 16)
    table.save("f.json")
    middle = (table.minimum()[0] + table.maximum()[0]) / 2e6
    assert (
        main([*QUICK, *RANDOM, "--info-metric", "mine", "--lookup-table", "mine=f.json", "--target-hc", f"{middle}"])
        == 0
    )
    best = json.loads(Path("runs/toy/search/best.json").read_text())
    assert table.minimum()[0] <= best["cost"]["mine"] == best["cost"]["flops"] <= 1e6 * middle
    assert f"mine of at most {1e6 * middle:,.0f} ({middle:.4g} M)" in capsys.readouterr().out
    found = read_search(Path("runs/toy/search"))
    assert found.metric("mine") is FLOPS
    assert found.limits == (float("-inf"), 1e6 * middle)
    with pytest.raises(UserError, match=r"--target-hc: no architecture has mine of 1 \(1e-06 M\) or less"):
        main(
            [
                *QUICK,
                *RANDOM,
                "--info-metric",
                "mine",
                "--lookup-table",
                "mine=f.json",
                "--target-hc",
                "1e-6",
                "--overwrite",
            ]
        )


def test_a_counted_metric_of_one_s_own(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Elements that leave the blocks: an entry, and searches limit, record and report it."""

    def elements(block: Block, shape: Shape) -> int:
        return prod(block.output_shape(shape))

    own = Metric("activations", "elements", per_flag=1e3, aliases=("acts",), count=elements)
    monkeypatch.setitem(METRICS, own.name, own)

    def count(architecture: Architecture) -> int:
        shapes = space.decode(architecture).shapes(space.input_shape).values()
        return sum(prod(out) for _, out in shapes)

    every = sorted(map(count, space.enumerate()))
    upper = every[len(every) // 2]
    limit = ["--info-metric", "acts", "--target-hc", f"{upper / 1e3}", "--constraint", "flops<=100"]
    assert (
        main(
            [
                *QUICK,
                "--evaluations",
                "60",
                *limit,
                "--objective",
                "accuracy",
                "--objective",
                "acts",
                "--search-strategy",
                "nsga2",
            ]
        )
        == 0
    )
    best = json.loads(Path("runs/toy/search/best.json").read_text())
    assert list(best["cost"]) == ["flops", "params", "activations"]
    assert best["cost"]["activations"] == count(tuple(best["architecture"])) <= upper
    assert f"activations of at most {upper:,} ({upper / 1e3:.4g} k)" in capsys.readouterr().out
    report = Path("runs/toy/search/report.html").read_text()
    assert "k elements" in report
    assert '<th class="n">parameters</th><th>share</th><th class="n">elements</th>' in report
    assert f'<td class="n">{best["cost"]["activations"]:,}</td>' in report  # of the whole network, below the layers
    with pytest.raises(UserError, match="--target-hc: no architecture has activations of"):
        main([*QUICK, *RANDOM, "--info-metric", "activations", "--target-hc", "0.001", "--overwrite"])
    with pytest.raises(UserError, match=r"--constraint activations<=\.\.\.: no architecture has activations of"):
        main([*QUICK, *RANDOM, "--info-metric", "flops", "--constraint", "acts<=0.001", "--overwrite"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lookup-table", "t.json", "--lookup-table", "t.json"], "two tables of latency; name them"),
        (["--lookup-table", "=t.json"], "no name for a table"),
        (["--lookup-table", "a<b=t.json"], "no name for a table"),
        (["--lookup-table", "loss=t.json"], "'loss' is reserved"),
        (["--lookup-table", "nme=t.json"], "'nme' is reserved"),
        (["--lookup-table", "seconds=t.json"], "'seconds' is reserved"),
        (["--lookup-table", "n_images=t.json"], "'n_images' is reserved"),
        (["--lookup-table", "confirmed_accuracy=t.json"], "'confirmed_accuracy' is reserved"),
        (["--lookup-table", "flops=t.json"], "'flops' is reserved"),
        (["--lookup-table", "macs=t.json"], "'macs' is reserved"),
        (["--lookup-table", "params=t.json", "--info-metric", "params"], "'params' is reserved"),
        (["--lookup-table", "latency=f.json"], "'latency' is reserved"),
        (["--lookup-table", "t.json", "--constraint", "latnecy<=3"], "latnecy needs .*did you mean 'latency'"),
        (["--lookup-table", "t.json", "--constraint", "params<=0.000001"], "--constraint params<=.*no architecture"),
    ],
)
def test_tables_and_limits_that_cannot_be(space: SearchSpace, flags: list[str], message: str) -> None:
    milliseconds(space).save("t.json")
    build_table(space, "flops", 16).save("f.json")
    with pytest.raises(UserError, match=message):
        main([*QUICK, *RANDOM, "--target-hc", "1000", *flags])
    assert not Path("runs/toy/search").exists()


def test_a_band_between_two_costs_is_refused_before_anything_is_read(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = milliseconds(space)
    table.save("t.json")
    low, high = sorted({float(cost) for cost in table.cost(list(space.enumerate()))})[1:3]

    def forbidden(*given: object) -> None:
        pytest.fail("images are read")

    monkeypatch.setattr(context, "load_data", forbidden)
    band = ["--min-hc", f"{low + 0.4 * (high - low)}", "--target-hc", f"{low + 0.6 * (high - low)}"]
    near = rf"the nearest have {low:,.4f} ms and {high:,.4f} ms"
    with pytest.raises(
        UserError, match=rf"^--min-hc, --target-hc: no architecture of tiny has latency from .*; {near}$"
    ):
        main([*QUICK, *RANDOM, "--lookup-table", "t.json", *band])
    assert not Path("runs/toy/search").exists()


def test_tables_that_do_not_fit(space: SearchSpace) -> None:
    milliseconds(space).save("t.json")
    with pytest.raises(UserError, match=r"--target-hc: no architecture has latency of 0\.0100 ms or less"):
        main([*QUICK, *RANDOM, "--lookup-table", "t.json", "--target-hc", "0.01"])
    with pytest.raises(UserError, match="limit on latency needs --lookup-table"):
        main([*QUICK, *RANDOM, "--target-hc", "20"])
    milliseconds(space, 24).save("r.json")
    with pytest.raises(UserError, match="is for 24 pixels, not for 16"):
        main([*QUICK, *RANDOM, "--lookup-table", "r.json"])
    build_table(space, "flops").save("f.json")
    with pytest.raises(UserError, match="holds flops, not latency"):
        main([*QUICK, *RANDOM, "--lookup-table", "f.json"])
    content = json.loads(Path("t.json").read_text())
    write_sealed("u.json", content | {"unit": "s"})
    with pytest.raises(UserError, match="latency must be in ms, not in s"):
        main([*QUICK, *RANDOM, "--lookup-table", "u.json"])
    write_sealed("n.json", content | {"scale": -1})
    with pytest.raises(UserError, match="scale must be a number above 0"):
        main([*QUICK, *RANDOM, "--lookup-table", "n.json"])
    replace(milliseconds(space), offset=float("nan")).save("x.json")
    with pytest.raises(UserError, match="NaN is not a number of JSON"):
        main([*QUICK, *RANDOM, "--lookup-table", "x.json"])
