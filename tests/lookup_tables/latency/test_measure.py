"""Measuring on this machine and by a kit, with engines that are told what to say: corrections, resuming, bad sheets."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from config_file.errors import UserError
from config_file.files import write_sealed
from deployment import engines as engines_package
from deployment.engines import Engine, Layer
from deployment.engines.engine import Floats
from lookup_tables import CostTable
from lookup_tables.cli import main
from lookup_tables.latency.calibration import calibrate, entry
from lookup_tables.latency.measure import RUNS, Rounds, measure_table
from lookup_tables.latency.probes import all_probes, block_counts, spread_architectures, timed_blocks
from supernet import Shape, build_space
from supernet.metrics import LATENCY
from tests.lookup_tables.small_spaces import SMALL, small_space
from tests.supernet.own_spaces import zoomed

TOY = ["--search-space", "nasbench_macro", "--widths", "4,8,12,16,32", "--num-classes", "10", "--resolution", "32"]


def weight_of(layer: nn.Module, shape: Shape) -> float:
    """A made-up latency: what a block costs alone includes 0.5 ms that it does not cost within a network."""
    numbers = sum(parameter.numel() for parameter in layer.parameters())
    return numbers / 1e4 + 0.01 * shape[1]


class Played:
    """An engine that counts what is run and says times with noise that only ever adds."""

    def __init__(self) -> None:
        self.runs: Counter[int] = Counter()
        self.order: list[int] = []
        self.fail_after: int | None = None
        self.rng = np.random.default_rng(0)

    def load(self, model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> PlayedSession:
        assert isinstance(model, Layer)
        number, ms = len(self.runs), weight_of(*model)
        self.runs[number] = 0

        def run() -> float:
            if self.fail_after is not None and sum(self.runs.values()) >= self.fail_after:
                raise KeyboardInterrupt
            self.runs[number] += 1
            self.order.append(number)
            return ms * (1 + float(self.rng.exponential(0.05)) * (self.rng.random() < 0.5))

        return PlayedSession(model.shape, run)


class PlayedSession(NamedTuple):
    """One that only says how long it takes."""

    shape: Shape
    once: Callable[[], float]

    def run(self, x: Floats) -> Floats:
        raise NotImplementedError

    def time(self, x: Floats, runs: int) -> list[float]:
        assert x.shape == (1, *self.shape)
        return [self.once() for _ in range(runs)]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    player = Played()
    engine = Engine("played", lambda: "player 1", player.load, lambda: "a table")
    monkeypatch.setitem(engines_package.ENGINES, "played", engine)
    return player


def test_a_table_holds_minima_and_its_error_on_networks(played: Played, tmp_path: Path) -> None:
    space = small_space("proxylessnas")
    table = measure_table(space, 32, tmp_path / "r.jsonl", engine="played", rounds=4, networks=8)
    blocks = len(timed_blocks(space, 32))
    assert len(played.runs) == blocks + 8
    assert set(played.runs.values()) == {4 * (RUNS + 1)}
    for (block, shape), found in table.entries.items():
        if block.label != "skip":
            truth = weight_of(block.build(shape[0]), shape)
            assert found.value == pytest.approx(truth, rel=1e-3)
            assert found.count == 4 * RUNS
            assert found.value <= found.median
    assert (table.engine, table.device, table.threads, table.metric) == ("player 1", "a table", 1, LATENCY)
    assert table.date is not None
    assert table.self_check is not None
    assert table.self_check["networks"] == 8
    assert table.self_check["mape_percent"] < 10
    assert table.minimum()[0] > 0
    table.save(tmp_path / "t.json")
    again = CostTable.load(tmp_path / "t.json", space, 32, "latency")
    architectures = np.random.default_rng(0).integers(0, space.sizes, (20, len(space.sizes)))
    np.testing.assert_array_equal(again.cost(architectures), table.cost(architectures))
    assert again.self_check == table.self_check
    sums = block_counts(space, 32, architectures) @ [table.entries[key].value for key in timed_blocks(space, 32)]
    np.testing.assert_allclose(table.cost(architectures), table.offset + table.scale * sums)
    one_hot = [torch.eye(size)[option] for size, option in zip(space.sizes, architectures[0], strict=True)]
    assert float(table.expected(one_hot)) == pytest.approx(table.cost(architectures[:1])[0])


def test_an_engine_of_one_s_own_is_an_entry(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["build", "--metric", "latency", "--engine", "played", "--rounds", "2", "--networks", "4", *TOY])
    assert set(played.runs.values()) == {2 * (RUNS + 1)}
    header = json.loads(Path("tables/nasbench_macro-played-latency-32.json").read_text())
    assert (header["engine"], header["device"]) == ("player 1", "a table")
    assert "self-check: spearman" in capsys.readouterr().out
    with pytest.raises(UserError, match="unknown engine 'plaid'; did you mean 'played'"):
        main(["build", "--metric", "latency", "--engine", "plaid", *TOY])


def test_rounds_are_interleaved_in_another_order_each(played: Played, tmp_path: Path) -> None:
    space = small_space("nasbench_macro")
    measure_table(space, 32, tmp_path / "r.jsonl", engine="played", rounds=3, networks=2)
    visits = played.order[:: RUNS + 1]
    per_round = len(visits) // 3
    rounds = [visits[start : start + per_round] for start in range(0, len(visits), per_round)]
    assert all(sorted(order) == sorted(rounds[0]) for order in rounds)
    assert len({tuple(order) for order in rounds}) == 3


def test_an_interrupted_measurement_goes_on(played: Played, tmp_path: Path) -> None:
    space = small_space("nasbench_macro")
    kept = tmp_path / "r.jsonl"
    played.fail_after = 2 * (len(timed_blocks(space, 32)) + 3) * (RUNS + 1) + 7
    with pytest.raises(KeyboardInterrupt):
        measure_table(space, 32, kept, engine="played", rounds=4, networks=3)
    assert len(kept.read_text().splitlines()) == 1 + 2
    played.fail_after = None
    played.runs.clear()
    table = measure_table(space, 32, kept, engine="played", rounds=4, networks=3)
    assert set(played.runs.values()) == {2 * (RUNS + 1)}
    assert {found.count for (block, _), found in table.entries.items() if block.label != "skip"} == {4 * RUNS}
    played.runs.clear()
    measure_table(space, 32, kept, engine="played", rounds=4, networks=3)
    assert not played.runs  # nothing was left to do


def test_rounds_of_other_settings_are_refused(tmp_path: Path) -> None:
    Rounds(tmp_path / "r.jsonl", {"engine": "a", "threads": 1}).measure({"x": lambda runs: [1.0] * runs}, 1, "")
    with pytest.raises(UserError, match="another threads; --overwrite"):
        Rounds(tmp_path / "r.jsonl", {"engine": "a", "threads": 2})
    assert len(Rounds(tmp_path / "r.jsonl", {"engine": "a", "threads": 1})) == 1


def test_the_correction_is_the_planted_one() -> None:
    sums = np.linspace(5, 20, 9)
    scale, offset, check = calibrate(sums, 0.8 * sums - 0.5, 2.0)
    assert (scale, offset) == pytest.approx((0.8, -0.5))
    assert check is not None
    assert check["mape_percent"] == pytest.approx(0, abs=1e-9)
    assert check["spearman"] == 1
    assert calibrate(sums[:2], 3 * sums[:2], 2.0) == (3, 0, None)
    assert calibrate(sums[:0], sums[:0], 2.0) == (1, 0, None)


def test_minimum_median_and_spread() -> None:
    found = entry([4.0, 1, 2, 3, 5])
    assert (found.value, found.median, found.spread, found.count) == (1, 3, 2, 5)


@pytest.mark.parametrize("name", list(SMALL))
def test_networks_span_the_space(name: str) -> None:
    space = small_space(name)
    chosen = spread_architectures(space, 32, 5, seed=0)
    macs = [space.decode(architecture).macs(space.input_shape) for architecture in chosen]
    assert macs == sorted(macs)
    assert macs[-1] > macs[0]
    assert spread_architectures(space, 32, 0, seed=0) == []


def test_a_network_is_timed_at_the_resolution_it_decides() -> None:
    space = zoomed((8, 16), num_classes=4, in_channels=3)
    networks = list(space.enumerate())
    probes = list(all_probes(space, 16, networks).values())
    assert [probe.shape for probe in probes[-len(networks) :]] == [space.image(network) for network in networks]
    assert {probe.shape for probe in probes[-len(networks) :]} == {(3, 8, 8), (3, 16, 16)}


def test_without_a_gpu_the_engine_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="needs a CUDA GPU"):
        main(["build", "--metric", "latency", "--engine", "pytorch_cuda", *TOY])


def test_latency_cannot_be_counted() -> None:
    from lookup_tables import build_table

    with pytest.raises(UserError, match="latency has to be measured"):
        build_table(small_space("nasbench_macro"), "latency")


# ---- the kit


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "kit"
    main(["kit", *TOY, "--networks", "5", "--output", str(folder)])
    return folder


def filled_in(kit: Path, folder: Path, ms: dict[str, str] | None = None) -> Path:
    """A copy of the kit's papers, its sheet filled in by a rule: 2 ms per M MACs of a block, 1 ms + 0.1 in networks."""
    folder.mkdir()
    with (kit / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        macs = float(row["mega_macs"])
        least = 1e-4 + 2 * macs if row["kind"] == "block" else 0.1 + macs
        row["ms"] = (ms or {}).get(row["file"], f"{2 * least} {least} {1.5 * least}")
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows[::-1])
    (folder / "kit.json").write_bytes((kit / "kit.json").read_bytes())
    return folder


def test_a_kit_holds_what_its_sheet_lists(kit: Path) -> None:
    with (kit / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    space = build_space("nasbench_macro", resolution=32, num_classes=10, widths=(4, 8, 12, 16, 32))
    assert [row["kind"] for row in rows] == ["block"] * len(timed_blocks(space, 32)) + ["network"] * 5
    assert sorted(row["file"] for row in rows) == sorted(str(p.relative_to(kit)) for p in kit.rglob("*.onnx"))
    for row in (rows[0], rows[3], rows[-1]):
        session = ort.InferenceSession(kit / row["file"], providers=["CPUExecutionProvider"])
        assert "x".join(map(str, session.get_inputs()[0].shape)) == row["input"]
        operators = {node.name for node in session.get_inputs()}
        assert operators == {"image"}
    assert "python -m lookup_tables import" in (kit / "README.txt").read_text()


def test_a_filled_in_kit_becomes_a_table(kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = filled_in(kit, tmp_path / "done")
    out = tmp_path / "t.json"
    main(["import", "--file", str(folder), "--device", "Pixel 9", "--engine", "TFLite", "--output", str(out)])
    text = capsys.readouterr().out
    assert "self-check: spearman 1" in text
    assert "device Pixel 9, engine TFLite" in text
    space = build_space("nasbench_macro", resolution=32, num_classes=10, widths=(4, 8, 12, 16, 32))
    table = CostTable.load(out, space, 32, "latency")
    (block, shape), found = next(iter(table.entries.items()))
    assert found.value == pytest.approx(2 * block.macs(shape) / 1e6, abs=1e-3)
    assert found.count == 3
    architecture = spread_architectures(space, 32, 5, seed=0)[2]
    truth = 0.1 + space.decode(architecture).macs(space.input_shape) / 1e6
    assert table.cost([architecture])[0] == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (
            {"blocks/003.onnx": "", "networks/001.onnx": ""},
            r"incomplete: 2 of \d+ files have no ms, such as blocks/003",
        ),
        ({"blocks/003.onnx": "-2"}, "ms must be a number above 0, not -2"),
        ({"blocks/003.onnx": "1 nan"}, "ms must be a number above 0, not nan"),
        ({"networks/000.onnx": "1,5"}, "ms must be a number above 0, not '1,5'"),
    ],
)
def test_a_sheet_that_cannot_be_used(kit: Path, tmp_path: Path, ms: dict[str, str], said: str) -> None:
    folder = filled_in(kit, tmp_path / "done", ms)
    with pytest.raises(UserError, match=said):
        main(["import", "--file", str(folder / "manifest.csv"), "--output", str(tmp_path / "t.json")])
    assert not (tmp_path / "t.json").exists()


def test_kits_that_are_none(kit: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no kit\.json"):
        main(["import", "--file", str(tmp_path)])
    folder = filled_in(kit, tmp_path / "done")
    sheet = folder / "manifest.csv"
    sheet.write_text(sheet.read_text() + "blocks/999.onnx,block,x,1,1,1\n")
    with pytest.raises(UserError, match=r"blocks/999\.onnx is unknown"):
        main(["import", "--file", str(folder)])
    about = json.loads((folder / "kit.json").read_text())
    about["space_options"]["widths"] = [4, 8, 12, 24, 32]
    (folder / "kit.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match="does not match its checksum"):
        main(["import", "--file", str(folder)])
    write_sealed(folder / "kit.json", about)
    with pytest.raises(UserError, match=r"kit for nasbench_macro .* not for this"):
        main(["import", "--file", str(folder), *TOY[:2], "--widths", "4,8,12,24,32", "--num-classes", "10"])
    (folder / "kit.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        main(["import", "--file", str(folder)])


def test_a_kit_never_overwrites_what_is_not_one_or_is_filled_in(kit: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="not a kit; it is left alone"):
        main(["kit", *TOY, "--output", str(tmp_path)])
    folder = filled_in(kit, tmp_path / "done")
    with pytest.raises(UserError, match="filled in already"):
        main(["kit", *TOY, "--output", str(folder)])
