"""Genotypes and NNI's files: read as they are printed, counted against a plain torch network, written, and refused."""

from __future__ import annotations

import ast
import json
import random
from itertools import product
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from config_file.errors import UserError
from supernet import SearchSpace, build_space
from supernet.cli import main
from supernet.genotype import genotype_of, parse_genotype
from supernet.nni_form import VERSIONS, in_form
from supernet.saved import architecture_of, space_of
from supernet.spaces.published_cells import PUBLISHED_CELLS
from supernet.written import read_architecture
from tests.supernet.darts_reference import Reference

V2 = PUBLISHED_CELLS["darts_v2"].genotype


def network_of(name: str, **settings) -> tuple[SearchSpace, tuple[int, ...]]:
    record = read_architecture(name)
    space = space_of(record, name, **settings)
    return space, architecture_of(record, space, name)


@pytest.mark.parametrize("name", PUBLISHED_CELLS)
@pytest.mark.parametrize(("resolution", "classes"), [(32, 100), (224, 1000)])
def test_counts_are_those_of_a_plain_network(name, resolution, classes):
    space, architecture = network_of(name, resolution=resolution, num_classes=classes, widths=[8], depths=[4])
    spec = space.decode(architecture)
    genotype = parse_genotype(PUBLISHED_CELLS[name].genotype, name)
    with torch.device("meta"):
        plain = Reference(genotype, 8, 4, classes, resolution > 64).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            assert plain(torch.empty(1, 3, resolution, resolution)).shape == (1, classes)
    assert spec.params(space.input_shape) == sum(p.numel() for p in plain.parameters())
    assert spec.macs(space.input_shape) == counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("name", "settings", "millions"),
    [
        # Liu et al. 2019, tables 1 and 3; Xu et al. 2020, tables 1 and 2.
        ("darts_v2", {"num_classes": 10}, 3.3),
        ("darts_v2", {"num_classes": 1000, "resolution": 224, "widths": [48], "depths": [14]}, 4.7),
        ("pc_darts_cifar", {"num_classes": 10}, 3.6),
        ("pc_darts_imagenet", {"num_classes": 1000, "resolution": 224}, 5.3),
        ("amoebanet", {"num_classes": 10}, 3.1),
    ],
)
def test_published_parameters(name, settings, millions):
    space, architecture = network_of(name, **settings)
    assert round(space.decode(architecture).params(space.input_shape) / 1e6, 1) == millions


def test_a_typed_genotype_is_counted(capsys):
    flags = ["--widths", "16", "--depths", "8", "--resolution", "32", "--num-classes", "10"]
    main(["--search-space", "darts", *flags, "--architecture", V2, "--json"])
    described = json.loads(capsys.readouterr().out)
    assert (described["params"], described["macs"]) == (246_106, 43_444_736)
    assert described["auxiliary"]["site"] == "cell5"
    assert parse_genotype(described["genotype"], "").pairs("reduce")[:2] == (("max_pool_3x3", 0), ("max_pool_3x3", 1))


def test_a_genotype_of_more_nodes_brings_its_space(capsys):
    main(["--search-space", "darts", "--architecture", PUBLISHED_CELLS["nasnet"].genotype, "--json", "--depths", "3"])
    described = json.loads(capsys.readouterr().out)
    again = parse_genotype(described["genotype"], "")
    assert again.reduce_concat == (4, 5, 6)
    assert sorted(again.normal[2:4]) == [("sep_conv_3x3", 0), ("sep_conv_5x5", 0)]  # one input twice
    other = build_space({"name": "mine", "operations": ["skip_connect"], "nodes": 1}, num_classes=10)
    with pytest.raises(UserError, match="the cells of mine have the nodes 2"):
        architecture_of(read_architecture("nasnet"), other, "here")


def test_it_is_parsed_as_python_writes_it():
    call = ast.parse(V2, mode="eval").body
    assert isinstance(call, ast.Call)
    values = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    genotype = parse_genotype(V2, "here")
    assert {name: list(getattr(genotype, name)) for name in values} == values
    positional = "\nDARTS_V2 = Genotype(" + ", ".join(str(value) for value in values.values()) + ",\n)"
    tuples = V2.replace("[(", "((").replace(")]", "),)").replace("'", '"').replace("[2, 3, 4, 5]", "range(2, 6)")
    for text in (positional, tuples, V2.replace(" ", ""), str(genotype)):
        assert parse_genotype(text, "here") == genotype


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("'sep_conv_3x3', 0", "'sep_conf_3x3', 0", "unknown operation 'sep_conf_3x3'; did you mean 'sep_conv_3x3'"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", "normal node 5 reads 5, which is not before it"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 9)", "normal node 5 reads 9"),
        (", ('dil_conv_3x3', 2)", "", "two operations per node"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3, 4, 6]", "the output of normal cells is of nodes 2 to 5"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range(2, 6000)", "such as range"),
        ("normal_concat=[2, 3, 4, 5], ", "", "lacks normal_concat"),
        ("reduce_concat=[2, 3, 4, 5])", "reduce_concat=[2, 3, 4, 5]", "its end"),
        ("[('sep_conv_3x3', 0)", "[__import__('os').system('x')", "Genotype|genotype"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', -2)", "does not go on with"),
    ],
)
def test_what_is_no_genotype_is_refused_in_one_line(written, instead, message):
    assert written in V2
    with pytest.raises(UserError, match=message) as caught:
        read_architecture(V2.replace(written, instead))
    assert "\n" not in str(caught.value)


def test_genotypes_come_back():
    space = build_space("darts", num_classes=10, widths=[4], depths=[3])
    for seed in range(20):
        architecture = space.sample(random.Random(seed))
        content = read_architecture(str(genotype_of(space, architecture)))
        assert architecture_of(content, space, "here") == architecture


def test_the_order_of_inputs_makes_no_other_architecture():
    turned = V2.replace("('sep_conv_3x3', 1), ('skip_connect', 0)", "('skip_connect', 0), ('sep_conv_3x3', 1)")
    assert turned != V2
    space = build_space("darts", num_classes=10)
    assert len({architecture_of(read_architecture(text), space, "here") for text in (V2, turned)}) == 1


@pytest.mark.parametrize(("version", "seed"), [*product(VERSIONS, range(3))])
def test_files_of_nni_come_back(version, seed, tmp_path):
    space = build_space("darts", num_classes=10, widths=[4], depths=[3])
    architecture = space.sample(random.Random(seed))
    file = tmp_path / "epoch_49.json"
    file.write_text(json.dumps(in_form(space, architecture, version)))
    assert architecture_of(read_architecture(str(file)), space, "here") == architecture


def nni(**changes) -> dict:
    """A file as NNI's example leaves it, of indices (2: skipconnect, 3: sepconv3x3) and edges that are not kept."""
    form = {}
    for kind, node in product(("normal", "reduce"), (2, 3, 4, 5)):
        form |= {f"{kind}_n{node}_p{source}": 3 if source == 0 else [] for source in range(node)}
        form |= {f"{kind}_n{node}_p1": 2, f"{kind}_n{node}_switch": [f"{kind}_n{node}_p0", f"{kind}_n{node}_p1"]}
    return form | changes


@pytest.mark.parametrize("skip", [2, "skipconnect", "skip_connect", [False, False, True, False, False, False, False]])
@pytest.mark.parametrize("switch", [["normal_n2_p0", "normal_n2_p1"], [0, 1], [1, 0], [True, True], None])
def test_nni_spells_its_files_in_many_ways(skip, switch, tmp_path):
    content = nni(normal_n2_p1=skip, normal_n2_switch=switch)
    if switch is None:
        del content["normal_n2_switch"]
    Path(tmp_path / "arc.json").write_text(json.dumps(content))
    genotype = parse_genotype(read_architecture(str(tmp_path / "arc.json"))["genotype"], "here")
    assert sorted(genotype.normal[:2]) == [("sep_conv_3x3", 0), ("skip_connect", 1)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normal_n2_p0": 9}, "normal node 2: 9 is no operation of DARTS"),
        ({"normal_n2_p0": "conv"}, "unknown operation 'conv'"),
        ({"normal_n2_switch": ["normal_n2_p0"]}, "normal_n2_switch says two of the edges"),
        ({"LayerChoice1": [True]}, "'LayerChoice1' is no label of the cells of DARTS"),
        ({"normal_n2_switch": ["normal_n2_p0", "reduce_n2_p1"]}, "normal_n2_switch says two of the edges"),
    ],
)
def test_a_file_of_another_space_is_refused(changes, message, tmp_path):
    Path(tmp_path / "arc.json").write_text(json.dumps(nni(**changes)))
    with pytest.raises(UserError, match=message):
        read_architecture(str(tmp_path / "arc.json"))


def test_choices_of_a_chain(tmp_path):
    space = build_space("nasbench_macro", num_classes=10)
    for version in VERSIONS:
        architecture = space.sample(random.Random(version))
        Path(tmp_path / "arc.json").write_text(json.dumps(in_form(space, architecture, version)))
        assert architecture_of(read_architecture(str(tmp_path / "arc.json")), space, "here") == architecture
    with pytest.raises(UserError, match="nasbench_macro has 8 decisions, the file 1 labels"):
        architecture_of({"LayerChoice1": [True, False, False]}, space, "here")
    with pytest.raises(UserError, match="one of 3 candidates is true"):
        architecture_of({f"LayerChoice{n}": [True, True, False] for n in range(8)}, space, "here")
