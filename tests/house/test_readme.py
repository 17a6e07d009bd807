"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supernet import build_space

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_bytes().decode()


def test_the_space_of_ones_own_can_be_built(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    path = tmp_path / "tiny.yml"
    path.write_text(example)
    space = build_space(str(path), resolution=64, num_classes=10)
    assert space.name == "tiny"
    assert space.size == 4**7
    assert space.decode((0,) * 7).macs(space.input_shape) > 0


def test_tables_are_whole() -> None:
    """A blank line in a table makes text of the rows after it."""
    for table in re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE):
        rows = table.splitlines()
        assert len(rows) > 2, rows[0]
        assert re.fullmatch(r"\|(---\|)+", rows[1]), rows[0]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", README, re.MULTILINE))))
def test_the_targets_of_make_exist(target: tuple[str, str]) -> None:
    assert re.search(rf"^{''.join(target)}:", (ROOT / "Makefile").read_bytes().decode(), re.MULTILINE)
