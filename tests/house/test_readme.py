"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from config_file.loader import parse
from config_file.stages import STAGES, options_of_stage
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


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as they are made of them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in headings(path), f"{page.name}: {target}"


def test_the_presets_that_are_named_exist() -> None:
    named = set(re.findall(r"config_file/[\w/]+\.yml", README))
    assert len(named) >= 3
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_every_page_is_in_the_index() -> None:
    index = README[README.index("## Where to go next") :]
    assert [path.name for path in sorted((ROOT / "docs").glob("*.md")) if f"(docs/{path.name})" not in index] == []


SCRIPTS = {stage.script: name for name, stage in STAGES.items()}
COMMAND = re.compile(rf"^python ({'|'.join(map(re.escape, SCRIPTS))}) (.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_are_taken(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every flag of a command exists, and is read by the run that it asks for."""
    (tmp_path / "config_file").symlink_to(ROOT / "config_file")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for script, rest in COMMAND.findall("".join(blocks).replace("\\\n", " ")):
        words = shlex.split(rest, comments=True)
        own = any(word.partition(".")[0].startswith("my_") for word in words)
        if not own and not any(re.fullmatch(r"[A-Z]{4,}|.*[\[\]].*|\.\.\.", word) for word in words):
            parse(options_of_stage(SCRIPTS[script]), words, script, "")
