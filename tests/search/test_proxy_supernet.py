"""A narrow supernet as a proxy: its scores choose, costs, tables, report and what follows are of the full space."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config_file.errors import UserError
from config_file.readers.json_text import read_jsonl
from deployment.cli import main as main_export
from search.cli import main as main_search
from search.rank import main as main_rank
from supernet import SearchSpace, build_space
from supernet.metrics import METRICS
from training.cli import main_retrain, main_train_supernet

WIDTHS = "16,16,24,32,40"
FEW = "--title a --dataset digits --resolution 8 --batch-size 32 --train-portion 0.1 --threads 1 --no-tensorboard"
SCORED = "--calibration-images 32 --eval-images 64 --search-strategy random --random-iteration 12"


def space(width_mult: float) -> SearchSpace:
    widths = tuple(map(int, WIDTHS.split(",")))
    return build_space("nasbench_macro", 8, 10, widths=widths, width_mult=width_mult)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proxy")
    macro = f"--search-space nasbench_macro --widths {WIDTHS} --width-mult 0.5 --epochs 1"
    main_train_supernet([*FEW.split(), *macro.split(), "--root-path", str(folder / "runs")])
    return folder


@pytest.fixture
def _there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def counted(architecture: list[int], width_mult: float) -> float:
    """MACs of a network built by itself, without any lookup table."""
    of = space(width_mult)
    return of.decode(tuple(architecture)).total(METRICS["flops"].of, of.input_shape)


def test_a_factor_scales_every_width_of_a_chain() -> None:
    spec = build_space("nasbench_macro", width_mult=0.25).decode((2,) * 8)
    channels = {node.site: node.block.output_shape((3, 8, 8))[0] for node in spec.nodes if node.site != "head"}
    assert (channels["stem"], set(channels.values())) == (8, {8, 16, 32, 64, 320})
    both = build_space("nasbench_macro", widths=(64, 128, 256, 512, 2560), width_mult=0.5)
    assert both.macro_fingerprint == build_space("nasbench_macro").macro_fingerprint
    with pytest.raises(UserError, match="--width-mult must be above 0"):
        build_space("nasbench_macro", width_mult=-1.0)
    for name in ("proxylessnas", "fbnet", "spos", "single_path"):
        assert build_space(name, width_mult=0.5).decisions_fingerprint == build_space(name).decisions_fingerprint


@pytest.mark.usefixtures("_there")
def test_a_narrow_supernet_searches_the_full_space_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    full = [counted([2] * 8, 1.0), counted([1] * 8, 1.0), counted([1] * 8, 0.5)]
    target = (full[0] + full[1]) / 2
    assert full[2] < full[1] < target  # all networks of the narrow space are within the limit, and not of the full one
    main_search([*FEW.split(), *SCORED.split(), "--width-mult", "1", "--target-hc", str(target / 1e6)])
    said = capsys.readouterr().out
    assert "proxy      the supernet was trained with --width-mult 0.5" in said
    evaluated = read_jsonl(Path("runs/a/search/archive.jsonl"))
    best = json.loads(Path("runs/a/search/best.json").read_text())
    assert best["cost"]["flops"] == counted(best["architecture"], 1.0) <= target
    assert all(counted(row["architecture"], 1.0) <= target for row in evaluated if "architecture" in row)
    assert best["space_options"]["width_mult"] == 1
    assert best["search"]["proxy"]["width_mult"] == 0.5
    main_retrain([*FEW.split(), "--epochs", "1"])
    main_export(["--title", "a"])
    card = json.loads(Path("runs/a/export/card.json").read_text())
    assert card["architecture"]["space_options"]["width_mult"] == 1
    stem = space(1.0).decode(tuple(best["architecture"])).nodes[0].block
    assert stem.output_shape((3, 8, 8))[0] == 16
    with pytest.raises(UserError, match=r"--init supernet: the supernet in .* was built with other settings"):
        main_retrain([*FEW.split(), "--epochs", "1", "--init", "supernet", "--overwrite"])


@pytest.mark.usefixtures("_there")
def test_scores_are_those_of_the_narrow_supernet_whatever_is_searched() -> None:
    main_search([*FEW.split(), *SCORED.split(), "--target-hc", "1000", "--output", "runs/c/search"])
    own = Path("runs/c/search/archive.jsonl").read_text()
    main_search(
        [*FEW.split(), *SCORED.split(), "--target-hc", "1000", "--width-mult", "1", "--output", "runs/b/search"]
    )

    def scores(text: str) -> list[tuple[object, object]]:
        rows = [json.loads(line) for line in text.splitlines()]
        return [(row["architecture"], row["metrics"]) for row in rows if "architecture" in row]

    assert scores(own) == scores(Path("runs/b/search/archive.jsonl").read_text())
    costs = [json.loads(Path(f"runs/{run}/search/best.json").read_text()) for run in "cb"]
    assert costs[0]["cost"]["flops"] < costs[1]["cost"]["flops"]
    assert "proxy" not in costs[0]["search"]


@pytest.mark.usefixtures("_there")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--depths 1,2,2",
            "--depths .*: the supernet in .* was trained with the space's own, where there are other decisions",
        ),
        (
            "--search-space proxylessnas",
            "--search-space proxylessnas: the .* was trained with nasbench_macro",
        ),
    ],
)
def test_other_decisions_are_refused_in_one_line(words: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        main_search([*FEW.split(), *SCORED.split(), *words.split(), "--output", "runs/d/search"])
    with pytest.raises(UserError, match=message):
        main_rank([*FEW.split(), *words.split(), "--truth", "nasbench_macro"])
