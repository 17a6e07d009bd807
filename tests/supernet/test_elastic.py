"""Networks of anybody's own as search spaces: what is found in them, their weights, and what is refused."""

from __future__ import annotations

import random
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from config_file.errors import UserError
from deployment.onnx_export import to_onnx
from lookup_tables.counters import count_fvcore
from supernet import SearchSpace, build_network_space, build_space
from supernet.elastic.space import ElasticSpace, Origin
from supernet.elastic.weights import fill_elastic, sorted_channels
from supernet.pretrained import load_pretrained
from supernet.saved import space_of
from supernet.supernet import Supernet, extract
from supernet.testing import SpaceSuite, difference, randomised

OWN = "elastic:tests.supernet.own_networks:"
MOBILENET = "elastic:torchvision.models.mobilenet_v2,width_mult=0.25"
NETWORKS = [
    (MOBILENET, 32),
    ("elastic:torchvision.models.resnet18", 32),
    (f"{OWN}narrow_vgg", 32),
    (f"{OWN}Mixed", 24),
]


@lru_cache(maxsize=32)
def space_of_network(name: str, rules: str | None = None, classes: int = 10, resolution: int = 32) -> ElasticSpace:
    space = build_space(name, resolution=resolution, num_classes=classes, elastic=rules)
    assert isinstance(space, ElasticSpace)
    return space


def origin_of(space: ElasticSpace) -> Origin:
    assert space.origin is not None
    return space.origin


def network_of(space: ElasticSpace) -> nn.Module:
    torch.manual_seed(0)
    classes = space.decode(largest(space)).shapes(space.input_shape)[space.sites[-1].name][1][0]
    return randomised(origin_of(space).network.build(classes, 3, space.input_shape[1])).eval()


def largest(space: SearchSpace) -> tuple[int, ...]:
    return tuple(size - 1 for size in space.sizes)


class TestMixed(SpaceSuite):
    mixes = False

    @staticmethod
    def make() -> SearchSpace:
        return space_of_network(f"{OWN}Mixed", classes=5, resolution=24)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return space_of_network(f"{OWN}Chain", classes=4, resolution=8)


class TestMobileNetV2(SpaceSuite):
    mixes = False

    @staticmethod
    def make() -> SearchSpace:
        return space_of_network("elastic:torchvision.models.mobilenet_v2,width_mult=0.1")

    @staticmethod
    def make_tiny() -> SearchSpace:
        return space_of_network("elastic:torchvision.models.mobilenet_v2,width_mult=0.1", "features.1?:depth")


@pytest.mark.parametrize(("name", "resolution"), NETWORKS)
def test_the_largest_network_is_the_original_and_the_others_are_exact(name: str, resolution: int) -> None:
    """Oracles: the network itself, as its author wrote it; fvcore; the number of its parameters."""
    space = space_of_network(name, resolution=resolution)
    network = network_of(space)
    supernet = Supernet(space).eval()
    filled = load_weights(supernet, network)
    assert set(filled) == {site for site, unit in origin_of(space).sites.items() if unit.parts}
    x = torch.randn(2, *space.input_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(x)
        assert difference(supernet(x, largest(space)), expected) <= 1e-5
        whole = extract(supernet, largest(space))
        assert difference(whole(x), expected) <= 1e-5
        assert sum(p.numel() for p in whole.parameters()) == sum(p.numel() for p in network.parameters())
        rng = random.Random(2)
        for architecture in (space.sample(rng), tuple(0 for _ in space.sizes)):
            alone = extract(supernet, architecture)
            assert difference(alone(x), supernet(x, architecture)) <= 1e-5
            shapes = alone.spec.shapes(space.input_shape)
            counts = [count_fvcore(node.block, shapes[node.site][0]) for node in alone.spec.nodes]
            layers = sum(c.by_operator.get(kind, 0) for c in counts for kind in ("convolution", "linear"))
            assert layers == alone.spec.macs(space.input_shape)
            assert sum(c.params for c in counts) == alone.spec.params(space.input_shape)


def load_weights(supernet: Supernet, network: nn.Module) -> dict[str, Any]:
    return fill_elastic(supernet, "a file", network.state_dict())


@pytest.mark.parametrize(("name", "resolution"), NETWORKS)
def test_a_subnet_is_exported_with_parity(name: str, resolution: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    space = space_of_network(name, resolution=resolution)
    supernet = Supernet(space).eval()
    load_weights(supernet, network_of(space))
    alone = extract(supernet, space.sample(random.Random(3)))
    model = to_onnx(alone, space.input_shape)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = torch.randn(1, *space.input_shape)
    (y,) = session.run(None, {"image": x.numpy()})
    with torch.no_grad():
        assert difference(torch.from_numpy(y), alone(x)) <= 1e-4
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)


def test_widths_are_tied_by_sums_and_depthwise_convolutions() -> None:
    """MobileNetV2 (Sandler et al. 2018): blocks of a stage add to the same channels."""
    rows = {
        row["decision"]: row
        for row in origin_of(space_of_network("elastic:torchvision.models.mobilenet_v2")).searchable
    }
    assert rows["features.7.conv.2/width"]["layers"] == [f"features.{block}.conv.2" for block in (7, 8, 9, 10)]
    assert [row["layers"] for name, row in rows.items() if name.endswith("depth")] == [
        ["features.3"], ["features.5", "features.6"], ["features.8", "features.9", "features.10"],
        ["features.12", "features.13"], ["features.15", "features.16"],
    ]  # fmt: skip
    assert sum(name.endswith("conv.0.0/width") for name in rows) == 16
    assert not any(
        "conv.1" in layer for row in rows.values() for layer in row["layers"] if layer != "features.1.conv.1"
    )


def test_resnet_18_has_the_depths_of_its_stages() -> None:
    space = space_of_network("elastic:torchvision.models.resnet18", "layer*:depth")
    assert {d.name: d.options for d in space.decisions} == {
        "layer1.0/depth": ("0", "1", "2"),
        **{f"layer{stage}.1/depth": ("0", "1") for stage in (2, 3, 4)},
    }
    shortest = space.decode((0, 0, 0, 0))
    kept = {node.site for node in shortest.nodes}
    assert not any(site.startswith(("layer1", "layer2/1", "layer3/1", "layer4/1")) for site in kept)
    assert "layer2/0/add" in kept


def test_concatenations_keep_their_widths_and_say_so() -> None:
    space = space_of_network(f"{OWN}Mixed")
    kept = {layer: row["why"] for row in origin_of(space).kept for layer in row["layers"]}
    assert kept["left"] == kept["right"] == "cat concatenates them"
    assert kept["outputs"] == "the network's outputs"
    grouped = next(d for d in space.decisions if d.name == "mix.0/width")
    assert all(int(width) % 4 == 0 for width in grouped.options)  # four channels in each group


def test_sorting_leaves_the_network_and_puts_the_important_channels_first() -> None:
    space = space_of_network(f"{OWN}Mixed")
    network = network_of(space)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(x)
        ordered = sorted_channels(origin_of(space), network.state_dict())
        network.load_state_dict(ordered)
        assert difference(network(x), expected) <= 1e-5
    read = ordered["blocks.0.two.weight"].abs().sum((0, 2, 3))  # channels of blocks.0.one, by who reads them
    assert (read.diff() <= 1e-6).all()
    linear = ordered["hidden.weight"].abs().reshape(12, 16, 9).sum((0, 2)).reshape(4, 4).sum(1)  # groups stay together
    assert torch.isfinite(linear).all()
    assert not torch.equal(ordered["mix.0.weight"], network_of(space).state_dict()["mix.0.weight"])


def test_widths_cut_channels_of_a_flattened_map_whole() -> None:
    """The linear layer behind a map reads the pixels of the channels that are kept, not of others."""
    space = space_of_network(f"{OWN}Mixed", "mix.0:0.5 gate.up:0.5")
    network = network_of(space)
    supernet = Supernet(space).eval()
    load_weights(supernet, network)
    sorted_network = network_of(space)
    sorted_network.load_state_dict(sorted_channels(origin_of(space), network.state_dict()))
    hidden = sorted_network.get_submodule("hidden")
    weight = extract(supernet, (0,)).state_dict()["layers.hidden.linear.linear.weight"]
    assert torch.equal(weight, hidden.weight.reshape(12, 16, 9)[:, :8].reshape(12, 72))


def test_callables_are_given_what_they_take_and_settings() -> None:
    space = build_network_space(f"{OWN}Chain,channels=16", resolution=8, num_classes=3)
    assert isinstance(space, ElasticSpace)
    assert space.decode(largest(space)).nodes[0].block.output_shape((3, 8, 8)) == (16, 4, 4)


def test_a_file_may_name_a_network_of_torchvision_and_no_code() -> None:
    shipped = space_of_network("elastic:torchvision.models.squeezenet1_1", "features.3:0.5")
    record = {"space_options": shipped.describe(), "macro_fingerprint": shipped.macro_fingerprint}
    assert space_of(record, "a file").macro_fingerprint == shipped.macro_fingerprint
    own = space_of_network(f"{OWN}Chain", classes=4)
    record = {"space_options": own.describe(), "macro_fingerprint": own.macro_fingerprint}
    assert space_of(record, "a file", f"{OWN}Chain").macro_fingerprint == own.macro_fingerprint
    for trusted in (None, f"{OWN}Mixed", MOBILENET):
        with pytest.raises(UserError, match="no file decides which code is run"):
            space_of(record, "a file", trusted)


# ---- weights


def test_weights_of_a_file_and_of_the_builder(tmp_path: Any) -> None:
    space = space_of_network(f"{OWN}Chain", classes=4, resolution=8)
    network = network_of(space)
    file = tmp_path / "weights.pth"
    torch.save({"state_dict": network.state_dict()}, file)
    supernet = Supernet(space).eval()
    load_pretrained(supernet, str(file))
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert difference(supernet(x, largest(space)), network(x)) <= 1e-5
        # Another number of classes: all but the outputs.
        other = Supernet(space_of_network(f"{OWN}Chain", classes=7, resolution=8)).eval()
        before = other.state_dict()["bank.fc.layers.0.linear.weight"].clone()
        filled = load_pretrained(other, str(file))
        assert "fc" not in filled
        assert torch.equal(other.state_dict()["bank.fc.layers.0.linear.weight"], before)
        norm = "bank.stage/0/norm.layers.0.norm.weight"
        assert torch.equal(other.state_dict()[norm], supernet.state_dict()[norm])
        torch.manual_seed(5)
        built = Supernet(space)
        torch.manual_seed(5)
        expected = origin_of(space).network.build(4, 3, 8).eval()
        torch.manual_seed(5)
        load_pretrained(built, "built")
        assert difference(built.eval()(x, largest(space)), expected(x)) <= 1e-5
    for damaged, message in (
        ({"fc.bias": torch.zeros(4)}, "lacks fc.weight"),
        (network.state_dict() | {"more": torch.zeros(1)}, "an unexpected more"),
        (network.state_dict() | {"stem.0.weight": torch.zeros(8, 3, 5, 5)}, "stem.0.weight is [8, 3, 5, 5], expected"),
    ):
        torch.save(damaged, file)
        with pytest.raises(UserError) as caught:
            load_pretrained(supernet, str(file))
        assert message in str(caught.value)
    with pytest.raises(UserError, match="no weights of"):
        load_pretrained(supernet, "torchvision")


def test_building_a_space_draws_nothing() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    space_of_network(f"{OWN}Chain", classes=4)
    assert torch.equal(torch.rand(3), expected)


def test_costs_and_limits_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The range is that of all networks; the median that of an enumeration, as far as a draw can tell."""
    from supernet.cli import main

    words = ["--search-space", f"{OWN}Chain", "--resolution", "8", "--num-classes", "4"]
    main([*words, "--constraint", "flops<=0.01,params<=0.0001"])
    printed = capsys.readouterr().out
    space = space_of_network(f"{OWN}Chain", classes=4, resolution=8)
    macs = [space.decode(a).macs(space.input_shape) for a in space.enumerate()]
    assert f"{min(macs):,} to {max(macs):,} over the whole space, median about" in printed
    assert "params<=0.0001: cannot be met" in printed
    share = np.mean(np.array(macs) <= 10_000)
    found = next(line for line in printed.splitlines() if "flops<=0.01" in line)
    assert float(found.rpartition("about ")[2].split()[0]) == pytest.approx(100 * share, abs=3)
    assert "stage.0/depth" in printed
    assert "the network's outputs" in printed
    assert prod(space.sizes) == space.size
    with pytest.raises(UserError, match="nothing is counted of that name"):
        main([*words, "--constraint", "latency<=3"])
