"""Damage a file many times, read it each time as our commands do, and count what comes of it."""

from __future__ import annotations

import contextlib
import io
import signal
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from config_file.errors import LONGEST, UserError
from supernet import SearchSpace
from tests.fuzz.kinds import Kind, WrongAcceptanceError
from tests.fuzz.mutators import truncate

SECONDS = 10


class TooLongError(BaseException):
    """A reading that did not end; no reader may catch it."""


@dataclass
class Count:
    """What came of the damaged files of one kind; the last three name the seeds, by which each is made again."""

    tried: int = 0
    refused: int = 0
    accepted: int = 0
    tracebacks: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __add__(self, other: Count) -> Count:
        return Count(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def bad(self) -> list[str]:
        return [*self.tracebacks, *self.hangs, *self.wrong]


def damaged(kind: Kind, whole: bytes, seed: int) -> bytes:
    """The damaged file of a seed."""
    rng = Random(seed)
    try:
        bad = rng.choice(kind.mutators)(whole, rng)
    except Exception:  # what is changed after something else may no longer be what it was
        bad = truncate(whole, rng)
    return bad if kind.reseal is None else kind.reseal(bad)


def fuzz(kind: Kind, space: SearchSpace, seeds: range) -> Count:
    """Try a kind in the current folder, which is a world; the file and what readings wrote are as before afterwards."""
    path = Path(kind.file)
    whole = path.read_bytes()
    Path("whole").write_bytes(whole)
    beside = [p for folder in (path.parent, path.parent.parent) for p in folder.iterdir()]
    others = {p: p.read_bytes() for p in beside if p.is_file() and p not in (path, Path("whole"))}
    count = Count()
    with contextlib.redirect_stdout(io.StringIO()):
        kind.read(path, space)  # the whole file is read
    try:
        for seed in seeds:
            bad = damaged(kind, whole, seed)
            if bad == whole:
                continue
            count.tried += 1
            path.write_bytes(bad)
            _try(kind, path, space, seed, count)
            for other, content in others.items():
                if not other.is_file() or other.read_bytes() != content:
                    other.write_bytes(content)
    finally:
        path.write_bytes(whole)
    return count


def _try(kind: Kind, path: Path, space: SearchSpace, seed: int, count: Count) -> None:
    try:
        quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        with _limit(SECONDS), warnings.catch_warnings(), quiet[0], quiet[1]:
            warnings.simplefilter("error")  # each would be a line beside the one
            warnings.filterwarnings("ignore", module="PIL")  # as where images are read
            kind.read(path, space)
    except UserError as error:
        count.refused += 1
        text = str(error)
        if len(text) > LONGEST + 20 or not text.isprintable() or not text:
            count.tracebacks.append(f"seed {seed}: a message of {len(text)} characters: {text[:80]}")
    except WrongAcceptanceError as error:
        count.accepted += 1
        count.wrong.append(f"seed {seed}: {str(error)[:120]}")
    except TooLongError:
        count.hangs.append(f"seed {seed}: more than {SECONDS} s")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        ours = [
            frame for frame in frames if "tests/fuzz" not in frame.filename and "site-packages" not in frame.filename
        ]
        place = f"{Path((ours or frames)[-1].filename).name}:{(ours or frames)[-1].lineno}"
        count.tracebacks.append(f"seed {seed}: {type(error).__name__} at {place}: {str(error)[:120]}")
    else:
        count.accepted += 1
        if kind.sealed:
            count.wrong.append(f"seed {seed}: accepted, though it is not what was written")


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """End what computes for so many seconds, or waits for twelve times as many."""

    def end(signum: int, frame: object) -> None:
        raise TooLongError

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 12 * seconds)}
    before = {number: signal.signal(number, end) for number in timers}
    for timer, limit in timers.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
