"""The mark of a run's folder, ``env.json``: that it is ours, of which stage, and which files the stage has left there.

A run has begun when its first file is there whole: ``config.yaml``, whose first line says so. The mark follows. Where a
run is overwritten its options are replaced first, by some whose first line names the old mark; what that lists is then
removed, and a new mark written. A process may be killed anywhere in between: nothing of the old run is taken for new.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from config_file.environment import describe_environment
from config_file.errors import UserError
from config_file.files import is_leftover
from config_file.lock import is_lock, lock_name
from config_file.ranks import gather, job, on_all, restarted
from config_file.readers.door import read_bytes, read_text
from config_file.readers.form import check_form
from config_file.readers.json_text import read_object, read_sealed
from config_file.stages import STAGES, command, stage_path

T = TypeVar("T")

FORMAT = "oneshot-nas run 3"
MARK, OPTIONS = "env.json", "config.yaml"

# Beside the files that a stage hands out (`RunFolder.file`): --overwrite removes these, nothing else.
EVERY_STAGE = ("log.txt", "metrics.jsonl", "tensorboard/events.out.tfevents.*", "checkpoints/*.pt")


def checked_mark(path: Path, options: Any, overwrite: bool, resume: bool) -> dict[str, Any] | None:
    """The mark of a run that has begun, ``None`` in a folder that is new; UserError where this stage must not write."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; the run needs a folder there: choose another --title or --output")
    mark = read_mark(path)
    begun = _heading(path)
    ours = {*(file for file in path.glob(".*") if is_lock(file, path)), *([path / OPTIONS] if begun else [])}
    if mark is None and any(f.is_file() and f not in ours and not is_leftover(f) for f in path.rglob("*")):
        raise UserError(f"{path} holds files that are not of a run: choose another --title or --output")
    if mark is None and begun:
        mark = {"stage": begun["stage"], "files": [], "runs": []}  # killed between its first two files
    if mark is not None and mark.get("stage") != options.stage:
        raise UserError(f"{path} holds the {mark.get('stage')} stage, not {options.stage}: choose another --output")
    if mark is not None and not (overwrite or resume):
        raise UserError(
            f"{path} has been run before: --resume continues it, --overwrite starts it anew, another --title keeps both"
        )
    if overwrite:
        _check_removable(path)
    if mark is None and resume:
        raise UserError(f"nothing to resume at {path}; start with: {command(options.stage, options)}")
    return mark


def has_begun(path: Path) -> bool:
    """True where a run has begun in the folder, finished or not."""
    return bool(_heading(path)) or read_mark(path) is not None


def is_finished(path: Path, stage: str) -> bool:
    """True where the last file of the stage is in the folder, with those beside it, and not about to be removed."""
    return all((path / name).is_file() for name in STAGES[stage].files) and not is_emptied(path)


def read_mark(path: Path) -> dict[str, Any] | None:
    """``env.json`` of a folder that a run of ours made, else ``None``.

    Raises:
        UserError: it is damaged, or of an older version.
    """
    if not (path / MARK).is_file():
        return None
    found = str(read_object(path / MARK).get("format"))
    if not found.startswith(FORMAT[:-1]):
        return None
    if found != FORMAT:
        raise UserError(f"{path} was run by an older version of this toolkit: choose another --title or --output")
    mark = read_sealed(path / MARK, FORMAT)
    check_form(mark, {"stage": str, "files": [str], "runs": [str], "resumed": list}, path / MARK)
    if mark["stage"] not in STAGES or not all(map(_stays_inside, mark["files"] + mark["runs"])):
        raise UserError(f"{path / MARK} is not of a run that this version reads")
    return mark


def new_mark(stage: str) -> dict[str, Any]:
    """The mark of a run that begins."""
    begun_by = {"job": job()} if job() else {}
    mark = {"format": FORMAT, "stage": stage, **describe_environment(), **begun_by}
    return {**mark, "resumed": [], "files": [], "runs": []}


def continued(options: T) -> T:
    """The options, of a command that torchrun has started once more: a run that it had begun goes on, by itself.

    A node counts its own failures alone, and the first rank may have been on another one before.
    """

    def begun() -> bool:
        mark = read_mark(path) if any(again for _, again in there) else None
        return mark is not None and mark.get("job") in [name for name, _ in there] and not is_emptied(path)

    path, there = stage_path(options), gather([job(), restarted()])
    return replace(options, resume=True, overwrite=False) if on_all(begun) else options  # type: ignore[type-var]


def heading(stage: str, instead_of: Path | None = None) -> str:
    """The first line of the options of a stage; those of a run that is overwritten name its mark as the old one."""
    old = None if instead_of is None else _digest(instead_of)
    return f"# {FORMAT}: {stage}{f', in the place of {old}' if old else ''}\n"


def is_emptied(path: Path) -> bool:
    """True where --overwrite was interrupted: what the mark in the folder lists belongs to a run that is given up."""
    old = _heading(path).get("old")
    return old is not None and old == _digest(path)


def remove_run(path: Path) -> None:
    """Remove what the run in the folder wrote, and what runs inside it wrote, but its options and its mark.

    The file that says the stage has finished goes first.

    Raises:
        UserError: a link leads out of the folder to what would be removed; nothing is.
    """
    mark = read_mark(path)
    if mark is None:
        return
    _check_removable(path)
    result = STAGES[mark["stage"]].result
    names = sorted(mark["files"], key=lambda name: name != result)
    for file in (*_named(path, names), *_of_every_stage(path)):
        file.unlink(missing_ok=True)
    folders = {"tensorboard", "checkpoints", *(str(Path(name).parent) for name in names)} - {"."}
    for name in sorted(folders, reverse=True):
        _remove_if_empty(path / name)
    for inner in (path / name for name in mark["runs"]):
        if read_mark(inner) is not None or _heading(inner):
            remove_run(inner)
            for file in (inner.parent / lock_name(inner), inner / OPTIONS, inner / MARK):
                file.unlink(missing_ok=True)
            _remove_if_empty(inner)
        if inner.parent != path:
            _remove_if_empty(inner.parent)


def _named(path: Path, names: Iterable[str]) -> list[Path]:
    """The files of names in a mark, of which some are patterns: one file for every epoch."""
    return [file for name in names for file in (sorted(path.glob(name)) if "*" in name else [path / name])]


def _of_every_stage(path: Path) -> list[Path]:
    return [file for pattern in EVERY_STAGE for file in path.glob(pattern)]


def _check_removable(path: Path) -> None:
    """See that all that `remove_run` would remove lies in the folder: its mark and its links may be somebody else's."""
    mark = read_mark(path)
    if mark is None:
        return
    runs = [path / name for name in mark["runs"]]
    for file in (*_named(path, mark["files"]), *_of_every_stage(path), *(run / MARK for run in runs)):
        if not file.parent.resolve().is_relative_to(path.resolve()):
            where = file.parent
            raise UserError(f"{where} leads out of the run's folder, where --overwrite removes nothing: unlink it")
    for run in runs:
        _check_removable(run)


def _heading(path: Path) -> dict[str, str]:
    """The first line of the options as an object: the stage, and perhaps the old mark; {} if it is not ours."""
    if not (path / OPTIONS).is_file():  # a pipe would wait for its other end
        return {}
    try:
        text = read_text(path / OPTIONS)
    except UserError:
        return {}
    found = re.match(rf"# {FORMAT}: (?P<stage>\w+)(, in the place of (?P<old>\w+))?\n", text)
    return {} if found is None else {name: text for name, text in found.groupdict().items() if text is not None}


def _digest(path: Path) -> str | None:
    """A short digest of the mark, ``None`` where there is none."""
    try:
        return hashlib.sha256(read_bytes(path / MARK)).hexdigest()[:16]
    except UserError:
        return None


def _stays_inside(name: Any) -> bool:
    """True if a name in a mark can be one that we wrote: a relative path without a step up, and not the folder."""
    parts = Path(name).parts
    return parts != () and not Path(name).is_absolute() and ".." not in parts and "\0" not in name


def _remove_if_empty(path: Path) -> None:
    with contextlib.suppress(OSError):  # absent, or holds something that is not ours
        path.rmdir()
