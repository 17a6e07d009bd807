"""Architectures in every form that people type and our tools write."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from deployment.weights import save_network
from lookup_tables.limits import Limits
from search.reporting.results_file import write_results
from search.result import Result
from supernet import Network, build_space
from supernet.saved import architecture_of, space_of
from supernet.written import read_architecture
from training.differentiable_search.distribution_file import Distribution, save_distribution

SPACE = build_space("nasbench_macro", resolution=16, num_classes=10, widths=(4, 4, 4, 4, 8))
CHOSEN = (0, 1, 2, 0, 1, 2, 0, 1)
NAMES = SPACE.names(CHOSEN)


def read(text: str | Path) -> tuple[int, ...]:
    return architecture_of(read_architecture(str(text)), SPACE, "here")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        " ".join(NAMES), ", ".join(NAMES), ",".join(NAMES), " ".join(map(str, CHOSEN)), "0-1-2-0-1-2-0-1",
        "0, 1, 2, 0, 1, 2, 0, 1", json.dumps(NAMES), json.dumps(CHOSEN), json.dumps({"architecture": CHOSEN}),
        json.dumps({"names": NAMES}), f"3,0.91,0.85,0.95,1362432,1,0.02,{' '.join(map(str, CHOSEN))},{' '.join(NAMES)}",
    ],
)  # fmt: skip
def test_typed(text: str) -> None:
    assert read(text) == CHOSEN


def test_a_row_of_what_a_search_writes() -> None:
    others = [(1,) * 8, CHOSEN, (2,) * 8]
    results = [Result(architecture, {"accuracy": 0.5}) for architecture in others]
    write_results(Path("results.csv"), results, Limits(SPACE))
    lines = Path("results.csv").read_text().splitlines()
    assert [read(f"results.csv:{number}") for number in (1, 2, 3)] == others
    assert read(lines[2]) == CHOSEN  # pasted
    with pytest.raises(UserError, match=r"results\.csv: it has 3 rows; name one, as results\.csv:1"):
        read("results.csv")
    for number in (0, 4):
        with pytest.raises(UserError, match=rf"results\.csv:{number}: it has 3 rows, the first of which is 1"):
            read(f"results.csv:{number}")
    rows = [{"format": "oneshot-nas archive 2"}, *({"architecture": list(a), "state": "done"} for a in others)]
    Path("archive.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read("archive.jsonl:2") == CHOSEN
    Path("one.csv").write_text(f"{lines[0]}\n{lines[2]}\n")
    assert read("one.csv") == CHOSEN


def test_files_of_every_stage() -> None:
    uniform = [np.log(np.full(3, 1 / 3))] * 8
    save_distribution(Path(), SPACE, Distribution(uniform, CHOSEN, {}))
    assert read("architecture.json") == CHOSEN
    about = {"space_options": SPACE.describe(), "architecture": list(CHOSEN), "names": NAMES}
    save_network("model.safetensors", Network(SPACE.decode(CHOSEN)), about | {"search_space": SPACE.name})
    assert read("model.safetensors") == CHOSEN
    assert space_of(read_architecture("model.safetensors"), "here").macro_fingerprint == SPACE.macro_fingerprint
    card = {"architecture": {"search_space": SPACE.name, "indices": list(CHOSEN), "names": NAMES}, "cost": {}}
    Path("card.json").write_text(json.dumps(card))
    assert read("card.json") == CHOSEN
    np.save("osnaslib.npy", np.array(CHOSEN))
    assert read("osnaslib.npy") == CHOSEN
    folder = Path("runs/first/search")
    folder.mkdir(parents=True)
    (folder / "best.json").write_text(json.dumps(about))
    assert read(folder / "best.json") == read(folder) == read("runs/first") == CHOSEN


def test_names_that_are_numbers_are_names_first() -> None:
    space = build_space("mobilenetv2")
    architecture = space.sample(Random(1))
    assert architecture_of(read_architecture(" ".join(space.names(architecture))), space, "here") == architecture
    assert architecture_of(read_architecture(" ".join(map(str, architecture))), space, "here") == architecture


@pytest.mark.parametrize("name", ["proxyless_mobile", "Proxyless-Mobile", "FBNet_C", "fbnet-c", "SPOS", "MobileNetV2"])
def test_published_names_in_any_spelling(name: str) -> None:
    record = read_architecture(name)
    space = space_of(record, name, resolution=32, num_classes=10)
    architecture = architecture_of(record, space, name)
    with torch.no_grad():
        assert Network(space.decode(architecture)).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_a_row_may_be_longer_than_the_name_of_a_file() -> None:
    space = build_space("spos")
    architecture = space.sample(Random(1))
    text = " ".join(space.names(architecture))
    assert architecture_of(read_architecture("0," * 100 + text), space, "here") == architecture


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proxyless_mobil", "did you mean 'proxyless_mobile'"),
        ("no/such/best.json", "no such file"),
        ("e3k3 e3k3", "8 decisions, the architecture has 2"),
        ("e3k3 e9k9 e3k3 e3k3 e3k3 e3k3 e3k3 e3k3", "unknown option 'e9k9'"),
        ("table.csv", "neither a column architecture nor a column indices"),
    ],
)
def test_what_it_is_not(text: str, message: str) -> None:
    Path("table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=message) as error:
        read(text)
    assert "\n" not in str(error.value)
