"""Published networks and sizes of the shipped spaces, to the last multiply-accumulate and parameter.

MACs count convolution and linear layers at 224
pixels, parameters everything learnable.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from supernet import Network, SearchSpace, Supernet, build_space, extract
from supernet.saved import architecture_of, space_of
from supernet.spaces.published import ALIASES, NAMES, PUBLISHED
from supernet.torchvision_compat import torchvision
from tests.conftest import ROOT

FIGURES = {
    # Logs of mit-han-lab/proxylessnas: 320.4M/4.08M, 439.2M/4.36M and 465.3M/7.12M.
    "proxyless_mobile": (320_427_584, 4_080_512),
    "proxyless_cpu": (439_243_864, 4_361_648),
    "proxyless_gpu": (465_260_160, 7_119_848),
    # Wu et al. 2019: 249M/4.3M, 295M/4.5M and 375M/5.5M; facebookresearch/mobile-vision: 295.6M/4.8M, 383.0M/5.5M.
    "fbnet_a": (249_921_848, 4_321_464),
    "fbnet_b": (296_614_728, 4_813_048),
    "fbnet_c": (384_960_160, 5_572_200),
    # timm's spnasnet_100: 4.42 M parameters.
    "single_path": (333_467_072, 4_421_616),
    # README of megvii-model/SinglePathOneShot: 323M, 3.5M.
    "spos": (322_918_720, 3_558_464),
    # torchvision's mobilenet_v2 and mobilenet_v3_large: 3,504,872 and 5,483,032 parameters.
    "mobilenetv2": (300_774_272, 3_504_872),
    "mobilenetv3_large": (216_589_760, 5_483_032),
    # Wang et al. 2021, table 3: 203M, 279M, 317M, 357M and 444M, at 192, 224 or 256 pixels.
    "attentivenas_a0": (203_389_568, 8_954_184),
    "attentivenas_a1": (279_238_816, 9_452_872),
    "attentivenas_a2": (316_730_080, 11_149_824),
    "attentivenas_a3": (357_321_216, 12_789_024),
    "attentivenas_a4": (443_530_752, 11_809_640),
}


def test_the_page_says_the_same():
    page = (ROOT / "docs" / "spaces.md").read_bytes().decode()
    for name, (macs, params) in FIGURES.items():
        assert re.search(rf"^\| `{name}`.*\| {macs:,} \| {params:,} \|", page, re.MULTILINE), name


def network_of(name: str) -> tuple[SearchSpace, tuple[int, ...]]:
    record = PUBLISHED[name].record
    space = space_of(record, name)
    return space, architecture_of(record, space, name)


def test_every_published_network_has_its_figures():
    assert set(PUBLISHED) == set(FIGURES)
    assert set(ALIASES.values()) <= set(NAMES)
    assert all(network.source for network in PUBLISHED.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_network(name):
    space, architecture = network_of(name)
    spec, image = space.decode(architecture), space.image(architecture)
    assert (spec.macs(image), spec.params(image)) == FIGURES[name]
    rows = spec.layers(image)
    assert (sum(row["macs"] for row in rows), sum(row["params"] for row in rows)) == FIGURES[name]


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [
        ("proxyless_mobile", "320.4M", "4.08M"),
        ("proxyless_cpu", "439.2M", "4.36M"),
        ("proxyless_gpu", "465.3M", "7.12M"),
        ("spos", "322.9M", "3.56M"),
        ("single_path", "333.5M", "4.42M"),
        ("fbnet_a", "249.9M", "4.32M"),
    ],
)
def test_as_its_authors_print_it(name, macs, params):
    counted = FIGURES[name]
    assert (f"{counted[0] / 1e6:.1f}M", f"{counted[1] / 1e6:.2f}M") == (macs, params)


def test_attentivenas_as_its_authors_and_others_print_it():
    """MACs of the paper's table; parameters and choices of A6 as open-mmlab/mmrazor lists them: 15.594 M."""
    counted = [round(FIGURES[f"attentivenas_a{number}"][0] / 1e6) for number in range(5)]
    assert counted == [203, 279, 317, 357, 444]
    space = build_space("attentivenas")
    stages = "24 1 3 32 3 3 4 40 3 3 6 72 4 3 5 128 4 3 4 216 6 5 224 1 3"
    largest = space.parse(f"24 {stages} 1984 288".split())
    assert space.decode(largest).params(space.input_shape) == 15_593_648


def test_published_file_says_the_same(shared_data):
    """The constants above against the list of published architectures, computed by an independent counter."""
    entries = {entry["name"]: entry for entry in json.loads((shared_data / "published_architectures.json").read_text())}
    for name, ours in {
        "proxylessnas/proxyless_mobile": "proxyless_mobile",
        "fbnet_b": "fbnet_b",
        "fbnet_c": "fbnet_c",
    }.items():
        assert (entries[name]["computed"]["macs"], entries[name]["computed"]["params"]) == FIGURES[ours]
    for name in ("fbnet_b", "fbnet_c"):
        ops = [op.removeprefix("ir_").replace("_", "") for op in entries[name]["config"]["ops"]]
        assert ops == PUBLISHED[name].record["names"]
    assert tuple(entries["spos_block_search"]["config"]["architecture"]) == network_of("spos")[1]
    single_path = entries["spnasnet_100"]
    assert single_path["published"]["params_m"] == round(FIGURES["single_path"][1] / 1e6, 2)


@pytest.mark.parametrize("name", ["proxyless_mobile", "fbnet_c", "spos"])
def test_built_network_has_these_parameters(name):
    space, architecture = network_of(name)
    with torch.device("meta"):
        alone = extract(Supernet(space), architecture)
        assert sum(p.numel() for p in alone.parameters()) == FIGURES[name][1]
        assert alone(torch.empty(1, 3, 224, 224)).shape == (1, 1000)


def fvcore_counts(model: torch.nn.Module) -> dict[str, float]:
    fvcore = pytest.importorskip("fvcore.nn")
    counter = fvcore.FlopCountAnalysis(model.eval(), torch.zeros(1, 3, 224, 224))
    return dict(counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator())


@pytest.mark.parametrize("name", ["proxyless_gpu", "fbnet_b", "spos", "mobilenetv2"])
def test_fvcore_counts_the_same_convolutions_and_linear_layers(name):
    space, architecture = network_of(name)
    counted = fvcore_counts(Network(space.decode(architecture)))
    assert counted["conv"] + counted["linear"] == FIGURES[name][0]


@pytest.mark.parametrize(("name", "gmacs"), [("single_path", "0.35"), ("fbnet_c", "0.40"), ("mobilenetv2", "0.31")])
def test_timm_s_figures_count_batch_norm_and_pooling_too(name, gmacs):
    """timm's published GMACs; the same networks in fvcore's convention, which is theirs."""
    space, architecture = network_of(name)
    assert f"{sum(fvcore_counts(Network(space.decode(architecture))).values()) / 1e9:.2f}" == gmacs


def test_torchvision_s_mobilenet_is_in_the_space():
    from supernet.torchvision_compat import torchvision

    model = torchvision.models.mobilenet_v2(weights=None)
    assert sum(p.numel() for p in model.parameters()) == FIGURES["mobilenetv2"][1]
    counted = fvcore_counts(model)
    assert counted["conv"] + counted["linear"] == FIGURES["mobilenetv2"][0]


@pytest.mark.parametrize(
    ("name", "skip", "size", "networks"),
    [
        ("proxylessnas", None, 7**21, None),
        ("proxylessnas", "identity", (6 * 7**3) ** 5 * 6, 1554**5 * 6),
        ("fbnet_s", None, 9**22, None),
        ("fbnet_l", None, 9**22, None),
        ("fbnet", None, 9**22, None),
        ("spos", None, 4**20, 4**20),
        ("mobilenetv2", None, 2_097_152, 1_548_800),
        ("single_path", None, (4 * 5**3) ** 5 * 4, 340**5 * 4),
        ("nasbench_macro", None, 6_561, 3_969),
    ],
)
def test_size_of_the_space(name, skip, size, networks):
    space = build_space(name, skip=skip)
    assert space.size == size
    assert space.num_canonical == size
    if networks is not None:
        assert space.num_networks == networks


def test_networks_of_mobilenetv2_by_hand():
    """Stages 4 and 5 can both be 96 wide, 6 and 7 both 320: then only the sum of their repetitions counts."""
    one_stage = 2 * 4
    equal_widths = len({first + second for first in range(1, 5) for second in range(1, 5)})
    two_stages = one_stage**2 - 4 * 4 + equal_widths
    assert build_space("mobilenetv2").num_networks == one_stage**3 * two_stages**2


def test_all_rows_of_nasbench_macro(shared_data):
    table = np.load(shared_data / "nasbench_macro_cifar10.npz", allow_pickle=False)
    space = build_space("nasbench_macro", num_classes=10)
    architectures = table["arch"]
    assert architectures.shape == (space.size, 8)
    for metric in ("macs", "params"):
        total = np.zeros(len(architectures), dtype=np.int64)
        for scope, entries in space.factors():
            costs = np.array([getattr(block, metric)(shape) for block, shape in entries.flat]).reshape(entries.shape)
            total += costs[tuple(architectures[:, decision] for decision in scope)]
        assert np.array_equal(total, table[metric])
    for row in range(0, space.size, 13):
        spec = space.decode(tuple(architectures[row].tolist()))
        expected = int(table["macs"][row]), int(table["params"][row])
        assert (spec.macs((3, 32, 32)), spec.params((3, 32, 32))) == expected


@pytest.mark.parametrize(
    ("architecture", "macs", "params"),
    [
        ((0,) * 8, 7_713_280, 387_882),
        ((1,) * 8, 53_246_464, 1_588_874),
        ((2,) * 8, 105_660_928, 2_932_586),
        ((0, 1, 2, 0, 1, 2, 0, 1), 46_109_184, 1_283_434),
    ],
)
def test_some_rows_of_nasbench_macro(architecture, macs, params):
    spec = build_space("nasbench_macro", num_classes=10).decode(architecture)
    assert (spec.macs((3, 32, 32)), spec.params((3, 32, 32))) == (macs, params)


def test_mobilenetv3_large_as_a_table():
    """Stages with activations, squeeze-excite and expansions of their own: counted by torchvision's own network."""
    space, architecture = network_of("mobilenetv3_large")
    assert space.size == 1
    spec = space.decode(architecture)
    theirs = torchvision.models.mobilenet_v3_large().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        theirs(torch.zeros(1, 3, 224, 224))
    assert spec.macs((3, 224, 224)) == counter.get_total_flops() // 2
    assert round(spec.macs((3, 224, 224)) / 1e6) == 217  # "219" in the paper
    assert spec.params((3, 224, 224)) == sum(p.numel() for p in theirs.parameters()) == 5_483_032
    ours = Network(spec).eval()
    assert ours(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
    assert sum(p.numel() for p in ours.parameters()) == 5_483_032
