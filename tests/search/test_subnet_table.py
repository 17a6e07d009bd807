"""Tables of DyNAS-T, Neural Compressor and once-for-all: their columns and subnets as their sources have them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from config_file.errors import UserError
from search.result import Result
from search.subnet_table import FORMS, SubnetTableOptions, check_output, named, write_subnets
from search.testing.toy import toy_space
from search.warm_start import read_results
from supernet import NetworkSpace, build_space
from supernet.once_for_all import architecture_in_form, in_form

HEADER = "Sub-network,Date,Model Parameters,Latency (ms),MACs,Top-1 Acc (%)"
LEAST = f"\"{{'wid': None, 'ks': {[3] * 20}, 'e': {[3] * 20}, 'd': {[2] * 5}, 'r': [224]}}\""
MIDDLE = f"\"{{'wid': None, 'ks': {[5] * 20}, 'e': {[4] * 20}, 'd': {[3] * 5}, 'r': [224]}}\""
DATE = "2022-06-14 09:12:31.281905"
NUMBERS = {LEAST: (3_410_792, 121_278_672), MIDDLE: (4_551_792, 250_746_944)}  # as published


@pytest.fixture(scope="module")
def ofa() -> NetworkSpace:
    return build_space("ofa_mbv3", width_mult=1.0)


def written(*lines: str) -> Path:
    Path("subnets.csv").write_text("\n".join(lines) + "\n")
    return Path("subnets.csv")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_table_of_dynas_t(ofa: NetworkSpace) -> None:
    rows = [f"{subnet},{DATE},{params},0,{macs},{71.5 + n}" for n, (subnet, (params, macs)) in
            enumerate(NUMBERS.items())]  # fmt: skip
    found = read_results(written(HEADER, *rows, f"{LEAST},{DATE},0,12.5,0,0"), ofa)
    assert {r.architecture: dict(r.metrics) for r in found} == {
        architecture_in_form({"ks": 3, "e": 3, "d": 2}, ofa, ""): {"accuracy": 0.715},
        architecture_in_form({"ks": 5, "e": 4, "d": 3}, ofa, ""): {"accuracy": 0.725},
    }


def test_a_table_of_neural_compressor(ofa: NetworkSpace) -> None:
    (found,) = read_results(written("config,date,lat,macs,acc", f"{MIDDLE},{DATE},0,250746944,74.25"), ofa)
    assert found.value("accuracy") == pytest.approx(0.7425)


def test_the_data_set_of_accuracies(ofa: NetworkSpace) -> None:
    subnets = [{"d": [2] * 5, "e": [3] * 20, "ks": [3] * 20}, {"d": [3] * 5, "e": [4] * 20, "ks": [5] * 20}]
    folder = Path("accuracies")
    (folder / "src").mkdir(parents=True)
    for size in (160, 224):
        accuracies = {json.dumps(subnet): size / 4 + n for n, subnet in enumerate(subnets)}
        (folder / f"src/{size}.dict").write_text(json.dumps(accuracies))
    expected = {architecture_in_form(subnet, ofa, ""): (56 + n) / 100 for n, subnet in enumerate(subnets)}
    for path in (folder / "src/224.dict", folder):
        if path.is_dir():  # what once-for-all merges it to
            merged = {
                json.dumps({**subnet, "image_size": size}): size / 4 + n
                for size in (160, 224)
                for n, subnet in enumerate(subnets)
            }
            (folder / "acc.dict").write_text(json.dumps(merged))
        found = read_results(path, ofa)
        assert {result.architecture: result.value("accuracy") for result in found} == expected
    sized = build_space("ofa_mbv3", width_mult=1.0, image_sizes="160,192,224")
    assert len(read_results(folder, sized)) == 4
    with pytest.raises(UserError, match=r"160.dict has no accuracies at 224 pixels, as the images have here \(it"):
        read_results(folder / "src/160.dict", ofa)


@pytest.mark.parametrize("space", ["ofa_mbv3", "ofa_resnet50", "ofa_proxyless"])
def test_subnets_are_named_as_there_and_read_back(space: str) -> None:
    built = build_space(space, resolution=32)
    rng = random.Random(0)
    for _ in range(20):
        chosen = built.canonical(built.sample(rng))
        form = in_form(built, chosen)
        assert form is not None
        assert architecture_in_form(form, built, "") == chosen
    assert next(iter(named(built, chosen))) == "wid"
    assert named(built, chosen)["r"] == [32]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read_back_behind_what_was_there(form: str, ofa: NetworkSpace) -> None:
    elastic = [architecture_in_form({"ks": k, "e": 6, "d": 4}, ofa, "") for k in (3, 5, 7)]
    costs = [{"flops": ofa.decode(a).macs(ofa.input_shape), "params": ofa.decode(a).params(ofa.input_shape)}
             for a in elastic]  # fmt: skip
    results = [Result(a, {"accuracy": 0.7 + n / 8}, cost=costs[n]) for n, a in enumerate(elastic)]
    path = Path("out.csv")
    write_subnets(path, FORMS[form], ofa, results[:2])
    write_subnets(path, FORMS[form], ofa, results[1:])  # those of the first stay, those of the second are replaced
    assert path.read_text().splitlines()[0] == ",".join(FORMS[form].columns)
    assert len(path.read_text().splitlines()) == 4
    found = read_results(path, ofa)
    assert [r.architecture for r in found] == elastic
    assert [r.value("accuracy") for r in found] == pytest.approx([0.7, 0.825, 0.95])
    space = toy_space()
    path.unlink()
    write_subnets(path, FORMS[form], space, [Result((1, 2, 1, 0, 0), {"accuracy": 0.5})])
    assert [r.architecture for r in read_results(path, space)] == [(1, 2, 1, 0, 0)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{LEAST.replace('[2, 2,', '[2, 5,')},{DATE},0,0,0,70", "line 2: stage2/depth is 5, none of 2, 3, 4"),
        (f"{LEAST.replace(', 3]', ']')},{DATE},0,0,0,70", "line 2: 'ks' of ofa_mbv3 is 20 numbers, not 19"),
        (f"{LEAST.replace('[224]', '[160]')},{DATE},0,0,0,70", "line 2: it says r: 160, but images have 224 pixels"),
        (f"{LEAST},{DATE},4400000,0,0,70", "line 2: 4,400,000 params, where this network of ofa_mbv3 has 3,410,792"),
        (f"{LEAST},{DATE},0,0,170000000,70", "line 2: 170,000,000 flops, where this network of ofa_mbv3 has 121,278,6"),
        (f"{LEAST},{DATE},0,0,0,70\n{LEAST},{DATE},0,0,170000000,70", "line 3: 170,000,000 flops"),
        (f"{LEAST},{DATE},0,0,0,much", "line 2: Top-1 Acc"),
        (f"\"{{'layers': 3}}\",{DATE},0,0,0,70", "line 2: \"{'layers': 3}\" is no subnet of ofa_mbv3"),
        (f"\"{{'ks': open('x')}}\",{DATE},0,0,0,70", "line 2 is truncated or damaged, not JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(row: str, message: str, ofa: NetworkSpace) -> None:
    with pytest.raises(UserError) as caught:
        read_results(written(HEADER, row), ofa)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_file_is_left_alone() -> None:
    with pytest.raises(UserError, match=r"subnets.csv is no table with the columns config,date,lat,macs,acc"):
        check_output(
            SubnetTableOptions(results_csv=str(written("name,place", "a,b")), results_form="neural_compressor"),
            toy_space(),
        )
    with pytest.raises(UserError, match="no such folder absent"):
        check_output(SubnetTableOptions(results_csv="absent/a.csv"), toy_space())
