"""Building spaces: overrides, small images, YAML files, own code, and one clear line for every mistake."""

from __future__ import annotations

import json
import random

import pytest
import torch

from config_file.errors import UserError
from supernet import SearchSpace, Supernet, build_network_space, build_space
from supernet.composites import InvertedResidual
from supernet.spaces import SETTINGS, SPACES, SpaceDef
from tasks import TASKS
from tests.supernet import own_spaces


def strides(space: SearchSpace) -> int:
    """How much smaller the last feature map is than the image."""
    shapes = space.decode((0,) * len(space.sizes)).shapes(space.input_shape)
    return space.input_shape[1] // shapes["mix"][1][1]


@pytest.mark.parametrize("name", SPACES)
def test_every_shipped_space_is_built_and_rebuilt(name):
    for settings in ({}, {"resolution": 32, "num_classes": 10}, {"resolution": 64, "in_channels": 1}):
        space = build_network_space(name, **settings)
        recipe = json.loads(json.dumps(space.describe()))
        again = build_network_space(**recipe)
        assert again.macro_fingerprint == space.macro_fingerprint
        assert again.input_shape == space.input_shape
        network = space.sample(random.Random(0))
        assert again.decode(network) == space.decode(network)
    assert space.input_shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("name", "large", "small"),
    [("proxylessnas", 32, 8), ("fbnet_l", 32, 8), ("spos", 32, 8), ("mobilenetv2", 32, 16), ("nasbench_macro", 8, 8)],
)
def test_small_images_keep_their_resolution_in_stem_and_first_stage(name, large, small):
    assert strides(build_space(name, resolution=224)) == large
    assert strides(build_space(name, resolution=32)) == small
    assert strides(build_space(name, resolution=64)) == small
    assert strides(build_space(name, resolution=65 + 63)) == large


def test_strides_of_one_s_own_are_taken_as_they_are():
    space = build_space("spos", resolution=32, strides=(2, 1, 2, 2, 2))
    assert strides(space) == 16
    assert build_space(**space.describe()).macro_fingerprint == space.macro_fingerprint


def test_widths_and_depths():
    space = build_space("proxylessnas", widths=(8, 8, 16, 16, 24, 24, 32, 40, 64), depths=(1, 2, 1, 1, 1, 2))
    assert len(space.decisions) == 8
    shapes = space.decode((0,) * 8).shapes(space.input_shape)
    assert [shapes[f"stage{i}/0"][1][0] for i in range(1, 7)] == [16, 16, 24, 24, 32, 40]
    assert (shapes["stem"][1][0], shapes["first"][1][0], shapes["mix"][1][0]) == (8, 8, 64)
    elastic = build_space("mobilenetv2", depths=(1, 1, 2, 1, 1, 1, 1))
    assert elastic.size == 2**7 * 2


def test_classes_and_channels_reach_the_network():
    space = build_space("spos", resolution=16, num_classes=7, in_channels=1, widths=(8, 16, 24, 32, 40, 32))
    net = Supernet(space)
    assert net(torch.randn(2, 1, 16, 16), (0,) * 20).shape == (2, 7)


def test_hyphens_are_as_good_as_underscores():
    assert build_space("nasbench-macro").describe() == build_space("nasbench_macro").describe()
    assert build_space("nasbench-macro").input_shape == (3, 32, 32)


def test_skip_where_the_shape_changes():
    with_convolutions, without = (build_space("proxylessnas", skip=skip) for skip in ("conv", "identity"))
    assert with_convolutions.decisions[0].options[-1] == "skip"
    assert without.decisions[0].options[-1] == "k7e6"
    assert without.decisions[1].options[-1] == "skip"
    assert with_convolutions.decisions_fingerprint != without.decisions_fingerprint


def test_yaml_file(tmp_path):
    path = tmp_path / "pocket.yml"
    path.write_text(own_spaces.YAML_SPACE)
    space = build_space(str(path), resolution=32, num_classes=10)
    assert space.name == "pocket"
    # In the last stage the shape changes, so that a skip is a convolution there.
    assert [decision.options for decision in space.decisions] == [("k3e3se", "e6k5", "k3e4", "skip")] * 5
    assert space.size == 4**5
    path.unlink()  # the recipe holds what the file said
    again = build_space(**json.loads(json.dumps(space.describe())))
    assert again.macro_fingerprint == space.macro_fingerprint
    assert build_space(**space.describe() | {"depths": [1, 1, 1]}).size == 4**3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("candidates: [k3e3, k4e3]", "'k4e3': the kernel must be odd"),
        ("candidates: [k3e3, conv3]", "unknown candidate 'conv3'"),
        ("candidates: [k3e3, e3k3]", "candidates 'k3e3' and 'e3k3' are the same block"),
        ("candidates: [k3e0]", "expansion and groups must be at least 1"),
        ("candidates: []", "at least one"),
        ("candidates: [k3e3, k3e3]", "different names"),
        ("candidates: k3e3", "a list of names"),
        ("candidates: [k3e3g3]", "do not fall into 3 groups"),
        ("stages: []", "at least one stage"),
        ("stages: [{channels: 8, depth: 1}]", "channels: C, depth: N, stride: S"),
        ("stages: [{channels: 8, depth: 0, stride: 1}]", "whole numbers of at least 1"),
        ("stages: [{channels: eight, depth: 1, stride: 1}]", "whole numbers of at least 1"),
        ("stages: 3", "stages must be a list"),
        ("stem: 8.5", "whole numbers of at least 1"),
        ("head: true", "whole numbers of at least 1"),
        ("act: swish", "unknown act 'swish'; did you mean 'hswish'"),
        ("act: [relu]", "unknown act"),
        ("skip: none", "unknown skip 'none'"),
        ("sharing: slices", "unknown sharing 'slices'; did you mean 'sliced'"),
        ("head_bias: maybe", "head_bias must be true or false"),
        ("head_dropout: 1.5", "dropout must be a number of at least 0, below 1"),
        ("head_dropout: high", "dropout must be a number"),
        ("small_images: 3", "small_images must be true or false"),
        ("features: 0", "whole numbers of at least 1"),
        ("stages: [{channels: 8, depth: 1, stride: 1, act: swish}]", "unknown act 'swish'; did you mean 'hswish'"),
        ("stages: [{channels: 8, depth: 1, stride: 1, se: half}]", "se of a stage must be true or false"),
        ("stages: [{channels: 8, depth: 1, stride: 1, candidates: []}]", "at least one"),
        ("stages: [{channels: 8, depth: 1, stride: 1, candidates: [k2e3]}]", "'k2e3': the kernel must be odd"),
        ("stages: [{channels: 8, depth: 1, stride: 1, candidates: k3e3}]", "a list of names"),
        ("stages: [{channels: 8, depth: 1, stride: 1, activation: relu}]", "with act, se and candidates"),
        ("steem: 3", "unknown key 'steem' in a search space; did you mean 'stem'"),
        ("{", "pocket.yml"),
        ("- a list", "pocket.yml"),
    ],
)
def test_mistakes_in_a_yaml_file(tmp_path, change, message):
    path = tmp_path / "pocket.yml"
    key = change.split(":")[0]
    lines = own_spaces.YAML_SPACE.splitlines()
    kept = [line for line in lines if not line.startswith(f"{key}:") and not (key == "stages" and "channels" in line)]
    path.write_text("\n".join([*kept, change]))
    with pytest.raises(UserError, match=message) as caught:
        build_space(str(path), resolution=32)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("content", ["", "3", "[1]", "name: x", "\x00", "a: &a [*a]", "!!python/object:os.system {}"])
def test_files_that_are_no_space(tmp_path, content):
    path = tmp_path / "odd.yml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        build_space(str(path))
    assert "odd.yml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"search_space": "proxylesnas"}, "unknown search space 'proxylesnas'; did you mean 'proxylessnas'"),
        ({"search_space": "nowhere.yml"}, "nowhere.yml: no such file"),
        ({"search_space": "no.module:space"}, "no module 'no'"),
        ({"search_space": "json:dumps"}, "json:dumps must take resolution, num_classes and in_channels"),
        ({"search_space": "tests.supernet.own_spaces:failing"}, r"raised KeyError: 'stem' \(.*own_spaces\.py, line "),
        ({"search_space": "collections:Counter"}, "returned a Counter, not a supernet.SearchSpace"),
        ({"search_space": "tests.supernet.own_spaces:elastic", "widths": (1,)}, "--widths does not apply"),
        ({"search_space": "spos", "resolution": 0}, "at least 1"),
        ({"search_space": "spos", "num_classes": 0}, "at least 1"),
        (
            {"search_space": "spos", "widths": (16, 64)},
            "widths of spos: stem, 4 stages, head; that is 6 numbers, not 2",
        ),
        ({"search_space": "proxylessnas", "widths": (16,) * 8}, "stem, first, 6 stages, head; that is 9 numbers"),
        ({"search_space": "spos", "depths": (4, 4)}, "depths of spos: one per stage"),
        ({"search_space": "spos", "strides": (4, 4)}, "strides of spos: stem, then one per stage"),
        ({"search_space": "spos", "depths": (4, 4, 0, 4)}, "at least 1"),
        ({"search_space": "spos", "widths": (16, 65, 160, 320, 640, 1024)}, "65 is an odd number"),
        ({"search_space": "spos", "widths": (64, 32, 160, 320, 640, 1024)}, "cannot follow 64 channels"),
        ({"search_space": "fbnet", "widths": (17, 16, 24, 32, 64, 112, 184, 352, 1984)}, "into 2 groups"),
        ({"search_space": "fbnet", "skip": "pool"}, "unknown skip 'pool'"),
        ({"search_space": "mobilenetv2", "skip": "conv"}, "--skip does not apply"),
        ({"search_space": "spos", "skip": "identity"}, "--skip does not apply to spos"),
        ({"search_space": "mobilenetv2", "widths": (32,) * 16}, "a narrow and a wider width"),
        ({"search_space": "mobilenetv2", "widths": (32,) * 9}, "7 pairs"),
        ({"search_space": "mobilenetv2", "depths": (4,) * 6}, "depths of mobilenetv2: 7 numbers"),
        ({"search_space": "mobilenetv2", "strides": (4,) * 7}, "strides of mobilenetv2"),
    ],
)
def test_mistakes_in_the_settings(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        build_space(**arguments)
    assert "\n" not in str(caught.value)


def test_own_code_is_told_the_images_and_is_rebuilt():
    space = build_space("tests.supernet.own_spaces:branches", resolution=16, num_classes=3, in_channels=1)
    assert space.input_shape == (1, 16, 16)
    again = build_space(**json.loads(json.dumps(space.describe())))
    assert again.macro_fingerprint == space.macro_fingerprint


def test_a_stage_may_differ_from_its_table(tmp_path):
    path = tmp_path / "own.yml"
    path.write_text(
        "name: own\nstem: 8\nhead: 16\ncandidates: [k3e3, skip]\nstages:\n"
        "  - {channels: 8, depth: 2, stride: 1}\n"
        "  - {channels: 16, depth: 1, stride: 2, act: hswish, se: true, candidates: [k5e2.5, k3e1]}\n"
    )
    space = build_space(str(path), resolution=96, num_classes=4)
    assert [decision.options for decision in space.decisions] == [("k3e3", "skip")] * 2 + [("k5e2.5", "k3e1")]
    wide, narrow = next(site.options for site in space.sites if site.name == "stage2/0")
    assert wide == InvertedResidual(16, 5, 2.5, 2, act="hswish", se=True)
    assert narrow == InvertedResidual(16, 3, 1, 2, act="hswish", se=True)
    assert wide.label == "k5e2.5se"
    assert InvertedResidual(8, 3, 3) in space.sites[1].options
    again = build_space(**json.loads(json.dumps(space.describe())))
    assert again.macro_fingerprint == space.macro_fingerprint
    wider = build_space(**space.describe() | {"widths": [8, 8, 24, 16]})
    assert wider.decisions_fingerprint == space.decisions_fingerprint != wider.macro_fingerprint


def test_definitions_of_shipped_spaces():
    for name, definition in SPACES.items():
        assert definition.task in TASKS
        assert build_network_space(name).input_shape[1] == definition.resolution
        has = f"--{definition.settings[0].replace('_', '-')}" if definition.settings else "none of these settings"
        for setting in SETTINGS:
            if setting not in definition.settings:
                flag = f"--{setting.replace('_', '-')}"
                with pytest.raises(UserError, match=f"{flag} does not apply to {name}: it has {has}"):
                    build_network_space(name, **{setting: "conv" if setting == "skip" else (1,)})


@pytest.mark.parametrize("error", [KeyError("width"), ValueError("odd"), ZeroDivisionError()])
def test_an_exception_of_an_entered_builder_is_said_in_one_line(monkeypatch, error):
    def build(resolution, num_classes, in_channels):
        raise error

    monkeypatch.setitem(SPACES, "mine", SpaceDef(build))
    with pytest.raises(UserError, match=f":mine' raised {type(error).__name__}") as caught:
        build_space("mine")
    assert "\n" not in str(caught.value)
    assert "test_build_space.py, line" in str(caught.value)
    monkeypatch.setitem(SPACES, "mine", SpaceDef(lambda resolution, num_classes, in_channels: None))
    with pytest.raises(UserError, match="returned a NoneType, not a supernet"):
        build_space("mine")
