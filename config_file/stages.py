"""The stages of a run: where each one lies, what it leaves behind, and which command makes it."""

import importlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.plugins import is_reference
from config_file.ranks import launcher


@dataclass(frozen=True)
class Stage:
    """One stage: the script that runs it, the last file it writes, and the stages it builds upon.

    The last file shows that the stage has finished: where it is, the others are there and whole, unless somebody has
    removed one; `beside` are those that later stages cannot do without, which --resume then writes again.

    `options` is where its options class is, ``module:name``: a room that is not imported until an error needs it.
    """

    script: str
    result: str
    previous: tuple[str, ...]
    options: str
    beside: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All that must be there, the last one last."""
        return (*self.beside, self.result)


STAGES: dict[str, Stage] = {
    "supernet": Stage(
        "train_supernet.py",
        "supernet.json",
        (),
        "training.options:TrainSupernetOptions",
        beside=("supernet.safetensors",),
    ),
    "search": Stage("search.py", "best.json", ("supernet",), "search.options:SearchOptions"),
    "retrain": Stage("retrain.py", "model.safetensors", ("search", "supernet"), "training.options:RetrainOptions"),
    "verdict": Stage(
        "-m search.verdict", "verdict.json", ("search", "supernet"), "search.comparison.options:VerdictOptions"
    ),
    "rank": Stage("-m search.rank", "rank.json", ("supernet",), "search.ranking.options:RankOptions"),
    "zero_cost": Stage("-m search.zero_cost", "scores.csv", (), "search.ranking.untrained:UntrainedOptions"),
    "export": Stage("export.py", "model.onnx", ("retrain",), "deployment.options:ExportOptions"),
}


def options_of_stage(stage: str) -> type:
    """The options class of a stage, from the room that has it."""
    module, _, name = STAGES[stage].options.partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def stage_path(options: Any, stage: str | None = None) -> Path:
    """The folder of a stage: of the options' own one (``--output`` if given), or of another stage of the same title.

    For another stage an option of its name is an explicit path (``--supernet FOLDER``); it may be the stage's folder,
    the run's folder that holds it, or the result file inside it.

    Raises:
        UserError: there is neither a title nor an explicit path.
    """
    own = options.stage
    explicit = options.output if stage in (None, own) else getattr(options, stage, None)
    if explicit is not None:
        path = Path(explicit).expanduser()
        if stage not in (None, own):
            if path.is_file():
                return path.parent
            if (path / str(stage)).is_dir():
                return path / str(stage)
        return path
    if options.title is None:
        raise UserError(f"--title NAME or --{stage} FOLDER is needed to find the {stage} stage")
    return Path(options.root_path).expanduser() / options.title / (stage or own)


def find_stage(options: Any, stage: str) -> Path:
    """The folder of a finished stage that ``options`` builds upon.

    Raises:
        UserError: there is no such folder, or its stage has not finished; the message says which command makes it.
    """
    path = stage_path(options, stage)
    missing = [name for name in STAGES[stage].files if not (path / name).is_file()]
    if not missing:
        return path
    given = getattr(options, stage, None)
    if given is not None and Path(given).expanduser().is_file():
        raise UserError(
            f"no {stage} stage at --{stage} {given}, a file that is neither of a stage nor its folder "
            f"({STAGES[stage].script} makes one)"
        )
    make = command(stage, options)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, not the folder of a {stage} stage; make one with: {make}")
    if (path / "config.yaml").is_file():
        raise UserError(f"{path} has no {missing[-1]}: it has not finished; continue it with: {make} --resume")
    raise UserError(f"no {stage} stage at {path}; make it with: {make}")


def command(stage: str, options: Any) -> str:
    """The command line that runs ``stage`` for the same run, to print as a next step.

    Folders that were given by a path of their own (``--output``, ``--supernet``, ...) are named again, and so is code
    of the user's own, which no file may name. The stage of the options is started as it is running, by torchrun too.
    """
    start = launcher() if stage == options.stage else ["python"]
    words = [*start, *STAGES[stage].script.split()]
    explicit = options.output if stage == options.stage else getattr(options, stage, None)
    output = None if explicit is None else str(stage_path(options, stage))
    if options.title is not None or output is None:
        words += ["--title", options.title or "NAME"]
    if options.root_path != "runs":
        words += ["--root-path", options.root_path]
    if output is not None:
        words += ["--output", output]
    if options.output is not None and options.stage in STAGES[stage].previous:
        words += [f"--{options.stage}", options.output]
    for name, spec in options_of(type(options)).items():
        value = getattr(options, name)
        reaches = spec.inherit or stage == options.stage
        reference = isinstance(value, str) and bool(spec.entries) and is_reference(value)
        if value is not None and (name == "plugins" or (reference and reaches)):
            words += [spec.flag, value] if name in options_of(options_of_stage(stage)) else []
    return shlex.join(words)
