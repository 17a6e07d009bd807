"""The stages of a run: where each one lies, what it leaves behind, and which command makes it."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.errors import UserError


@dataclass(frozen=True)
class Stage:
    """One stage: the script that runs it, the file that shows it has finished, and the stages it builds upon."""

    script: str
    result: str
    previous: tuple[str, ...]


STAGES: dict[str, Stage] = {
    "supernet": Stage("train_supernet.py", "supernet.safetensors", ()),
    "search": Stage("search.py", "best.json", ("supernet",)),
    "retrain": Stage("retrain.py", "model.safetensors", ("search", "supernet")),
    "verdict": Stage("-m search.verdict", "verdict.json", ("search", "supernet")),
    "rank": Stage("-m search.rank", "rank.json", ("supernet",)),
    "export": Stage("export.py", "model.onnx", ("retrain",)),
}


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
    if (path / STAGES[stage].result).is_file():
        return path
    make = command(stage, options)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, not the folder of a {stage} stage; make one with: {make}")
    if (path / "config.yaml").is_file():
        raise UserError(f"{path} has no {STAGES[stage].result}: it has not finished; continue it with: {make} --resume")
    raise UserError(f"no {stage} stage at {path}; make it with: {make}")


def command(stage: str, options: Any) -> str:
    """The command line that runs ``stage`` for the same run, to print as a next step.

    Folders that were given by a path of their own (``--output``, ``--supernet``, ...) are named again.
    """
    words = ["python", *STAGES[stage].script.split()]
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
    return shlex.join(words)
