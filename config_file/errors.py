"""Errors that speak to the person at the keyboard, in one line.

Whatever a user can get wrong (a misspelt name, a missing folder, a full disk) ends as ``error: ...`` on stderr with
exit status 2. A traceback is kept for what it is good for: a defect of ours.
"""

import difflib
import errno
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, TypeVar

from config_file.process import EXIT_INTERRUPTED, INTERRUPTED, Process

T = TypeVar("T")

EXIT_USER_ERROR = 2
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

LONGEST = 800
"""Characters of a message."""

MOST_NAMED = 30
"""Choices that a message lists."""

_LONGEST_NAME = 200

_SYSTEM_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would become larger than is allowed here",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EISDIR: "a folder stands where a file is needed",
    errno.EEXIST: "it already exists",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its links lead in a circle",
    errno.ENXIO: "nothing that can be read stands there",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
    errno.ESTALE: "the file system has lost it",
    errno.ENOTCONN: "the file system is not connected",
    errno.EBUSY: "it is in use",
    errno.ENOMEM: "out of memory",
}


class UserError(Exception):
    """Something the user asked for cannot be done; the message is one line that says what and what would work.

    However it was put together, it is one line that a terminal can show, and not longer than ``LONGEST`` characters:
    a bad value may be a whole file.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_presentable(message))


class LostRankError(UserError):
    """Another process of the same command was killed or hangs; what ends this one after that is its consequence."""


def nearest(name: str, choices: Collection[str]) -> str:
    """The closest of ``choices`` as a hint to append to a message, such as ``"; did you mean 'fbnet'?"``, or ``""``."""
    if len(name) > _LONGEST_NAME:
        return ""
    plain = {_plain(choice): choice for choice in choices}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.5)
    if not close and len(name) >= 3:  # a shortened name: "evo" for "evolution"
        close = [choice for choice in plain if choice.startswith(_plain(name))][:1]
    return f"; did you mean {plain[close[0]]!r}?" if close else ""


def alike(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that is spelt as ``name`` but for case, hyphens, underscores and blanks; None for none."""
    if name in (known := list(names)):
        return name
    return next((other for other in known if _letters(other) == _letters(name)), None)


def choose(what: str, name: str, mapping: Mapping[str, T]) -> T:
    """``mapping[name]``, for a registry shown to users.

    Args:
        what: what the name stands for, singular, as in ``"search space"``.

    Raises:
        UserError: the name is not registered; the message gives the nearest one, and the first MOST_NAMED there are.
    """
    same = alike(name, mapping)
    if same is not None:
        return mapping[same]
    named = [*mapping][:MOST_NAMED]
    more = f" and {len(mapping) - len(named)} more" if len(mapping) > len(named) else ""
    raise UserError(f"unknown {what} {name!r}{nearest(name, mapping)} (choices: {', '.join(named)}{more})")


def system_error(error: OSError) -> str | None:
    """One line for an operating-system error that a user can mend, ``None`` for any other."""
    if error.errno not in _SYSTEM_ERRORS:
        return None
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{_SYSTEM_ERRORS[error.errno]}"


def run_main(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a script's ``main(argv)`` and leave the process with its exit status.

    UserError, those OSErrors a user can mend, and a lack of memory are printed as ``error: ...`` with status 2; Ctrl-C
    and SIGTERM, however often, end with status 130 and one line (the exception's own text if it has one); a reader that
    closed the pipe ends quietly with 141. Everything else is a defect and keeps its traceback.
    """
    process = Process(lambda error: system_error(error) is not None)
    script = vars(sys.modules["__main__"])
    if any(value is main for value in script.values()):  # not where a test calls it, whose process is not ours
        process.prepare()
    try:
        status = main(argv) or 0
        sys.stdout.flush()
        if process.thread_error is not None:
            raise process.thread_error
    except SystemExit:  # of --help
        process.end()
        raise
    except BaseException as error:
        process.end()
        status, line = _outcome(error, process.interrupted)
        _say(line)
        process.end(status == EXIT_INTERRUPTED)
    else:
        process.end()
    sys.exit(status)


def _outcome(error: BaseException, interrupted: bool) -> tuple[int, str]:
    """Exit status and line for what ended a command; a defect is raised again."""
    if isinstance(error, KeyboardInterrupt) or (interrupted and not isinstance(error, LostRankError)):
        text = str(error) if isinstance(error, KeyboardInterrupt) else ""
        return EXIT_INTERRUPTED, f"interrupted: {text or INTERRUPTED}"
    if isinstance(error, UserError):
        return EXIT_USER_ERROR, f"error: {error}"
    if isinstance(error, BrokenPipeError):
        return EXIT_BROKEN_PIPE, ""
    if isinstance(error, OSError) and (line := system_error(error)) is not None:
        return EXIT_USER_ERROR, f"error: {line}"
    if isinstance(error, MemoryError | RuntimeError) and out_of_memory(error):
        return EXIT_USER_ERROR, "error: out of memory; try a smaller --batch-size, --eval-batch-size or --resolution"
    raise error


def out_of_memory(error: Exception) -> bool:
    """True for what a lack of memory raises, of a GPU too."""
    # torch's own class for a GPU (torch is not imported here), and the words of its CPU allocator, which has none
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
        or "not enough memory" in str(error)
    )


def _say(line: str) -> None:
    """A line on stderr; a stream that takes nothing more is given up, as Python flushes both once more at exit."""
    with suppress(OSError):
        print(_presentable(" ".join(line.split())), end="\n" if line else "", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the full disk itself, or a reader that has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _presentable(message: str) -> str:
    """A message in one line without what moves a cursor or cannot be written as UTF-8; its middle left out if long."""
    if len(message) > LONGEST:
        message = f"{message[: 2 * LONGEST // 3]} ... {message[-LONGEST // 4 :]}"
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else ascii(letter)[1:-1] for letter in message
    )


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _letters(name: str) -> str:
    return name.lower().translate({ord(mark): None for mark in "-_ "})
