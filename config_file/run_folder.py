"""The folder of one stage of a run: its options, environment, log, metrics and checkpoints.

    folder = RunFolder.open(options)        # runs/<title>/<stage>, or --output
    folder.log("12 epochs of 1,150 images")
    folder.metric(step, loss=1.2, accuracy=0.4)
    folder.file("best.json")                # where to write what a stage leaves behind, with config_file.files

A folder is never silently overwritten: where the stage has been run before, ``--resume`` or ``--overwrite`` is needed.
"""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from config_file.environment import describe_environment
from config_file.errors import UserError, system_error
from config_file.fields import options_of
from config_file.files import append_jsonl, atomic_write_text, is_leftover, remove_leftovers
from config_file.loader import load, save
from config_file.readers.json_text import read_jsonl
from config_file.stages import command, stage_path

FORMAT = "oneshot-nas run 2"

# Beside the files that a stage hands out (`RunFolder.file`): --overwrite removes these, nothing else. The last one is
# the mark that makes the folder ours, so that an interrupted removal can be repeated.
EVERY_STAGE = (
    "log.txt", "metrics.jsonl", "tensorboard/events.out.tfevents.*", "checkpoints/*.pt", "config.yaml", "env.json",
)  # fmt: skip


class RunFolder:
    """One stage's folder, open for writing.

    Attributes:
        path: the folder.
        config: the options of the run.
        checkpoints: folder of the checkpoints; it exists.
        resumed: whether the stage goes on from an earlier, interrupted run.
        changed: on resume, options that differ from the saved ones: ``{name: (saved, now)}``.
    """

    def __init__(self, path: Path, options: Any, *, resumed: bool, changed: dict[str, tuple[Any, Any]]) -> None:
        self.path = path
        self.config = options
        self.checkpoints = path / "checkpoints"
        self.resumed = resumed
        self.changed = changed
        self._tensorboard: Any = None
        self._purge_step: int | None = None

    @classmethod
    def open(cls, options: Any) -> "RunFolder":
        """``create`` at the place and in the manner that the options say."""
        return cls.create(stage_path(options), options, overwrite=options.overwrite, resume=options.resume)

    @classmethod
    def create(cls, path: str | Path, options: Any, overwrite: bool = False, resume: bool = False) -> "RunFolder":
        """Make the folder and write ``env.json`` and ``config.yaml``.

        Args:
            overwrite: remove what an earlier run of this stage wrote here (the files it asked ``file`` for, and those
                of runs inside it), keep everything else.
            resume: keep what is there and add to it.

        Raises:
            UserError: the stage has been run here and neither is set; there is nothing to resume; the folder holds
                other things than a run of this stage; it cannot be written.
        """
        path = Path(path)
        try:
            mark = _checked_mark(path, options, overwrite, resume)
            remove_leftovers(path)
            environment = describe_environment()
            changed: dict[str, tuple[Any, Any]] = {}
            if mark is not None and resume:
                changed = _changes(path, options)
                mark = {**mark, "resumed": [*mark.get("resumed", []), environment]}
            else:
                if mark is not None:
                    _remove_artefacts(path, mark)
                mark = {"format": FORMAT, "stage": options.stage, **environment, "resumed": [], "files": [], "runs": []}
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
            _write_mark(path, mark)
            save(options, path / "config.yaml")
            folder = cls(path, options, resumed=resume, changed=changed)
            for name, (saved, now) in changed.items():
                folder.log(f"resumed with --{name.replace('_', '-')} {now} instead of {saved}")
            return folder
        except OSError as error:
            raise UserError(f"cannot write the run's folder {path}: {system_error(error) or error}") from None

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise what ``open`` would raise about the folder's content, without touching anything.

        For a stage that works before it writes: an old result is then kept until there is a new one to take its place.
        """
        _checked_mark(stage_path(options), options, options.overwrite, options.resume)

    @classmethod
    def obstacle(cls, options: Any) -> str | None:
        """The message that ``check`` would raise, or None; a plan prints it instead of failing."""
        try:
            cls.check(options)
        except UserError as error:
            return str(error)
        return None

    def file(self, name: str) -> Path:
        """The path of a file that this stage leaves behind; ``--overwrite`` will know that it is ours."""
        return self._enter("files", name)

    def run_inside(self, name: str) -> Path:
        """The folder of a run that this stage makes inside its own; ``--overwrite`` removes what that run wrote too."""
        return self._enter("runs", name)

    def _enter(self, kind: str, name: str) -> Path:
        mark = _read_mark(self.path)
        if mark is not None and name not in mark[kind]:
            _write_mark(self.path, {**mark, kind: [*mark[kind], name]})
        return self.path / name

    def log(self, text: str = "") -> None:
        """Print ``text`` and append it to ``log.txt``."""
        tqdm = sys.modules.get("tqdm")
        if tqdm is not None:
            tqdm.tqdm.write(text, file=sys.stdout)  # steps around a progress bar
        else:
            print(text)
        sys.stdout.flush()
        self.record(text)

    def record(self, text: str) -> None:
        """Append ``text`` to ``log.txt`` only: what was printed before there was a folder."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def metric(self, step: int, **numbers: Any) -> None:
        """Append ``{"step": step, **numbers}`` to ``metrics.jsonl`` and show the numbers in TensorBoard.

        Args:
            numbers: Python, numpy or 0-d tensor numbers. NaN and infinity become null in the file.
        """
        values = {name: _number(value) for name, value in numbers.items()}
        append_jsonl(self.path / "metrics.jsonl", {"step": step, **values})
        writer = self.tensorboard
        if writer is not None:
            for name, value in values.items():
                if value is not None:
                    writer.add_scalar(name, value, step)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows written by ``metric`` so far."""
        return read_jsonl(self.path / "metrics.jsonl")

    def truncate_metrics(self, step: int) -> None:
        """Forget the metrics of steps after ``step``: a resumed run will write them again."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            rows = [row for row in self.metrics() if row["step"] <= step]
            atomic_write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
        self._purge_step = step + 1

    @property
    def tensorboard(self) -> Any:
        """The ``SummaryWriter``, made when first asked for; ``None`` under ``--no-tensorboard``."""
        if self._tensorboard is None and self.config.tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - seconds, and not every run needs it

            self._tensorboard = SummaryWriter(str(self.path / "tensorboard"), purge_step=self._purge_step)
        return self._tensorboard

    def close(self) -> None:
        """Flush and close what is open. The folder may be used again afterwards."""
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Work:
    """A stage that is ready: lines for its log, what goes on from an interrupted run, and what runs in its folder."""

    run: Callable[[RunFolder], None]
    lines: Sequence[str] = ()
    resume: Callable[[], None] = lambda: None


def run_stage(options: Any, prepare: Callable[[], Work]) -> Path:
    """Run a stage in its folder, which is returned: check, prepare, go on, open, log, run.

    Nothing is written before everything is ready: what is refused, an old run or a checkpoint, is left as it was.

    Raises:
        UserError: as ``RunFolder.open``, and whatever the stage raises.
    """
    RunFolder.check(options)
    work = prepare()
    if options.resume:
        work.resume()
    with RunFolder.open(options) as folder:
        for line in work.lines:
            folder.log(line)
        work.run(folder)
    return folder.path


def _checked_mark(path: Path, options: Any, overwrite: bool, resume: bool) -> dict[str, Any] | None:
    """The content of ``env.json``, ``None`` in a folder that is new; UserError where this stage must not write."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; the run needs a folder there: choose another --title or --output")
    mark = _read_mark(path)
    if mark is None and _says(path, "oneshot-nas run 1"):
        raise UserError(f"{path} was run by an older version of this toolkit: choose another --title or --output")
    if mark is None and any(file.is_file() and not is_leftover(file) for file in path.rglob("*")):
        raise UserError(f"{path} holds files that are not of a run: choose another --title or --output")
    if mark is not None and mark.get("stage") != options.stage:
        raise UserError(f"{path} holds the {mark.get('stage')} stage, not {options.stage}: choose another --output")
    if mark is not None and not (overwrite or resume):
        raise UserError(
            f"{path} has been run before: --resume continues it, --overwrite starts it anew, another --title keeps both"
        )
    if mark is None and resume:
        raise UserError(f"nothing to resume at {path}; start with: {command(options.stage, options)}")
    return mark


def _read_mark(path: Path) -> dict[str, Any] | None:
    """``env.json`` of a folder that a run of ours made, else ``None``."""
    return _says(path, FORMAT)


def _says(path: Path, form: str) -> dict[str, Any] | None:
    """``env.json`` if it says that it is of this form."""
    try:
        mark = json.loads((path / "env.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(mark, dict) or mark.get("format") != form:
        return None
    lists = (mark.get(kind, []) for kind in ("files", "runs"))
    inside = all(isinstance(names, list) and all(map(_stays_inside, names)) for names in lists)
    return mark if inside else None


def _stays_inside(name: Any) -> bool:
    """True if a name in a mark can be one that we wrote: a relative path without a step up."""
    return isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts


def _write_mark(path: Path, mark: dict[str, Any]) -> None:
    atomic_write_text(path / "env.json", json.dumps(mark, indent=1) + "\n")


def _remove_artefacts(path: Path, mark: dict[str, Any]) -> None:
    for name in mark["runs"]:
        inner = path / name
        inner_mark = _read_mark(inner)
        if inner_mark is not None:
            _remove_artefacts(inner, inner_mark)
            _remove_if_empty(inner)
        if inner.parent != path:
            _remove_if_empty(inner.parent)
    for file in (file for pattern in (*mark["files"], *EVERY_STAGE) for file in path.glob(pattern)):
        file.unlink()
    for name in ("tensorboard", "checkpoints"):
        _remove_if_empty(path / name)


def _remove_if_empty(path: Path) -> None:
    with contextlib.suppress(OSError):  # absent, or holds something that is not ours
        path.rmdir()


def _changes(path: Path, options: Any) -> dict[str, tuple[Any, Any]]:
    saved = load(type(options), path / "config.yaml")
    return {
        name: (getattr(saved, name), getattr(options, name))
        for name, spec in options_of(type(options)).items()
        if spec.saved and getattr(saved, name) != getattr(options, name)
    }


def _number(value: Any) -> float | int | None:
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise TypeError(f"a metric is a number, not {type(value).__name__}")
    return number if math.isfinite(number) else None
