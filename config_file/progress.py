"""Progress of long work: a bar with an ETA on a terminal, now and then a plain line in a log file."""

import io
import sys
from collections.abc import Iterable
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_SECONDS_BETWEEN_LINES = 30.0


def progress(
    work: Iterable[T] | int,
    description: str,
    unit: str = "step",
    *,
    total: int | None = None,
    initial: int = 0,
    file: TextIO | None = None,
) -> "tqdm[T]":
    """Show how far ``work`` is, on stderr.

        for batch in progress(batches, "calibrating", "batch"): ...

        with progress(1000, "searching", "architecture") as bar:
            bar.update(1)
            bar.set_postfix(best=0.91)

    Args:
        work: what to iterate over, or the amount of work that ``update`` will report.
        unit: of the work, singular.
        total: amount of work where ``work`` has no length.
        initial: how much was done before, by a run that this one resumes.
        file: where to write instead of stderr. If it is no terminal, a plain line appears at most every 30 seconds.
    """
    file = sys.stderr if file is None else file
    settings: dict[str, Any] = {"desc": description, "unit": f" {unit}", "initial": initial}
    if isinstance(work, int):
        settings["total"] = work
    else:
        settings |= {"iterable": work, "total": total}
    if file.isatty():
        return tqdm(file=file, dynamic_ncols=True, **settings)
    pause = _SECONDS_BETWEEN_LINES
    return tqdm(file=_Lines(file), mininterval=pause, maxinterval=pause, delay=pause, ncols=0, **settings)


class _Lines(io.TextIOBase):
    """Makes a line of every state of a bar; tqdm would go back to the start of the line with a carriage return."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        line = text.strip()
        if line:
            self._file.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        self._file.flush()
