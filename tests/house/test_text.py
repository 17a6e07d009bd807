"""What must not stand in a tracked file, and what the documents point at."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Character classes keep this file from finding itself.
MACHINE_PATH = re.compile(r"(?<![\w.])/(wor[k]|far[m]|roo[t]|home/\w+|Users/\w+)(?=/)|\b[C]:\\\\?Users")
PACKAGE_HOST = re.compile(
    r"--(extra-)?index-ur[l]|--find-link[s]|pypi\.or[g]|pythonhosted\.or[g]|download\.pytorch\.or[g]/whl"
)
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b")
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"^(```|~~~).*?^\1\s*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
VAGUE_NAMES = {"util", "utils", "common", "helper", "helpers", "misc"}
# Longer is a sign of a second idea.
MOST_LINES = 350


@cache
def _tracked() -> tuple[Path, ...]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("needs a git checkout: the tracked files are what is checked")
    return tuple(path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file())


def _texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    for path in _tracked():
        if suffixes and path.suffix not in suffixes:
            continue
        content = path.read_bytes()
        if b"\0" not in content[:8000]:
            yield path.relative_to(ROOT), content.decode()


def _matches(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in _texts(*suffixes)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, PACKAGE_HOST, UNFINISHED], ids=["path", "host", "unfinished"])
def test_text_is_nowhere(pattern: re.Pattern[str]) -> None:
    found = _matches(pattern)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["cd /wor" + "k/main", "at /roo" + "t/x", "(/hom" + "e/you/data)"])
def test_a_machine_path_is_caught(text: str) -> None:
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["and/or/work" + "/it", "runs/home/x", "the root / of it"])
def test_other_slashes_are_not(text: str) -> None:
    assert not MACHINE_PATH.search(text)


def unsafe_calls(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, what) for calls that can run code hidden in data."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(value=ast.Name(id="builtins"), attr="eval" | "exec" as name)):
                yield node.lineno, name
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="yaml"), attr="load" | "unsafe_load" | "full_load" as name)
            ):
                yield node.lineno, f"yaml.{name}"
            case ast.Import(names=names) if any(alias.name == "pickle" for alias in names):
                yield node.lineno, "pickle"
            case ast.ImportFrom(module="pickle"):
                yield node.lineno, "pickle"
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                yield node.value.lineno, "allow_pickle"
            case ast.keyword(arg="weights_only", value=ast.Constant(value=False)):
                yield node.value.lineno, "weights_only"


def test_no_data_is_executed() -> None:
    found = [f"{path}:{line}: {what}" for path, text in _texts(".py") for line, what in unsafe_calls(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "x = ev" + "al('1')",
        "exe" + "c('1')",
        "yaml.load(f, Loader=yaml.Loader)",
        "np.load(p, allow_pickle=True)",
        "torch.load(p, weights_only=False)",
        "import pickle",
        "from pickle import loads",
    ],
)
def test_an_unsafe_call_is_caught(source: str) -> None:
    assert len(list(unsafe_calls(source))) == 1


def test_safe_calls_are_not() -> None:
    assert list(unsafe_calls("model.eval()\nyaml.safe_load(f)\ntorch.load(p, weights_only=True)\nnp.load(p)")) == []


def test_files_hold_one_idea_and_are_named_after_it() -> None:
    vague = [str(path) for path, _ in _texts(".py") if path.stem in VAGUE_NAMES]
    lengths = {path: len(text.splitlines()) for path, text in _texts(".py")}
    long = [f"{path}: {n} lines" for path, n in lengths.items() if n > MOST_LINES]
    assert not vague + long, "\n".join(vague + long)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _anchors(markdown: str) -> set[str]:
    return {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)}


def test_links_of_the_documents_resolve() -> None:
    broken = []
    for path, text in _texts(".md"):
        for target in LINK.findall(CODE.sub("", text)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            file_path = (ROOT / path).parent / file if file else ROOT / path
            if not file_path.exists() or (anchor and anchor not in _anchors(file_path.read_bytes().decode())):
                broken.append(f"{path}: {target}")
    assert not broken, "\n".join(broken)


QUESTION = ("What", "Who", "How", "Whether", "Which", "Why", "Where", "When")


def riddles(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, first word) of every docstring that begins with a question instead of a noun or a verb."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = (ast.get_docstring(node) or "").split()
            if words and words[0].rstrip(",:") in QUESTION:
                yield getattr(node, "lineno", 1), words[0]


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    texts = [(path, text) for path, text in _texts(".py") if path.parts[0] != "tests"]
    found = [f"{path}:{line}: {word} ..." for path, text in texts for line, word in riddles(text)]
    assert not found, "\n".join(found)


def test_a_riddle_is_caught() -> None:
    assert list(riddles('def f():\n    """Whether it is."""')) == [(1, "Whether")]
    assert list(riddles('"""True if it is what it was."""')) == []
