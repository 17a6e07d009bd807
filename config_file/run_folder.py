"""The folder of one stage of a run: its options, environment, log, metrics and checkpoints.

    folder = RunFolder.open(options)        # runs/<title>/<stage>, or --output
    folder.log("12 epochs of 1,150 images")
    folder.metric(step, loss=1.2, accuracy=0.4)
    folder.file("best.json")                # where to write what a stage leaves behind, with config_file.files

A folder is never silently overwritten: where the stage has been run before, ``--resume`` or ``--overwrite`` is needed.
It is open for one process at a time, or for one of each part of the work (`RunOptions.parts`).
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from config_file import ranks
from config_file.environment import describe_environment
from config_file.errors import UserError, system_error
from config_file.fields import options_of
from config_file.files import append_jsonl, append_line, atomic_write_text, remove_leftovers, write_sealed
from config_file.loader import load, save
from config_file.lock import PATIENCE, is_lock, lock_name, only_process, opening
from config_file.readers.form import check_form
from config_file.readers.json_text import read_jsonl
from config_file.run_mark import (
    MARK,
    OPTIONS,
    checked_mark,
    heading,
    is_emptied,
    is_finished,
    new_mark,
    read_mark,
    remove_run,
)
from config_file.run_options import RunOptions
from config_file.stages import stage_path


class RunFolder:
    """One stage's folder, open for writing.

    Attributes:
        path: the folder.
        config: the options of the run.
        checkpoints: folder of the checkpoints; it exists.
        resumed: whether the stage goes on from an earlier, interrupted run.
        changed: on resume, options that differ from the saved ones: ``{name: (saved, now)}``.
    """

    def __init__(self, path: Path, options: Any, held: ExitStack, *, silent: bool = False) -> None:
        self.path = path
        self.config = options
        self.checkpoints = path / "checkpoints"
        self.resumed = False
        self.changed: dict[str, tuple[Any, Any]] = {}
        self._held, self._silent = held, silent
        self._tensorboard: Any = None
        self._purge_step: int | None = None

    @classmethod
    def open(cls, options: Any) -> "RunFolder":
        """``create`` at the place, in the manner and for the parts that the options say."""
        return cls.create(stage_path(options), options, options.overwrite, options.resume, *options.parts)

    @classmethod
    def create(
        cls,
        path: str | Path,
        options: Any,
        overwrite: bool = False,
        resume: bool = False,
        mine: Sequence[str] = (),
        others: Sequence[str] = (),
    ) -> "RunFolder":
        """Make the folder, hold it, and write ``config.yaml`` and ``env.json``.

        Args:
            overwrite: remove what an earlier run of this stage wrote here (the files it asked ``file`` for, and those
                of runs inside it), keep everything else.
            resume: keep what is there and add to it.
            mine, others: the parts of the work that are done here and, perhaps at the same time, by other processes.

        Raises:
            UserError: the stage has been run here and neither is set; there is nothing to resume; the folder holds
                other things than a run of this stage; it cannot be written; another process writes there.
        """
        path = Path(path)
        checked_mark(path, options, overwrite, resume)
        with opening(path, mine, others, alone=overwrite) as (held, alone):
            folder = cls(path, options, held)
            try:
                folder._begin(overwrite, resume, alone)
            except OSError as error:
                raise UserError(f"cannot write the run's folder {path}: {system_error(error) or error}") from None
            for name, (saved, now) in folder.changed.items():
                folder.log(f"resumed with --{name.replace('_', '-')} {now} instead of {saved}")
            folder._held = held.pop_all()
        return folder

    @classmethod
    def beside(cls, options: Any) -> "RunFolder":
        """The same folder for a rank other than the first: nothing is logged, measured or entered there."""
        folder = cls(stage_path(options), options, ExitStack(), silent=True)
        folder.resumed = options.resume
        return folder

    def _begin(self, overwrite: bool, resume: bool, alone: bool) -> None:
        """Write what says that a run has begun, or goes on; alone, or beside processes that do other parts."""
        path, options = self.path, self.config
        begun = checked_mark(path, options, overwrite, resume) is not None
        if alone:
            remove_leftovers(path)
            for lock in path.rglob(lock_name(Path("*"))):  # of runs inside, whose process has died
                if not is_lock(lock, path):
                    lock.unlink(missing_ok=True)
        path.mkdir(parents=True, exist_ok=True)
        if begun and resume:
            _finish_emptying(path)
            self.changed, self.resumed = _changes(path, options), True
            mark = read_mark(path) or new_mark(options.stage)
            write_sealed(path / MARK, {**mark, "resumed": [*mark["resumed"], describe_environment()]})
            save(options, path / OPTIONS, heading(options.stage))
        else:
            if begun:
                save(options, path / OPTIONS, heading(options.stage, instead_of=path))
                remove_run(path)
                write_sealed(path / MARK, new_mark(options.stage))
            save(options, path / OPTIONS, heading(options.stage))
            if not begun:
                write_sealed(path / MARK, new_mark(options.stage))
        self.checkpoints.mkdir(exist_ok=True)

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise what ``open`` would raise about the folder's content, without touching anything.

        For a stage that works before it writes: an old result is then kept until there is a new one to take its place.
        """
        checked_mark(stage_path(options), options, options.overwrite, options.resume)

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
        """The folder of a run inside this stage's own; ``--overwrite`` removes what that run wrote too."""
        return self._enter("runs", name)

    def _enter(self, kind: str, name: str) -> Path:
        with nullcontext() if self._silent else self.alone():
            mark = None if self._silent else read_mark(self.path)
            if mark is not None and name not in mark[kind]:
                write_sealed(self.path / MARK, {**mark, kind: [*mark[kind], name]})
        return self.path / name

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder for what the processes of all parts write.

        Raises:
            UserError: another process does not let it go.
        """
        with only_process(self.path, wait=PATIENCE):
            yield

    def log(self, text: str = "") -> None:
        """Print ``text`` and append it to ``log.txt``."""
        if self._silent:
            return
        tqdm = sys.modules.get("tqdm")
        if tqdm is not None:
            tqdm.tqdm.write(text, file=sys.stdout)  # steps around a progress bar
        else:
            print(text)
        sys.stdout.flush()
        self.record(text)

    def record(self, text: str) -> None:
        """Append ``text`` to ``log.txt`` only: what was printed before there was a folder."""
        if not self._silent:
            with self.alone():
                append_line(self.path / "log.txt", text)

    def metric(self, step: int, **numbers: Any) -> None:
        """Append ``{"step": step, **numbers}`` to ``metrics.jsonl`` and show the numbers in TensorBoard.

        Args:
            numbers: Python, numpy or 0-d tensor numbers. NaN and infinity become null in the file.
        """
        values = {name: _number(value) for name, value in numbers.items()}
        if self._silent:
            return
        append_jsonl(self.path / "metrics.jsonl", {"step": step, **values})
        with self._in_tensorboard():
            writer = self.tensorboard
            for name, value in values.items() if writer is not None else ():
                if value is not None:
                    writer.add_scalar(name, value, step)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows written by ``metric`` so far."""
        path = self.path / "metrics.jsonl"
        rows = read_jsonl(path)
        check_form(rows, [{"step": int}], path)
        return rows

    def truncate_metrics(self, step: int) -> None:
        """Forget the metrics of steps after ``step``: a resumed run will write them again."""
        path = self.path / "metrics.jsonl"
        if path.exists() and not self._silent:
            rows = [row for row in self.metrics() if row["step"] <= step]
            atomic_write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
        self._purge_step = step + 1

    @property
    def tensorboard(self) -> Any:
        """The ``SummaryWriter``, made when first asked for; ``None`` under ``--no-tensorboard``."""
        if self._tensorboard is None and self.config.tensorboard and not self._silent:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - seconds, and not every run needs it

            self._tensorboard = SummaryWriter(str(self.path / "tensorboard"), purge_step=self._purge_step)
        return self._tensorboard

    def close(self) -> None:
        """Flush and close what is open, and let other processes write."""
        writer, self._tensorboard = self._tensorboard, None
        with self._held, self._in_tensorboard():
            if writer is not None:
                writer.close()

    @contextmanager
    def _in_tensorboard(self) -> Iterator[None]:
        """Name the folder in errors of the system: the writer, a thread of its own, does not know it."""
        try:
            yield
        except OSError as error:
            error.filename = str(self.path / "tensorboard")
            raise

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
    """Run a stage in its folder, which is returned: check, hold, prepare, go on, open, log, run.

    Nothing is written before everything is ready: what is refused, an old run or a checkpoint, is left as it was.

    Raises:
        UserError: as ``RunFolder.open``, and whatever the stage raises.
    """
    if ranks.number():
        work, folder = prepare(), RunFolder.beside(options)
        if options.resume:
            work.resume()
        work.run(folder)
        return folder.path
    RunFolder.check(options)
    with ExitStack() as running:
        with opening(stage_path(options), *options.parts, alone=options.overwrite):
            if options.resume:
                _finish_emptying(stage_path(options))
            work = prepare()
            if options.resume:
                work.resume()
            folder = running.enter_context(RunFolder.open(options))
        for line in work.lines:
            folder.log(line)
        work.run(folder)
    return folder.path


def has_finished(options: Any) -> bool:
    """True under ``--resume`` where the stage has finished before: nothing is left to do.

    A means of running it (``--threads``) that is another now is named in a line.

    Raises:
        UserError: something else is asked for than it has finished with.
    """
    path = stage_path(options)
    if not (options.resume and is_finished(path, options.stage)):
        return False
    changed, means = _changes(path, options), {n for n, spec in options_of(RunOptions).items() if not spec.decides}
    asked = [f"--{name.replace('_', '-')} {now} instead of {saved}" for name, (saved, now) in changed.items()]
    if not changed.keys() <= means:
        raise UserError(
            f"{path} has finished already, without {' and '.join(asked)}: --overwrite starts it anew, another --title "
            "keeps both"
        )
    for words in asked:
        print(f"{words} changes nothing in {path} any more")
    return True


def _finish_emptying(path: Path) -> None:
    """Do what an interrupted --overwrite has left to do, so that the new run can go on."""
    if is_emptied(path) and (mark := read_mark(path)) is not None:
        remove_run(path)
        write_sealed(path / MARK, new_mark(mark["stage"]))


def _changes(path: Path, options: Any) -> dict[str, tuple[Any, Any]]:
    if not (path / OPTIONS).is_file():
        return {}
    saved = load(type(options), path / OPTIONS)
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
