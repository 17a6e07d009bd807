"""Block costs from whole networks: planted costs are found again, phones are predicted, bad files are refused."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

from config_file.errors import UserError
from lookup_tables import CostTable
from lookup_tables.cli import main
from lookup_tables.latency.accuracy import affine, judge, spearman
from lookup_tables.latency.fit import as_problem, block_features, cross_validated, fit_table, learning_curve
from lookup_tables.latency.fitting import fit_blocks
from lookup_tables.latency.measurements import Measurements, read_measurements
from lookup_tables.latency.probes import block_counts, timed_blocks
from supernet import SearchSpace, build_space
from supernet.metrics import LATENCY
from tests.lookup_tables.small_spaces import SMALL, small_space

SHARED = Path(os.environ.get("NAS_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
DEVICES = SHARED / "fbnet_latency.npz"


def planted(space: SearchSpace, count: int, noise: float = 0.0, seed: int = 0) -> tuple[Measurements, np.ndarray]:
    """Networks whose blocks cost what no feature explains entirely."""
    rng = np.random.default_rng(seed)
    resolution = space.input_shape[1]
    features = block_features(timed_blocks(space, resolution))
    costs = (features / np.maximum(features.mean(0), 1)) @ [3, 1, 2, 2, 0.1, 1] * rng.uniform(0.7, 1.4, len(features))
    architectures = rng.integers(0, space.sizes, (count, len(space.sizes)))
    ms = block_counts(space, resolution, architectures) @ costs + 5.0
    return Measurements(architectures, ms * (1 + noise * rng.standard_normal(count))), costs


@pytest.mark.parametrize("name", list(SMALL))
def test_counts_add_up_to_the_table(name: str) -> None:
    """For every shipped space: counts times values is what the table says of the same architectures."""
    space = small_space(name)
    resolution = space.input_shape[1]
    keys = timed_blocks(space, resolution)
    values = np.array([block.macs(shape) for block, shape in keys])
    architectures = np.random.default_rng(0).integers(0, space.sizes, (50, len(space.sizes)))
    totals = [space.decode(tuple(map(int, row))).macs(space.input_shape) for row in architectures]
    assert np.array_equal(block_counts(space, resolution, architectures) @ values, totals)


def test_a_table_reproduces_planted_costs() -> None:
    space = small_space("proxylessnas")
    measurements, costs = planted(space, 400)
    table = fit_table(space, 32, measurements, device="a phone")
    fresh, _ = planted(space, 200, seed=0)
    assert judge(table.cost(fresh.architectures), fresh.ms).mape < 0.1
    assert table.self_check is not None
    assert table.self_check["spearman"] > 0.999
    assert table.device == "a phone"
    assert all(entry.value >= 0 for entry in table.entries.values())
    assert costs.min() > 0


def test_few_measurements_are_read_through_the_prior() -> None:
    space = small_space("fbnet_s")
    measurements, _ = planted(space, 430, noise=0.01)
    problem = as_problem(space, 32, measurements)
    train, held_out = np.arange(30), np.arange(30, 430)
    ours = judge(problem.fit(train).predict(problem.counts[held_out]), problem.ms[held_out])
    design = np.column_stack([problem.counts, np.ones(430)])
    plain = judge(design[held_out] @ nnls(design[train], problem.ms[train])[0], problem.ms[held_out])
    assert ours.spearman > 0.9
    assert ours.mape < 0.75 * plain.mape


def test_error_falls_with_measurements_and_stays_at_the_noise() -> None:
    space = small_space("proxylessnas")
    measurements, _ = planted(space, 300, noise=0.02)
    curve = learning_curve(as_problem(space, 32, measurements), sizes=(12, 40, 200, 5000))
    assert [point.measurements for point in curve] == [12, 40, 200]
    assert [point.held_out for point in curve] == [288, 260, 100]
    assert curve[-1].mape < curve[0].mape
    assert curve[-1].mape == pytest.approx(2 * np.sqrt(2 / np.pi), rel=0.35)
    assert curve[0].least <= curve[0].mape <= curve[0].most
    assert [point.measurements for point in learning_curve(as_problem(space, 32, measurements), sizes=(999,))] == [150]


def test_blocks_that_no_network_holds_get_the_prior() -> None:
    space = small_space("proxylessnas")
    measurements, _ = planted(space, 200)
    kept = measurements.architectures[:, 3] != 1
    table = fit_table(space, 32, Measurements(measurements.architectures[kept], measurements.ms[kept]))
    absent = [entry for entry in table.entries.values() if entry.count == 0 and entry.value > 0]
    assert absent
    others = np.median([entry.value for entry in table.entries.values() if entry.count])
    assert all(0.05 * others < entry.value < 20 * others for entry in absent)


def test_values_do_not_depend_on_the_unit() -> None:
    space = small_space("proxylessnas")
    measurements, _ = planted(space, 60, noise=0.01)
    problem = as_problem(space, 32, measurements)
    one, thousand = fit_blocks(*problem), fit_blocks(problem.counts, problem.features, 1000 * problem.ms)
    np.testing.assert_allclose(thousand.predict(problem.counts), 1000 * one.predict(problem.counts), rtol=1e-3)


@cache
def devices() -> dict[str, np.ndarray]:
    if not DEVICES.exists():
        pytest.skip(f"no {DEVICES}: NAS_SHARED_DATA names the folder")
    with np.load(DEVICES, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


@pytest.mark.parametrize(("device", "at_30", "at_100"), [("pixel3", 0.95, 0.995), ("raspi4", 0.93, 0.995)])
def test_measured_phones(device: str, at_30: float, at_100: float) -> None:
    """Plain non-negative least squares reaches Spearman .79 and .75 with 100 networks."""
    data = devices()
    ms = data["latency"][:, list(data["devices"]).index(device)].astype(float)
    space = build_space("fbnet_l", resolution=224)
    problem = as_problem(space, 224, Measurements(data["arch"].astype(int), ms))
    few, more = learning_curve(problem, sizes=(30, 100), repeats=2)
    assert few.spearman > at_30
    assert more.spearman > at_100
    assert more.mape < 1


def test_accuracy_against_known_values() -> None:
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 4, 9, 16])) == 1
    assert spearman(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == -1
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))
    assert judge(np.array([1.1, 1.8]), np.array([1.0, 2.0])).mape == pytest.approx(10)
    x = np.array([1.0, 2, 5])
    np.testing.assert_allclose(affine(x, 2 * x + 3), (2, 3))
    assert affine(x, 10 - x)[1] == 0  # a line that falls
    assert affine(np.array([2.0]), np.array([6.0])) == (3, 0)
    scale, offset = affine(x, 2 * x - 1.9, least=1.0)
    assert scale + offset == pytest.approx(scale / 2)  # never below zero where the space begins
    np.testing.assert_allclose(affine(x, 2 * x - 0.5, least=1.0), (2, -0.5))


def test_a_network_that_was_disturbed_does_not_tilt_the_line() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(5, 20, 12)
    measured = (2 * x + 3) * (1 + 0.01 * rng.standard_normal(12))
    undisturbed = np.polyval(affine(x, measured), x)
    measured[7] *= 1.5
    np.testing.assert_allclose(np.polyval(affine(x, measured), x), undisturbed, rtol=0.01)  # least squares: 0.03


# ---- the command

TOY = ["--search-space", "proxylessnas", "--widths", "8,4,8,12,16,24,24,32,64", "--depths", "1,2,1,1,2,1"]
TOY += ["--num-classes", "10", "--resolution", "32"]


def write_csv(path: Path, space: SearchSpace, measurements: Measurements, by_name: bool = False) -> Path:
    rows = []
    for row, ms in zip(measurements.architectures, measurements.ms, strict=True):
        options = space.names(tuple(map(int, row))) if by_name else row
        rows.append(f"{' '.join(map(str, options))},{ms:.6f}")
    path.write_text("\n".join(["architecture,ms", *rows, ""]))
    return path


def test_fit_writes_a_table_and_its_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = small_space("proxylessnas")
    measurements, _ = planted(space, 60)
    file = write_csv(tmp_path / "m.csv", space, measurements, by_name=True)
    main(["fit", "--measurements", str(file), *TOY, "--device", "Pixel 9", "--output", str(tmp_path / "t.json")])
    text = capsys.readouterr().out
    assert re.search(r"self-check: spearman 0?\.?9?\d|self-check: spearman 1", text)
    assert "fitted to 60 networks" in text
    assert "device Pixel 9" in text
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    table = CostTable.load(tmp_path / "t.json", space, 32, "latency")
    assert table.metric is LATENCY
    np.testing.assert_allclose(table.cost(measurements.architectures), measurements.ms, rtol=0.05)
    assert table.offset >= 0
    with pytest.raises(UserError, match="holds latency, not flops"):
        CostTable.load(tmp_path / "t.json", space, 32, "flops")
    main(["show", str(tmp_path / "t.json")])
    assert "in ms" in capsys.readouterr().out


def test_measurements_by_column_and_as_json(tmp_path: Path) -> None:
    space = small_space("nasbench_macro")
    names = [decision.name for decision in space.decisions]
    architecture = tuple(1 for _ in names)
    by_column = tmp_path / "columns.csv"
    by_column.write_text(",".join(["id", *names, "ms"]) + "\n" + ",".join(["a", *space.names(architecture), "3.5"]))
    as_json = tmp_path / "json.csv"
    cell = json.dumps(list(architecture)).replace('"', '""')
    as_json.write_text(f'\ufeffms,architecture\n3.5,"{cell}"\n\n')
    for path in (by_column, as_json):
        found = read_measurements(path, space)
        assert tuple(found.architectures[0]) == architecture
        assert list(found.ms) == [3.5]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("architecture,ms\n{a},-1\n", "line 2: ms must be a number above 0, not -1"),
        ("architecture,ms\n{a},2\n{a},nan\n", "line 3: ms must be a number above 0, not nan"),
        ("architecture,ms\n{a},0\n", "line 2: ms must be a number above 0, not 0"),
        ("architecture,ms\n{a},fast\n", "line 2: ms must be a number above 0, not 'fast'"),
        ("architecture,ms\n{a},\n", "line 2: ms is missing"),
        ("architecture,ms\n9 9,3\n", "line 2: .* decisions"),
        ("architecture,ms\n[1,3\n", "line 2 is truncated or damaged, not JSON"),
        ('architecture,ms\n"{{}}",3\n', "line 2: "),
        ("architecture,ms\n{a}\n", "line 2: 1 cells, the header has 2"),
        ("architecture,seconds\n{a},3\n", "expected the columns architecture and ms"),
        ("", "the file is empty"),
        ("architecture,ms\n", "no measurements"),
        ("architecture,ms\n{a},3\n", "1 measurements are too few"),
        ("architecture,ms\n" + "{a},3\n" * 20, "all .* measurements are 3"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text.format(a=" ".join(["0"] * 8)))
    with pytest.raises(UserError, match=said) as error:
        main(["fit", "--measurements", str(path), *TOY, "--output", str(tmp_path / "t.json")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "t.json").exists()


def test_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--measurements FILE\.csv is missing"):
        main(["fit", *TOY])
    with pytest.raises(UserError, match="no such file"):
        main(["fit", *TOY, "--measurements", str(tmp_path / "none.csv")])
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UserError, match="not a text file"):
        main(["fit", *TOY, "--measurements", str(tmp_path / "b.csv")])


def test_cross_validation_needs_enough() -> None:
    space = small_space("proxylessnas")
    measurements, _ = planted(space, 11)
    with pytest.raises(UserError, match="11 measurements are too few"):
        cross_validated(as_problem(space, 32, measurements))


@pytest.mark.parametrize("count", [13, 16, 19])
def test_what_is_enough_for_a_table_is_enough_for_its_curve(count: int) -> None:
    space = small_space("proxylessnas")
    measurements, _ = planted(space, count)
    problem = as_problem(space, 32, measurements)
    cross_validated(problem)
    assert [(point.measurements, point.held_out) for point in learning_curve(problem, repeats=2)] == [(10, count - 10)]
