"""The drawing of the rooms in CONTRIBUTING is the house: every room is in it, and imports go to what stands above."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.house.test_imports import ROOMS, ROOT, imported_modules

DOCUMENT = ROOT / "CONTRIBUTING.md"


def drawn(text: str) -> list[str]:
    """The rooms of the drawing, `search` or `search/strategies`, from the top to the bottom.

    Each line begins with a room; one that is indented stands inside the last one that is not.
    """
    (block,) = re.findall(r"^## The rooms\n.*?^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rooms: list[str] = []
    for line in block.splitlines():
        found = re.match(r"( *)([a-z_]+)/", line)
        if found:
            outer = next((room for room in reversed(rooms) if "/" not in room), "") if found[1] else ""
            rooms.append(f"{outer}/{found[2]}".lstrip("/"))
    return rooms


def packages() -> set[str]:
    return {str(path.parent.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("__init__.py")}


@cache
def modules() -> dict[str, Path]:
    """Path of every module of the rooms, by its dotted name."""
    found = {}
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def graph() -> dict[str, set[str]]:
    """What every module of the rooms imports of the others, for types too."""
    files = modules()
    edges: dict[str, set[str]] = {}
    for module, path in files.items():
        source = path.read_bytes()
        names = {name for _, name in imported_modules(source, module)}
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        edges[module] = {name for name in names if name in files and name != module}
    return edges


def circles(edges: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Every circle that a depth-first walk closes."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
        elif module not in done:
            for other in sorted(edges[module]):
                yield from walk(other, [*path, module])
            done.add(module)

    for module in edges:
        yield from walk(module, [])


def room_of(path: Path) -> str:
    return str(path.parent.relative_to(ROOT))


def against(order: list[str], edges: Mapping[str, set[str]], files: Mapping[str, Path]) -> list[str]:
    """Imports from one room or inner room to another that stands below it.

    The files of a room that lie beside its inner rooms belong to no inner room: they may import them and be imported.
    """
    rank = {room: number for number, room in enumerate(order)}
    wrong = []
    for module, others in edges.items():
        here = room_of(files[module])
        for other in others:
            there = room_of(files[other])
            beside = here.startswith(f"{there}/") or there.startswith(f"{here}/")
            if here != there and not beside and rank[there] > rank[here]:
                wrong.append(f"{module} imports {other}: {there} is drawn below {here}")
    return wrong


def test_every_room_is_drawn() -> None:
    order = drawn(DOCUMENT.read_text(encoding="utf-8"))
    assert len(order) == len(set(order))
    assert set(order) == packages()


def test_imports_go_to_what_is_drawn_above() -> None:
    files = modules()
    found = against(drawn(DOCUMENT.read_text(encoding="utf-8")), graph(), files)
    assert not found, "\n".join(found)


def test_there_are_no_circles() -> None:
    found = [" -> ".join(circle) for circle in circles(graph())]
    assert not found, "\n".join(found)


def test_what_is_wrong_is_caught() -> None:
    text = "## The rooms\n\n```\nconfig_file/  options\nsearch/  all\n  strategies/  a\n  evaluators/  b\n```\n"
    order = drawn(text)
    assert order == ["config_file", "search", "search/strategies", "search/evaluators"]
    files = {
        "search.strategies.grid": ROOT / "search/strategies/grid.py",
        "search.evaluators.table": ROOT / "search/evaluators/table.py",
        "search.engine": ROOT / "search/engine.py",
    }
    up = {"search.strategies.grid": {"search.evaluators.table"}, "search.evaluators.table": {"search.engine"}}
    assert len(against(order, up, files)) == 1
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == [["a", "b", "c", "a"]]
