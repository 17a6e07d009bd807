"""A file never decides which code is run: every command meets files that name code which would leave a mark."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import search.predictor.cli
import search.rank
import search.report
import search.tabular.cli
import search.verdict
import search.zero_cost
import supernet.cli
from config_file.errors import UserError
from config_file.fields import options_of
from config_file.options import with_registered
from config_file.stages import STAGES, options_of_stage
from deployment.cli import main as export
from lookup_tables.cli import COMMANDS as TABLE_COMMANDS
from lookup_tables.cli import main as tables
from search.cli import main as search_main
from tests.fuzz.conftest import World
from tests.fuzz.resealed import json_resealed, tensors_resealed
from tests.fuzz.world import TITLE
from training.cli import main_retrain, main_train_supernet

ROOT = Path(__file__).resolve().parents[2]
MARK = Path("mark")
CODE = "open('mark', 'w').close()\n\n\ndef leave_a_mark(*arguments, **settings):\n    open('mark', 'w').close()\n"
NAMES = ("notes:leave_a_mark", "runs.one.search.notes:leave_a_mark")

PLAN = [*TITLE, "--plan"]
PLACE = ["--search-space", "micro.yml", "--resolution", "16", "--num-classes", "10"]
MAINS: dict[str, Callable[[Sequence[str]], Any]] = {
    "train_supernet.py": main_train_supernet,
    "search.py": search_main,
    "retrain.py": main_retrain,
    "export.py": export,
    "supernet": supernet.cli.main,
    "lookup_tables": tables,
    "search.predictor": search.predictor.cli.main,
    "search.rank": search.rank.main,
    "search.report": search.report.main,
    "search.verdict": search.verdict.main,
    "search.tabular": search.tabular.cli.main,
    "search.zero_cost": search.zero_cost.main,
}
RUN = Path("runs/one")
OF_SUPERNET = [
    ("search.py", [*PLAN, "--overwrite"]),
    ("search.py", [*TITLE, "--resume"]),
    ("retrain.py", [*PLAN, "--overwrite", "--initial-weights", "supernet"]),
    ("search.rank", [*PLAN, "--truth", "truth.csv"]),
]
OF_SEARCH = [
    ("search.report", [str(RUN)]),
    ("search.report", [str(RUN / "search"), str(RUN), "--output", "both.html"]),
    ("search.verdict", PLAN),
    ("search.predictor", ["train", "--search", str(RUN)]),
    ("retrain.py", [*PLAN, "--overwrite"]),
    ("retrain.py", ["--title", "two", "--plan", "--architecture", str(RUN / "search/best.json")]),
    ("supernet", ["--architecture", str(RUN / "search/best.json")]),
    ("supernet", ["--architecture", str(RUN / "search")]),
]
OF_CONFIG = [
    ("train_supernet.py", [*TITLE, "--resume"]),
    ("search.py", [*TITLE, "--resume"]),
    ("search.py", [*PLAN, "--overwrite"]),
    ("retrain.py", [*TITLE, "--resume"]),
    ("retrain.py", [*PLAN, "--overwrite"]),
    ("export.py", [*PLAN]),
    ("search.rank", [*PLAN, "--truth", "truth.csv"]),
    ("search.report", [str(RUN)]),
    ("search.verdict", PLAN),
]


def in_json(path: str, *place: str) -> Callable[[str], None]:
    """Write a name at a place of a JSON file, whose checksum is made right."""

    def poison(name: str) -> None:
        content = json.loads(Path(path).read_text())
        inner = content
        for key in place[:-1]:
            inner = inner.setdefault(key, {})
        inner[place[-1]] = name
        Path(path).write_bytes(json_resealed(json.dumps(content).encode()))

    return poison


def in_pickle(name: str) -> None:
    """Write a pickle that calls: a program, for whoever unpickles it."""
    module, _, function = name.partition(":")
    Path("evil.p").write_text(f"c{module}\n{function}\n(tR.")


def in_yaml(path: str, option: str) -> Callable[[str], None]:
    def poison(name: str) -> None:
        content = yaml.safe_load(Path(path).read_text())
        for group in content.values():
            if isinstance(group, dict):
                group.pop(option, None)
        head = Path(path).read_text().splitlines()[0]
        Path(path).write_text(f"{head}\n{yaml.safe_dump({option: name, **content})}")

    return poison


def in_every_config(option: str) -> Callable[[str], None]:
    def poison(name: str) -> None:
        for stage in STAGES:
            if (RUN / stage / "config.yaml").is_file() and option in options_of(options_of_stage(stage)):
                in_yaml(str(RUN / stage / "config.yaml"), option)(name)

    return poison


def in_network(key: str) -> Callable[[str], None]:
    def poison(name: str) -> None:
        path = RUN / "retrain/model.safetensors"
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        about = header["__metadata__"]
        about[key] = json.dumps(name) if key != "spec" else about[key].replace('"Conv"', json.dumps(name))
        text = json.dumps(header).encode()
        path.write_bytes(tensors_resealed(len(text).to_bytes(8, "little") + text + content[8 + length :]))

    return poison


def in_space(key: str) -> Callable[[str], None]:
    def poison(name: str) -> None:
        content = yaml.safe_load(Path("micro.yml").read_text())
        content[key] = [name] if key == "candidates" else name
        Path("micro.yml").write_text(yaml.safe_dump(content))

    return poison


def network_of_an_architecture(name: str) -> None:
    Path("names.json").write_text(json.dumps({"names": ["skip"], "space_options": {"search_space": name}}))


SPACE = ("space_options", "search_space")
TABLE = [
    ("lookup_tables", ["show", "flops.json"]),
    ("search.py", [*PLAN, "--overwrite", "--lookup-table", "phone=flops.json"]),
]
KIT = [("lookup_tables", ["import", "--format", "kit", "--file", "kit", "--output", "t.json"])]
STAGE_OF = {stage.script: name for name, stage in STAGES.items()}
ENTRIES = {
    stage: [name for name, spec in options_of(with_registered(options_of_stage(stage))).items() if spec.entries]
    for stage in STAGES
}
"""Per stage the options whose value can be code of the user's own."""


def reading(option: str) -> list[tuple[str, list[str]]]:
    """The commands that a saved option reaches."""
    everywhere = option in ("search_space", "dataset", "plugins")
    return [
        (command, words)
        for command, words in OF_CONFIG
        if (option in ENTRIES[STAGE_OF[command]] if command in STAGE_OF else everywhere)
    ]


POISONS: dict[str, tuple[Callable[[str], None], list[tuple[str, list[str]]]]] = {
    "best.json, its space": (in_json("runs/one/search/best.json", *SPACE), OF_SEARCH),
    "best.json, its strategy": (in_json("runs/one/search/best.json", "search", "strategy"), OF_SEARCH[:1]),
    "best.json, its evaluator": (in_json("runs/one/search/best.json", "search", "evaluator"), OF_SEARCH[:1]),
    "best.json, its task": (in_json("runs/one/search/best.json", "task"), OF_SEARCH),
    "supernet.json, its space": (in_json("runs/one/supernet/supernet.json", *SPACE), OF_SUPERNET),
    "supernet.json, its task": (in_json("runs/one/supernet/supernet.json", "task"), OF_SUPERNET),
    "supernet.json, its data": (in_json("runs/one/supernet/supernet.json", "dataset"), OF_SUPERNET[:1]),
    "lookup table, its space": (in_json("flops.json", *SPACE), TABLE),
    "lookup table, its metric": (in_json("flops.json", "metric"), TABLE),
    "kit, its space": (in_json("kit/kit.json", *SPACE), KIT),
    "predictor, its space": (
        in_json("predictor.json", *SPACE),
        [
            ("search.predictor", [word, "--predictor", "predictor.json", *more])
            for word, more in (("best", ["--predictions", "10"]), ("predict", ["--architecture", "0 1 2"]))
        ],
    ),
    "learnt parameters, their space": (
        in_json("learnt/architecture.json", *SPACE),
        [("retrain.py", ["--title", "two", "--plan", "--architecture", "learnt/architecture.json"])],
    ),
    "an architecture, its space": (
        network_of_an_architecture,
        [
            ("retrain.py", ["--title", "two", "--plan", "--architecture", "names.json"]),
            ("supernet", ["--architecture", "names.json"]),
        ],
    ),
    "result.json, its space": (
        in_json("runs/one/retrain/result.json", *SPACE),
        [("supernet", ["--architecture", "runs/one/retrain/result.json"])],
    ),
    "public file of a benchmark": (
        in_pickle,
        [("search.tabular", ["convert", "--benchmark", "nasbench101", "--file", "evil.p", "--output", "none.npz"])],
    ),
    "env.json": (in_json("runs/one/search/env.json", "stage"), [("search.py", [*TITLE, "--resume"])]),
    **{
        f"options, {entry}": (in_every_config(entry), reading(entry))
        for entry in sorted({"plugins", *(name for names in ENTRIES.values() for name in names)})
    },
    **{
        f"--config, {entry}": (
            in_yaml("runs/one/supernet/config.yaml", entry),
            [("train_supernet.py", ["--title", "two", "--plan", "--config", "runs/one/supernet/config.yaml"])],
        )
        for entry in (*ENTRIES["supernet"], "plugins")
    },
    **{
        f"network, {key}": (in_network(key), [("export.py", PLAN), ("export.py", TITLE)])
        for key in ("task", "dataset", "spec", "search_space")
    },
    **{
        f"space of YAML, {key}": (
            in_space(key),
            [
                ("train_supernet.py", ["--title", "two", "--plan", *PLACE[:4]]),
                ("supernet", ["--search-space", "micro.yml"]),
                ("search.zero_cost", ["--title", "two", "--plan", *PLACE[:4], "--dataset", "digits"]),
                ("lookup_tables", ["build", *PLACE, "--output", "t.json"]),
                ("lookup_tables", ["kit", *PLACE, "--output", "k"]),
                ("lookup_tables", ["fit", *PLACE, "--measurements", "measured.csv", "--output", "t.json"]),
                ("lookup_tables", ["import", *PLACE, "--format", "osnaslib", "--file", "osnaslib.json"]),
            ],
        )
        for key in ("candidates", "act", "sharing", "skip")
    },
}
# Fields that are for people, or whose registry has no such name: the command may do without them.
MAY_PASS = (
    "best.json, its strategy", "best.json, its evaluator", "best.json, its task", "supernet.json, its data",
    "lookup table, its space", "network, dataset", "network, search_space",
)  # fmt: skip


@pytest.fixture
def here(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the world as the current folder, with the code in it."""
    shutil.copytree(world[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    for place in (Path("notes.py"), RUN / "search" / "notes.py"):
        place.write_text(CODE)
    return tmp_path


@pytest.mark.parametrize("what", POISONS)
def test_no_command_runs_what_a_file_names(what: str, here: Path) -> None:
    poison, commands = POISONS[what]
    for name in (*NAMES, f"elastic:{NAMES[0]}") if "space" in what else NAMES:
        poison(name)
        for command, words in commands:
            with contextlib.suppress(UserError):
                MAINS[command](words)
                # Options of a stage that no later one inherits do not reach it.
                assert what.startswith("options, ") or what in MAY_PASS, f"{command} accepted {what}"
            assert not MARK.exists(), f"{command} {' '.join(words)} ran {name}"


def test_what_is_typed_is_followed(here: Path) -> None:
    """The marks would be left: the same name in the command is the user's own word."""
    in_json("runs/one/search/best.json", *SPACE)(NAMES[0])
    with pytest.raises(UserError, match="returned a NoneType"):
        MAINS["supernet"](["--architecture", str(RUN / "search/best.json"), "--search-space", NAMES[0]])
    assert MARK.exists()


def test_every_command_is_tried() -> None:
    tried = {command for _, commands in POISONS.values() for command, _ in commands}
    assert tried == set(MAINS)
    assert {w[0] for _, commands in POISONS.values() for c, w in commands if c == "lookup_tables"} == set(
        TABLE_COMMANDS
    )
    modules = {
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__main__")
        for room in ("config_file", "tasks", "supernet", "deployment", "lookup_tables", "training", "search")
        for path in (ROOT / room).rglob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    reads_nothing = {"training.data.synthetic_landmarks"}
    assert modules - reads_nothing <= set(MAINS), modules
