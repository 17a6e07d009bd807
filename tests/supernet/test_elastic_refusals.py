"""Rules that say what of a network is elastic, and networks that cannot be a search space."""

from __future__ import annotations

import pytest

from config_file.errors import UserError
from supernet import build_space
from supernet.elastic.rules import parse_rules
from tests.supernet.test_elastic import MOBILENET, OWN, space_of_network

# ---- rules


def test_the_last_rule_that_matches_decides() -> None:
    space = space_of_network(MOBILENET, "*:0.5,depth features.1?:0.25,0.5 features.17.conv:fixed features.18.0:0.75")
    options = {decision.name: decision.options for decision in space.decisions}
    assert options["features.14.conv.0.0/width"] == ("40", "72", "144")
    assert options["features.18.0/width"] == ("960", "1280")
    assert "features.17.conv.0.0/width" not in options
    assert [name for name in options if name.endswith("depth")] == [f"features.{b}/depth" for b in (1, 3, 5, 8)]
    as_yaml = (
        '{"*": ["0.5", "depth"], "features.1?": ["0.25", 0.5], "features.17.conv": "fixed", "features.18.0": 0.75}'
    )
    assert parse_rules(as_yaml) == parse_rules(
        "*:0.5,depth features.1?:0.25,0.5 features.17.conv:fixed features.18.0:0.75"
    )


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("stgae.*:0.5", "'stgae.*' matches no layer of the network; did you mean 'stage"),
        ("fc:0.5", "none whose width can change"),
        ("stem:depth", "none whose depth can change"),
        (
            "stage.*.two:0.5",
            "nothing of it can change; kept: stem.0 (no rule names stem.0, which is tied to the others)",
        ),
        ("stem", "GLOB:CHOICES"),
        ("*:1.5", "shares of the channels above 0 and up to 1"),
        ("*:half", "shares of the channels"),
        ("*:0.5,fixed", "fixed alone"),
        ("*:nan", "shares of the channels"),
        ('{"*": ', "not"),
        ("*:fixed", "nothing of it can change"),
    ],
)
def test_rules_that_say_nothing_are_refused(rules: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        space_of_network(f"{OWN}Chain", rules)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_spaces_have_no_rules() -> None:
    with pytest.raises(UserError, match="--elastic does not apply to proxylessnas"):
        build_space("proxylessnas", elastic="*:0.5")


# ---- what is refused


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{OWN}Deciding", "decides by a value what to run (node gt: gt, own_networks.py line"),
        (f"{OWN}Counting", "cannot be traced after node sum_1: sum, own_networks.py line"),
        (f"{OWN}Rolled", "node roll: roll: an operation that an elastic network does not know"),
        (f"{OWN}Scaled", "node scale: scale: a tensor that is read by itself"),
        (f"{OWN}Again", "node stage_0_norm_1: stage.0.norm: its weights are used a second time"),
        (f"{OWN}Normed", "node norm: norm: GroupNorm is no layer that an elastic network knows"),
        (f"{OWN}Pair", "it gives tuple, not one tensor"),
        (f"{OWN}Map", "it gives (8, 16, 16) per image, not one number per class"),
        (f"{OWN}TwoImages", "must take one image tensor"),
        (f"{OWN}of_three", "it gives 3 outputs, but there are 10 classes"),
        (f"{OWN}no_network", "returned a str, not a torch.nn.Module"),
        (f"{OWN}needs_more", "missing a required argument: 'size'"),
        (f"{OWN}failing", "raised KeyError: 'nothing' ("),
        (f"{OWN}Chian", "has no 'Chian'; did you mean 'Chain'?"),
        ("elastic:nowhere.at_all:network", "no module 'nowhere'"),
        ("elastic:torchvision.models.mobilenet", "did you mean 'mobilenet_v2'?"),
        (
            "elastic:torchvision.models.vit_b_16",
            "node _assert: _assert fails on images of this size: Wrong image height",
        ),
        ("elastic:torchvision.ops.nms", "write elastic:torchvision.models."),
        ("elastic:network", "write elastic:torchvision.models."),
        (f"{MOBILENET},width_mult=inf", "a setting is NAME=NUMBER"),
        ("elastic:torchvision.models.resnet18,weights=DEFAULT", "a setting is NAME=NUMBER"),
        ("elastic:torchvision.models.resnet18,width=2", "unexpected keyword argument 'width'"),
    ],
)
def test_what_is_no_network_of_known_layers_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        space_of_network(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
