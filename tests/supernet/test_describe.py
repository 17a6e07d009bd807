"""`python -m supernet`: what it prints, and how it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from config_file.errors import UserError
from supernet import build_space
from supernet.cli import main
from supernet.describe import cost_range, describe
from supernet.metrics import FLOPS, PARAMS
from tests.conftest import ROOT
from tests.supernet.own_spaces import YAML_SPACE, branches, elastic, tiny_nasbench201
from tests.supernet.test_published import FIGURES, PUBLISHED

MOBILE = PUBLISHED["proxyless_mobile"].record["names"]
COUNTED = FIGURES["proxyless_mobile"]
WIDTHS = "32,16,32,40,80,96,192,320,1280"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    main(argv)
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    return json.loads(run(capsys, *argv, "--json"))


def test_published_network_from_the_command_line(capsys, tmp_path):
    names = MOBILE
    space = build_space("proxylessnas", skip="identity")
    indices = list(space.parse(names))
    path = tmp_path / "found.json"
    path.write_text(json.dumps(names))
    base = ("--search-space", "proxylessnas", "--skip", "identity", "--widths", WIDTHS, "--resolution", "224")
    found = [
        as_json(capsys, *base, "--architecture", text) for text in (json.dumps(names), json.dumps(indices), str(path))
    ]
    assert found[0] == found[1] == found[2] == as_json(capsys, "--architecture", "proxyless_mobile")
    description = found[0]
    assert description["size"] == (6 * 7**3) ** 5 * 6
    assert description["num_networks"] == 1554**5 * 6
    assert (description["macs"], description["params"]) == COUNTED
    assert sum(row["macs"] for row in description["layers"]) == COUNTED[0]
    assert sum(row["params"] for row in description["layers"]) == COUNTED[1]
    assert (description["names"], description["architecture"]) == (names, indices)
    # Skipped layers have a row too, and ops are the names of the space.
    ops = [row["op"] for row in description["layers"]]
    assert ops == ["conv3x3/2", "k3e1", *names, "conv1x1", "pool+linear"]
    skipped = description["layers"][4]
    assert (skipped["op"], skipped["macs"], skipped["params"]) == ("skip", 0, 0)
    assert skipped["input_shape"] == skipped["output_shape"] == [32, 56, 56]


@pytest.mark.parametrize("name", ["attentivenas_a0", "proxyless_mobile"])
def test_a_published_name_beside_its_space_keeps_its_settings(name, capsys):
    """An image size that is fixed, for instance, which the space as such decides."""
    alone = as_json(capsys, "--architecture", name)
    assert as_json(capsys, "--search-space", PUBLISHED[name].space, "--architecture", name) == alone


def test_underscores_are_as_good_as_hyphens(capsys):
    with_hyphens = run(capsys, "--search-space", "spos", "--num-classes", "10", "--resolution", "32")
    assert run(capsys, "--search_space=spos", "--num_classes", "10", "--input_size=32") == with_hyphens


def test_without_an_architecture_no_costs_are_claimed_but_the_range(capsys):
    description = as_json(capsys, "--search-space", "nasbench_macro", "--num-classes", "10")
    assert (description["macs"], description["params"], description["layers"]) == (None, None, [])
    assert description["range"]["macs"] == [7_713_280, 105_660_928]
    assert description["range"]["params"] == [387_882, 2_932_586]
    assert (description["size"], description["num_networks"]) == (6561, 3969)
    text = run(capsys, "--search-space", "nasbench_macro", "--num-classes", "10")
    for part in ("6,561 architectures", "3,969 distinct", "7,713,280 to 105,660,928", "identity e3k3 e6k5"):
        assert part in text
    assert "total" not in text


def test_table_for_people(capsys):
    text = run(capsys, "--architecture", json.dumps(MOBILE), "--widths", WIDTHS, "--skip", "identity")
    lines = text.splitlines()
    assert "221,502,229,807,900,608 (~10^17.3) architectures" in text
    assert "54,375,883,032,510,144 (~10^16.7) distinct" in text
    total = next(line for line in lines if line.startswith("total"))
    assert total.split() == ["total", "320,427,584", "4,080,512"]
    start = lines.index(next(line for line in lines if line.startswith("layer ")))
    table = lines[start : lines.index(total) + 1]
    assert len({len(line) for line in table}) == 1, "numbers end in one column"
    assert len(table) == 1 + 1 + 25 + 1 + 1
    assert sum("multiply-accumulates" in line for line in lines) == 1
    assert max(map(len, lines)) <= 120


def test_random_is_a_function_of_its_seed(capsys):
    base = ("--search-space", "spos", "--resolution", "32", "--architecture", "random")
    first, again = (as_json(capsys, *base, "--random-seed", "1") for _ in range(2))
    assert first == again
    assert first != as_json(capsys, *base, "--random-seed", "2")
    assert first["macs"] == sum(row["macs"] for row in first["layers"])


def test_what_a_search_found_brings_its_space(capsys, tmp_path):
    space = build_space("nasbench_macro", num_classes=10)
    best = {
        "search_space": "nasbench_macro",
        "space_options": space.describe(),
        "architecture": [2] * 8,
        "names": ["e6k5"] * 8,
        "decisions_fingerprint": space.decisions_fingerprint,
    }
    path = tmp_path / "best.json"
    path.write_text(json.dumps(best))
    description = as_json(capsys, "--architecture", str(path))
    assert (description["search_space"], description["macs"]) == ("nasbench_macro", 105_660_928)
    other_size = as_json(capsys, "--architecture", str(path), "--resolution", "64", "--num-classes", "100")
    assert other_size["input_shape"] == [3, 64, 64]
    with pytest.raises(UserError, match="it is of another space than spos"):
        main(["--search-space", "spos", "--architecture", str(path)])
    path.write_text(json.dumps({"names": ["e6k5"] * 8}))
    assert as_json(capsys, "--search-space", "nasbench_macro", "--architecture", str(path))["architecture"] == [2] * 8
    np.save(tmp_path / "found.npy", np.array([2] * 8))
    named = as_json(capsys, "--search-space", "nasbench_macro", "--architecture", str(tmp_path / "found.npy"))
    assert named["architecture"] == [2] * 8


def test_spaces_of_one_s_own(capsys, tmp_path):
    path = tmp_path / "pocket.yml"
    path.write_text(YAML_SPACE)
    description = as_json(capsys, "--search-space", str(path), "--resolution", "32", "--architecture", "random")
    assert description["search_space"] == "pocket"
    assert description["size"] == 4**5
    own = as_json(capsys, "--search-space", "tests.supernet.own_spaces:elastic", "--resolution", "16")
    assert own["num_canonical"] < own["size"]
    text = run(capsys, "--search-space", "tests.supernet.own_spaces:elastic", "--resolution", "16")
    assert f"{own['num_canonical']:,} without decisions that do not matter" in text


@pytest.mark.parametrize("make", [elastic, branches, tiny_nasbench201])
def test_layers_of_spaces_that_are_no_plain_chain(make):
    import random

    space = make()
    rng = random.Random(0)
    assert json.loads(json.dumps(describe(space)))["size"] == space.size
    for _ in range(10):
        architecture = space.sample(rng)
        description = describe(space, architecture)
        assert sum(row["macs"] for row in description["layers"]) == description["macs"]
        assert sum(row["params"] for row in description["layers"]) == description["params"]
        for metric in ("macs", "params"):
            least, greatest = description["range"][metric]
            assert least <= description[metric] <= greatest
        shapes = space.decode(architecture).shapes(space.input_shape)
        rows = {row["site"]: row for row in description["layers"]}
        assert set(shapes) <= set(rows)
        assert all(tuple(rows[site]["output_shape"]) == output for site, (_, output) in shapes.items())


def test_range_is_that_of_the_enumeration():
    space = branches(width=2, cells=2)
    for metric in (FLOPS, PARAMS):
        costs = [getattr(space.decode(a), metric.key)(space.input_shape) for a in space.enumerate()]
        assert cost_range(space, metric) == [min(costs), max(costs)]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--search-space", "proxyles"], "unknown search space 'proxyles'; did you mean 'proxylessnas'"),
        (["--architecture", "nowhere.json"], "nowhere.json: no such file"),
        (["--architecture", "[1, 2"], "not JSON"),
        (["--architecture", "[1, 2]"], "has 21 decisions, the architecture has 2 entries"),
        (["--architecture", '{"arch": [1]}'], "neither a key 'architecture' nor a key 'names'"),
        (["--architecture", '["k3e4"' + ', "skip"' * 20 + "]"], "unknown option 'k3e4'; did you mean 'k3e"),
        (["--architecture", "3"], "3: no such file"),
        (["--resolution", "0"], "--resolution"),
        (["--resolution", "large"], "--resolution"),
        (["--num-classes", "-1"], "--num-classes"),
        (["--widths", "1,2"], "that is 9 numbers, not 2"),
        (["--widths", "a,b"], "--widths"),
        (["--skip", "pool"], "--skip"),
        (["--achitecture", "random"], "--architecture"),
        (["random"], "unexpected 'random'"),
    ],
)
def test_mistakes(argv, message, capsys):
    with pytest.raises(UserError, match=message) as caught:
        main(argv)
    assert "\n" not in str(caught.value)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "nothing", "3", "[[1]]", "null", '{"architecture": 3}', "[" * 100_000])
def test_files_that_hold_no_architecture(tmp_path, content):
    path = tmp_path / "found.json"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        main(["--search-space", "nasbench_macro", "--architecture", str(path)])
    assert "\n" not in str(caught.value)


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "found.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="not an array"):
        main(["--search-space", "nasbench_macro", "--architecture", str(tmp_path / "found.npy")])


def test_as_a_command():
    command = [sys.executable, "-m", "supernet", "--search-space", "proxylesnas"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert not done.stdout
    assert done.stderr.startswith("error: unknown search space 'proxylesnas'")
    assert done.stderr.count("\n") == 1
