"""The process of a command: streams that are there, signals that end it once, and one line for what libraries say."""

import atexit
import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it

INTERRUPTED = "stopped; the same command starts again, with --resume where a run had begun"
"""What is said to Ctrl-C where nothing more is known."""

ONE_SIGNAL = 0.1
"""Seconds in which the copies of one signal arrive that is sent to a process and to its group."""

GARBAGE = 10_000
"""New objects after which Python looks for garbage. After 700, as by itself, a quarter of the imports is looking."""


class Process:
    """The process of a command, prepared: `prepare` once, then ask what has happened.

    `mendable` tells the errors of the system that a user can mend, such as a full disk.

    Ctrl-C and SIGTERM raise KeyboardInterrupt; while that is under way another one ends the process at once, with the
    same status and without a traceback. While the command itself is still being imported the first one does that, with
    a line: an exception there is taken for others by libraries, or ends in C++.

    Attributes:
        interrupted: True once either has arrived.
        thread_error: the error of the system, such as a full disk, that ended a thread of a library.
    """

    def __init__(self, mendable: Callable[[OSError], bool]) -> None:
        self._mendable = mendable
        self.interrupted = False
        self.thread_error: OSError | None = None
        self._at = 0.0
        self._prepared = False
        self._ended_by_interrupt = False
        self._number = os.getpid()

    def prepare(self) -> None:
        """Take over signals, streams, warnings and the errors of threads, before torch is imported."""
        self._prepared = True
        gc.set_threshold(GARBAGE)
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else stack frames, where another rank has gone
        atexit.register(self._leave)  # before all others, so that it is called after them
        _open_streams()
        warnings.formatwarning = _in_one_line
        threading.excepthook = self._in_thread
        sys.unraisablehook = self._unraisable
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._interrupt)

    def end(self, interrupted: bool = False) -> None:
        """Hear no signal any more: the command has come to an end, and its status stands."""
        self._ended_by_interrupt = interrupted
        if self._prepared and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._number:  # a forked data worker, which ends with its parent
            if number == signal.SIGTERM:
                os._exit(EXIT_INTERRUPTED)
            return
        now, before = time.monotonic(), self._at
        self._at = now
        if self.interrupted and now - before > ONE_SIGNAL:
            os._exit(EXIT_INTERRUPTED)
        if not self.interrupted:
            self.interrupted = True
            if _is_starting(frame):
                with suppress(OSError):
                    os.write(2, f"interrupted: {INTERRUPTED}\n".encode())
                os._exit(EXIT_INTERRUPTED)
            raise KeyboardInterrupt

    def _leave(self) -> None:
        """Keep the status: Python ends by SIGINT itself if KeyboardInterrupt has ever left the text of an `exec`.

        Nothing is looked through for garbage once more: the system takes it all, and that took a second.
        """
        gc.freeze()
        if self._ended_by_interrupt and os.getpid() == self._number:
            os._exit(EXIT_INTERRUPTED)

    def _in_thread(self, arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        if isinstance(error, OSError) and self._mendable(error):
            self.thread_error = self.thread_error or error  # the main thread says it, or meets it itself
        elif not isinstance(error, KeyboardInterrupt | BrokenPipeError) and not self.interrupted:
            threading.__excepthook__(arguments)

    def _unraisable(self, arguments: Any) -> None:
        """Say what cannot be raised any more only where it is a defect."""
        error = arguments.exc_value
        mendable = isinstance(error, OSError) and (isinstance(error, BrokenPipeError) or self._mendable(error))
        if not mendable and not isinstance(error, KeyboardInterrupt):
            sys.__unraisablehook__(arguments)


def _is_starting(frame: FrameType | None) -> bool:
    """True while what the script calls is still being imported: nothing has begun."""
    inner: FrameType | None = None
    while frame is not None and frame.f_globals.get("__name__") != "__main__":
        inner, frame = frame, frame.f_back
    return frame is not None and inner is not None and inner.f_code.co_filename.startswith("<frozen importlib")


def _open_streams() -> None:
    """Give the standard streams that were closed somewhere to go: a file would else be opened in their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _in_one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    del category, filename, lineno, line
    return f"warning: {' '.join(str(message).split())}\n"
