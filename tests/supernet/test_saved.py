"""Spaces and architectures read back from files: trust, fingerprints, and every form in which one is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from config_file.errors import UserError
from supernet import build_space
from supernet.saved import architecture_of, named_space, space_of, space_or_none
from supernet.space import SearchSpace
from supernet.spaces.options import SpaceOptions
from supernet.written import read_architecture
from tests.supernet import own_spaces

OWN = "tests.supernet.own_spaces:branches"


def record(space: SearchSpace) -> dict[str, object]:
    """A file's content, as JSON gives it back."""
    content = {"space_options": space.describe(), "macro_fingerprint": space.macro_fingerprint}
    return json.loads(json.dumps(content | {"decisions_fingerprint": space.decisions_fingerprint}))


@pytest.mark.parametrize("name", ["spos", "pfld", OWN])
def test_a_space_is_rebuilt(name):
    space = build_space(name, resolution=32, num_classes=4)
    again = space_of(record(space), "file", name)
    assert again.macro_fingerprint == space.macro_fingerprint
    other = space_of(record(space), "file", name, num_classes=7)
    assert other.macro_fingerprint != space.macro_fingerprint
    assert other.decisions_fingerprint == space.decisions_fingerprint


def test_code_is_run_only_if_the_command_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.chdir(tmp_path)
    content = {"space_options": {"search_space": "evil:space"}}
    for trusted in (None, "spos", "evil:other", OWN):
        with pytest.raises(
            UserError, match=r"best.json: evil:space is code of your own .* give --search-space evil:space"
        ):
            space_of(content, "best.json", trusted)
        assert space_or_none(content, "best.json", trusted) is None
    assert "evil" not in sys.modules


def test_the_space_that_options_name():
    options = SpaceOptions(search_space="spos", depths=(1, 1, 1, 1))
    space = named_space(options, resolution=32, num_classes=3, in_channels=1)
    assert (space.size, space.input_shape) == (4**4, (1, 32, 32))
    assert space.describe()["num_classes"] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "its 'space_options' are not those of a search space"),
        ({"space_options": []}, "its 'space_options' are not those of a search space"),
        ({"space_options": {"width": 3}}, "its 'space_options' are not those of a search space"),
        ({"space_options": {"search_space": None}}, "its 'space_options' are not those of a search space"),
        ({"space_options": {"search_space": "spos", "resolution": "32"}}, "not those of a search space"),
        ({"space_options": {"search_space": ["spos"]}}, "its 'space_options' are not those of a search space"),
        ({"space_options": {"search_space": "sops"}}, "did you mean 'spos'"),
        ({"space_options": {"search_space": "spos"}, "macro_fingerprint": "0"}, "declared differently"),
    ],
)
def test_files_that_say_no_space(content, message):
    with pytest.raises(UserError, match=message) as caught:
        space_of(content, "file")
    assert "\n" not in str(caught.value)


def test_the_forms_of_an_architecture(tmp_path: Path):
    space = own_spaces.branches()
    expected = (1, 2, 0)
    named = ["left", "maxpool", "conv1"]
    path = tmp_path / "a.json"
    for content in ([1, 2, 0], named, ["left", 2, "conv1"], {"architecture": [1, 2, 0]}, {"names": named}):
        path.write_text(json.dumps(content))
        for text in (str(path), json.dumps(content)):
            assert architecture_of(read_architecture(text), space, "here") == expected
    drawn = [architecture_of(read_architecture(" random "), space, "here", seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    other = {"architecture": [1, 2, 0], "decisions_fingerprint": "0"}
    with pytest.raises(UserError, match="here: it is of another space than branches"):
        architecture_of(other, space, "here")
