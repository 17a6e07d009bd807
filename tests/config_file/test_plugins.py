"""The user's own code by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from config_file.errors import UserError
from config_file.plugins import guarded, is_reference, load_object


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's in the current folder."""
    (tmp_path / "my_nas_plugin.py").write_text(
        "answer = 42\ndef my_loss(logits, labels): return 0\nclass Box:\n    @staticmethod\n    def make(): return 7\n"
    )
    (tmp_path / "my_broken_plugin.py").write_text("def f(:\n")
    (tmp_path / "my_needy_plugin.py").write_text("import no_such_package_at_all\n")
    (tmp_path / "my_failing_plugin.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in list(sys.modules):
        if name.startswith("my_"):
            monkeypatch.delitem(sys.modules, name)
    return tmp_path


def test_found_in_the_current_folder(mine: Path) -> None:
    assert load_object("my_nas_plugin:my_loss")(None, None) == 0
    assert load_object("my_nas_plugin:Box.make")() == 7
    assert load_object("pathlib:Path") is Path


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("my_nas_plugin", "not of the form package.module:callable"),
        ("a b:c", "not of the form"),
        ("my_nas_plugin:my_los", "has no 'my_los'; did you mean 'my_loss'"),
        ("my_nas_plugin:answer", "is a int, not something to call"),
        ("my_absent_plugin:f", "no module 'my_absent_plugin'"),
        ("os.absent:f", "no module 'os.absent'"),
        ("my_needy_plugin:f", "needs 'no_such_package_at_all', which is not installed"),
        ("my_broken_plugin:f", "invalid syntax.*line 1"),
    ],
)
def test_mistakes_are_one_line(mine: Path, reference: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_object(reference)
    assert "\n" not in str(caught.value)


def test_an_exception_of_the_users_module_says_where_it_arose(mine: Path) -> None:
    message = r"'my_failing_plugin:f' raised ZeroDivisionError: division by zero \(.*my_failing_plugin\.py, line 1\)"
    with pytest.raises(UserError, match=message) as caught:
        load_object("my_failing_plugin:f")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_so_does_one_of_the_users_callable(mine: Path) -> None:
    (mine / "my_calling_plugin.py").write_text(
        "import json\ndef deep(text):\n    return json.loads(text)\ndef f(text):\n    return deep(text)\n"
    )
    call_own = guarded("my_calling_plugin:f", load_object("my_calling_plugin:f"))
    assert call_own("[1]") == [1]
    with pytest.raises(UserError, match=r"raised JSONDecodeError: .*my_calling_plugin\.py, line 3\)") as caught:
        call_own("[1")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"raised TypeError: .*missing 1 required positional argument"):
        call_own()
    with pytest.raises(KeyboardInterrupt):
        guarded("my_calling_plugin:f", interrupted)()


def interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("text", "expected"), [("a.b:c", True), ("a:b.c", True), ("a", False), ("C:/x.yml", False), ("a:b c", False)]
)
def test_is_reference(text: str, expected: bool) -> None:
    assert is_reference(text) is expected


def test_an_exception_of_a_module_that_is_built_in_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^'builtins:dict' raised TypeError: 'int' object is not iterable$"):
        guarded("builtins:dict", load_object("builtins:dict"))(1)
