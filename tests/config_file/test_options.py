"""Classes of options: composed of what registries hold, and asked what was given, what counts and what decides."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import ClassVar

import pytest

from config_file.errors import UserError
from config_file.fields import option, options_of
from config_file.files import write_sealed
from config_file.loader import load, parse, save
from config_file.options import compose, deciding, in_use, options, part_of, was_given, with_registered
from config_file.plugins import PluginOptions
from config_file.run_folder import RunFolder
from config_file.run_options import RunOptions
from config_file.stages import command
from training.options import RetrainOptions, TrainSupernetOptions


class Plain:
    """An entry without options."""


class Climbing:
    @options("Climbing")
    class Options:
        steps: int = option(3, "to take", at_least=1, decides="training")
        reach: float = option(0.5, "of an arm", group="Body")


class Swimming:
    @options("Swimming")
    class Options:
        strokes: int = option(9, "to take", decides="training search")


SPORTS: dict[str, type] = {"plain": Plain, "climbing": Climbing, "swimming": Swimming}


@options("Sport")
class SportOptions(PluginOptions, RunOptions):
    stage: ClassVar[str] = "search"

    sport: str = option("plain", "one of {names}", names=SPORTS, aliases={"climb": "climbing"}, decides="training")
    style: str | None = option(None, "in words")


def read(*argv: str) -> SportOptions:
    return parse(SportOptions, ["--title", "a", *argv], "sport.py", "")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_class_of_options_is_frozen_checked_and_grouped() -> None:
    made = Climbing.Options()
    assert (made.steps, made.reach) == (3, 0.5)
    assert [spec.group for spec in options_of(Climbing.Options).values()] == ["Climbing", "Body"]
    with pytest.raises(FrozenInstanceError):
        made.steps = 4  # type: ignore[misc]
    with pytest.raises(UserError, match="--steps must be at least 1, not 0"):
        Climbing.Options(steps=0)


def test_entries_bring_their_options() -> None:
    extended = with_registered(SportOptions)
    assert {"steps", "reach", "strokes", "sport", "title"} <= set(options_of(extended))
    assert issubclass(extended, (SportOptions, Climbing.Options))
    assert with_registered(extended) is extended
    assert set(options_of(compose(SPORTS))) == {"steps", "reach", "strokes"}
    assert "steps" in dir(read("--sport", "climbing", "--steps", "7"))
    assert read("--sport", "climb", "--steps", "7").steps == 7  # type: ignore[attr-defined]


def test_a_registry_may_grow_after_the_class_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="unknown option --holes"):
        read("--holes", "18")

    class Golf:
        @options("Golf")
        class Options:
            holes: int = option(9, "to play")

    monkeypatch.setitem(SPORTS, "golf", Golf)
    assert read("--sport", "golf", "--holes", "18").holes == 18  # type: ignore[attr-defined]
    assert options_of(SportOptions)["sport"].text == "one of plain, climbing, swimming, golf"


def test_given_is_what_somebody_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "sport.yml"
    file.write_text("strokes: 9\nstyle: crawl\n")
    asked = read("--config", str(file), "--sport", "plain")
    names = ("sport", "strokes", "style", "title")
    assert all(was_given(asked, name) for name in names)  # a value that is the default counts too
    assert not was_given(asked, "steps")
    assert was_given(replace(asked, style=None), "style")
    made = SportOptions(title="a", style="back")
    assert was_given(made, "style")
    assert not was_given(made, "sport")
    assert asked == replace(asked, title="a")


def test_options_of_what_was_not_chosen_do_not_count() -> None:
    chosen = read("--sport", "climbing")
    assert {"steps", "reach", "sport"} <= set(in_use(chosen))
    assert "strokes" not in in_use(chosen)
    assert deciding(chosen, "training") == {"--random-seed": 42, "--sport": "climbing", "--steps": 3}
    assert deciding(read("--sport", "swimming"), "search") == {"--strokes": 9}
    assert not {"steps", "strokes"} & set(in_use(read()))


def test_a_part_of_options() -> None:
    climbing = read("--sport", "climbing", "--steps", "8")
    assert part_of(climbing, Climbing.Options) is climbing
    assert part_of(SportOptions(title="a"), Climbing.Options) == Climbing.Options()


OWN = """
from config_file.fields import option
from config_file.options import options
from tests.config_file.test_options import SPORTS

class Chess:
    @options("Chess")
    class Options:
        minutes: int = option(5, "a side")

SPORTS["chess"] = Chess
"""


@pytest.fixture
def _chess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_chess.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(SPORTS, "chess", raising=False)
    monkeypatch.delitem(__import__("sys").modules, "own_chess", raising=False)


@pytest.mark.usefixtures("_chess")
def test_a_module_of_ones_own_enters_what_it_has() -> None:
    read("--plugins", "own_chess", "--sport", "chess", "--minutes", "3")
    again = read("--plugins", "own_chess", "--sport", "chess")
    assert again.sport == "chess"
    assert again.minutes == 5  # type: ignore[attr-defined]
    assert command("search", again).endswith("--title a --plugins own_chess")


@pytest.mark.usefixtures("_chess")
def test_what_is_named_by_reference_brings_its_options_too() -> None:
    typed = read("--sport", "own_chess:Chess", "--minutes", "2")
    assert typed.minutes == 2  # type: ignore[attr-defined]


def test_the_next_command_names_code_of_ones_own_again() -> None:
    options = TrainSupernetOptions(title="a", search_space="mine:space", sample_strategy="mine:paths")
    assert command("search", options) == "python search.py --title a --search-space mine:space"
    assert command("supernet", options).endswith("--search-space mine:space --sample-strategy mine:paths")


@pytest.mark.usefixtures("_chess")
@pytest.mark.parametrize("key", ["sport: own_chess:Chess", "plugins: own_chess"])
def test_no_file_decides_which_code_is_run(key: str, tmp_path: Path) -> None:
    file = tmp_path / "received.yml"
    file.write_text(f"{key}\n")
    (tmp_path / "own_chess.py").write_text("from pathlib import Path\nPath('mark').touch()\n" + OWN)
    with pytest.raises(UserError, match=r"no file decides which code is run|belongs on the command line"):
        read("--config", str(file))
    assert not Path("mark").exists()


@pytest.mark.usefixtures("_chess")
def test_nor_does_a_run_that_is_resumed() -> None:
    first = read("--sport", "own_chess:Chess")
    folder = RunFolder.open(first)
    assert load(SportOptions, folder.path / "config.yaml").sport == "own_chess:Chess"  # reading runs nothing
    with pytest.raises(UserError, match="give --sport own_chess:Chess in this command too"):
        read("--resume")
    again = read("--resume", "--sport", "own_chess:Chess")
    assert vars(again) | {"given": None} == vars(replace(first, resume=True)) | {"given": None}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_nothing", "--plugins own_nothing: no module 'own_nothing' here or on the Python path"),
        ("own.py", "--plugins own.py: no module 'own' here"),
        ("../own", "takes names of modules such as my_package.strategies, not '../own'"),
    ],
)
def test_plugins_that_are_none(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read("--plugins", name)
    assert said in str(caught.value)


def test_a_mark_that_names_files_elsewhere_is_not_ours(tmp_path: Path) -> None:
    """`env.json` of a folder that was received: overwriting must not remove what it names outside of the folder."""
    folder = RunFolder.open(SportOptions(title="a"))
    folder.file("best.json").write_text("x")
    outside = tmp_path / "runs" / "a" / "kept.txt"
    outside.write_text("x")
    mark = json.loads((folder.path / "env.json").read_text())
    assert mark["files"] == ["best.json"]
    (folder.path / "env.json").write_text(json.dumps({**mark, "files": ["../kept.txt"]}))
    with pytest.raises(UserError, match=r"env\.json: it does not match its checksum"):
        RunFolder.open(SportOptions(title="a", overwrite=True))
    write_sealed(folder.path / "env.json", {**mark, "files": ["../kept.txt"]})
    with pytest.raises(UserError, match="not of a run that this version reads"):
        RunFolder.open(SportOptions(title="a", overwrite=True))
    assert outside.exists()


def test_a_folder_of_an_older_version_is_refused_in_words() -> None:
    folder = RunFolder.open(SportOptions(title="a"))
    mark = json.loads((folder.path / "env.json").read_text())
    (folder.path / "env.json").write_text(json.dumps({**mark, "format": "oneshot-nas run 1"}))
    with pytest.raises(UserError, match="was run by an older version of this toolkit"):
        RunFolder.open(SportOptions(title="a", overwrite=True))


def test_what_was_asked_for_when_a_run_began_counts_when_it_is_resumed() -> None:
    """Else a network that is retrained wider than it was searched would be another one after an interruption."""

    def retrain(*argv: str) -> RetrainOptions:
        return parse(RetrainOptions, ["--title", "a", *argv], "retrain.py", "")

    RunFolder.open(TrainSupernetOptions(title="a", search_space="spos", widths=(1, 2, 3, 4, 5, 6)))
    first = retrain("--widths", "2", "2", "3", "4", "5", "6", "--epochs", "7")
    assert first.search_space == "spos"
    assert not was_given(first, "search_space")
    RunFolder.open(first)
    again = retrain("--resume")
    assert (again.widths, again.epochs) == (first.widths, 7)
    assert was_given(again, "widths")
    assert was_given(again, "epochs")
    assert not was_given(again, "search_space")  # inherited then, and so now
    assert not was_given(again, "lr")


def test_a_group_whose_name_has_a_hyphen_is_read_back(tmp_path: Path) -> None:
    @options("Semi-final")
    class Final(RunOptions):
        stage: ClassVar[str] = "search"

        semi_final: int = option(3, "of the day")

    save(Final(title="a", semi_final=5), tmp_path / "config.yaml")
    assert load(Final, tmp_path / "config.yaml").semi_final == 5
