"""Configurations of once-for-all and ProxylessNAS, from published listings and back."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from supernet import NetSpec, build_space
from supernet.cli import main
from supernet.composites import InvertedResidual
from supernet.net_config import config_of, record_of
from supernet.saved import architecture_of, space_of
from supernet.written import read_architecture


def conv(into: int, out: int, act: str = "h_swish", **changes: Any) -> dict[str, Any]:
    about = {"name": "ConvLayer", "in_channels": into, "out_channels": out, "kernel_size": 1, "act_func": act}
    return about | changes


def in_their_form(listing: dict[str, Any], elder: bool) -> dict[str, Any]:
    """A listing of `published_architectures.json` as a net.config, in the names of either generation."""
    key, kind = ("mobile_inverted_conv", "MBInvertedConvLayer") if elder else ("conv", "MBConvLayer")
    blocks = []
    for block in listing["blocks"]:
        if block == "skip":
            zero = {"name": "ZeroLayer", "stride": 1}
            blocks.append({"name": "MobileInvertedResidualBlock", key: zero, "shortcut": {"name": "IdentityLayer"}})
            continue
        layer = {
            "name": kind, "in_channels": block["cin"], "out_channels": block["cout"], "kernel_size": block["k"],
            "stride": block["s"], "expand_ratio": block["e"], "mid_channels": block["mid"], "act_func": block["act"],
            "use_se": block["se"],
        }  # fmt: skip
        shortcut = {"name": "IdentityLayer"} if block["shortcut"] else None
        blocks.append({"name": "ResidualBlock", key: layer, "shortcut": shortcut})
    last, act = listing["blocks"][-1]["cout"], listing["stem"][3]
    config = {
        "name": listing["family"], "bn": {"momentum": 0.1, "eps": 1e-5}, "blocks": blocks,
        "first_conv": conv(3, listing["stem"][0], act, kernel_size=3, stride=2),
        "classifier": {"name": "LinearLayer", "in_features": listing["classifier"], "out_features": 1000},
    }  # fmt: skip
    if listing["family"] == "MobileNetV3":
        config["final_expand_layer"] = conv(last, listing["head"])
        last = listing["head"]
    return config | {"feature_mix_layer": conv(last, listing["feature_mix"], act)}


@pytest.mark.parametrize("elder", [False, True])
def test_published_networks_are_in_our_spaces(shared_data: Path, tmp_path: Path, elder: bool) -> None:
    """Four networks of once-for-all and one of ProxylessNAS, counted by somebody else."""
    entries = json.loads((shared_data / "published_architectures.json").read_text())
    mobile = [e for e in entries if (e["config"] or {}).get("family") in ("MobileNetV3", "ProxylessNASNets")]
    assert len(mobile) == 5
    for entry in mobile:
        file = tmp_path / "net.config"
        file.write_text(json.dumps(in_their_form(entry["config"], elder)))
        content, size = read_architecture(str(file)), entry["resolution"]
        space = space_of(content, file, resolution=size)
        spec = space.decode(architecture_of(content, space, file))
        macs, params = spec.macs(space.input_shape), spec.params(space.input_shape)
        assert (macs, params) == (entry["computed"]["macs"], entry["computed"]["params"]), entry["name"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ofa_mbv3", {"width_mult": 1.2}),
        ("ofa_mbv3", {"widths": (16, 16, 24, 40, 88, 112, 160, 960, 1280)}),
        ("ofa_proxyless", {}),
        ("proxylessnas", {"skip": "identity"}),
    ],
)
def test_what_is_written_is_read_again(name: str, settings: dict[str, Any]) -> None:
    space = build_space(name, **settings)
    rng = random.Random(3)
    for _ in range(5):
        spec = space.decode(space.sample(rng))
        record = record_of(json.loads(json.dumps(config_of(spec))), "here")
        again = build_space(**record["space_options"])
        assert layers(again.decode(again.parse(record["names"]))) == layers(spec)


def layers(spec: NetSpec) -> list[dict[str, Any]]:
    kept = ("block", "input_shape", "output_shape", "macs", "params")
    return [{key: row[key] for key in kept} for row in spec.layers((3, 224, 224))]


def test_the_command_writes_a_file_that_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, form = str(tmp_path / "net.config"), '{"ks": 5, "e": 4, "d": 3}'
    main(["--search-space", "ofa_mbv3", "--architecture", form, "--net-config", file])
    config = json.loads(Path(file).read_text())
    assert [config["name"], len(config["blocks"])] == ["MobileNetV3", 16]
    assert config["blocks"][1]["conv"]["mid_channels"] == 64
    capsys.readouterr()
    main(["--architecture", file, "--json"])
    assert json.loads(capsys.readouterr().out)["macs"] == 250_746_944
    with pytest.raises(UserError, match="--net-config writes the network of --architecture"):
        main(["--search-space", "ofa_mbv3", "--net-config", file])
    with pytest.raises(UserError, match=r"no net\.config says this network"):
        main(["--search-space", "spos", "--architecture", "random", "--net-config", file])


def test_another_network_is_refused_in_one_line() -> None:
    space = build_space("ofa_mbv3")
    good = config_of(space.decode(tuple(0 for _ in space.sizes)))
    assert InvertedResidual(24, 3, 3, 2, "relu") == space.sites[2].options[0]

    def change(path: str, value: Any) -> dict[str, Any]:
        changed = json.loads(json.dumps(good))
        *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        inner = changed
        for key in keys:
            inner = inner[key]
        inner[last] = value
        return changed

    for config, message in (
        (change("name", "ResNets"), "a network of 'ResNets'"),
        (change("blocks.3.conv.expand_ratio", 5), "block 3: 72 hidden channels, where expansion 5 makes 120"),
        (change("blocks.3.conv.kernel_size", 9), "has no block k9e3"),
        (change("blocks.3.conv.use_se", False), "block 3 of those that are there is k3e3 to 40"),
        (change("blocks.3.conv.act_func", "tanh"), "block 3: unknown activation 'tanh'"),
        (change("blocks.3.conv.kernel_size", 4), "has no block k4e3"),
        (change("blocks.4.conv", {"name": "ZeroLayer"}), "a layer is skipped"),
        (change("blocks.4.shortcut", None), "block 4 of those that are there is k3e3se to 40, stride 1, relu, in"),
        (change("blocks", good["blocks"][:2]), "1 stages, where ofa_mbv3 has 5"),
        (change("blocks", []), "begin with two blocks"),
        (change("final_expand_layer", None), "it lacks 'final_expand_layer'"),
        (change("first_conv.out_channels", "many"), "first_conv.out_channels must be"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            record_of(config, "here")
        assert "\n" not in str(caught.value)
