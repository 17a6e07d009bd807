"""Architectures in the form of once-for-all and DyNAS-T, and its configurations of networks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config_file.errors import UserError
from supernet import build_space
from supernet.cli import main
from supernet.saved import architecture_of

LARGEST = {"ks": [7] * 20, "e": [6] * 20, "d": [4] * 5}


def described(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    main([*flags, "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("form", "params", "macs"),
    [
        (LARGEST, 7_664_760, 566_170_656),
        ({"ks": 5, "e": 4, "d": 3}, 4_551_792, 250_746_944),
        # once-for-all's tutorials put 0 where there is no layer; it counts for nothing
        ({"ks": [3, 3, 0, 0] * 5, "e": [3, 3, 0, 9] * 5, "d": [2] * 5, "r": 224}, 3_410_792, 121_278_672),
        ({"wid": None, "ks": [3] * 20, "e": [3] * 20, "d": [2] * 5, "r": [224]}, 3_410_792, 121_278_672),
    ],
)
def test_its_form_is_an_architecture(capsys, form: dict[str, Any], params: int, macs: int) -> None:
    found = described(capsys, "--search-space", "ofa_mbv3", "--architecture", json.dumps(form))
    assert (found["params"], found["macs"]) == (params, macs)


def test_the_image_size_is_that_of_the_form(capsys) -> None:
    form = json.dumps(LARGEST | {"r": 160})
    assert described(capsys, "--search-space", "ofa_mbv3", "--architecture", form)["input_shape"] == [3, 160, 160]
    space = build_space("ofa_mbv3", image_sizes="128-224:4")
    architecture = architecture_of(LARGEST | {"r": 160}, space, "here")
    assert space.image(architecture) == (3, 160, 160)


def test_resnet50_has_widths_and_a_stem_that_is_deep_or_not(capsys) -> None:
    form = {"d": [2, 1, 2, 2, 1], "e": [0.25] * 18, "w": [2] * 6}
    found = described(capsys, "--search-space", "ofa_resnet50", "--architecture", json.dumps(form))
    assert (found["macs"], found["params"]) == (4_328_824_832, 25_576_264)
    space = build_space("ofa_resnet50")
    shallow = [architecture_of(form | {"d": [stem, 1, 2, 2, 1]}, space, "here") for stem in (0, 1)]
    assert shallow[0] == shallow[1]


def test_proxyless_s_last_layer_is_its_largest_unless_it_is_said() -> None:
    space = build_space("ofa_proxyless")
    short = architecture_of(LARGEST, space, "here")
    assert short == architecture_of({"ks": [7] * 21, "e": [6] * 21, "d": [4, 4, 4, 4, 4, 1]}, space, "here")
    assert short != architecture_of({"ks": [7] * 20 + [3], "e": 6, "d": 4}, space, "here")


@pytest.mark.parametrize(
    ("space", "change", "message"),
    [
        ("ofa_mbv3", {"e": 5}, "stage1/0/expand is 5, none of 3, 4, 6"),
        ("ofa_mbv3", {"ks": [7]}, "'ks' of ofa_mbv3 is 20 numbers, not 1"),
        ("ofa_mbv3", {"d": [10**400] * 5}, "stage1/depth is 1000"),
        ("ofa_mbv3", {"d": [[4]] * 5}, "stage1/depth is"),
        ("ofa_mbv3", {"r": 160}, "r: 160, but images have 224 pixels"),
        ("ofa_mbv3", {"r": "big"}, "'r' is one size"),
        ("ofa_mbv3", {"w": 2}, "ofa_mbv3 has no 'w'"),
        ("ofa_resnet50", {}, "ofa_resnet50 has no 'ks'"),
        ("proxylessnas", {}, "proxylessnas has no 'ks'"),
    ],
)
def test_what_is_no_subnet_is_refused(space: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        architecture_of(LARGEST | change, build_space(space), "here")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="also needs 'e', 20 numbers"):
        architecture_of({"ks": 7, "d": 4}, build_space("ofa_mbv3"), "here")
