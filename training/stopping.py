"""Ctrl-C and SIGTERM in a training: it ends after the running step, and is saved."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Self

from tqdm import tqdm

from config_file.process import ONE_SIGNAL
from config_file.progress import progress
from config_file.ranks import number as rank


class Progress:
    """Steps with a bar in front of a person, which Ctrl-C or SIGTERM ends after the running one, saved.

    Args:
        description: in front of the bar, "" for no bar.
        noun: of a step.
        catch: False lets Ctrl-C break into a step.
    """

    def __init__(
        self,
        total: int,
        before: int,
        description: str,
        *,
        noun: str = "step",
        how_to_resume: str,
        catch: bool = True,
    ) -> None:
        self._total, self._noun, self._how_to_resume = total, noun, how_to_resume
        self._open = ExitStack()
        self._bar: tqdm[int] | None = None
        if description:
            self._bar = self._open.enter_context(progress(total, description, "step", initial=before))
        self._stop = self._open.enter_context(stop_signal()) if catch else threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def show(self, **numbers: float) -> None:
        """Numbers behind the bar."""
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.3f}" for name, value in numbers.items()}, refresh=False)

    @property
    def asked(self) -> bool:
        """True once a stop is asked for in this process."""
        return self._stop.is_set()

    def done(self, step: int, save: Callable[[], None], *, due: bool, stop: bool | None = None) -> None:
        """Count a step as made, `step` of them by now; `save` where that is due or a stop is asked for.

        Args:
            stop: whether it is asked for; None: as `asked`.

        Raises:
            KeyboardInterrupt: it is asked for.
        """
        if self._bar is not None:
            self._bar.update()
        stop = self.asked if stop is None else stop
        if due or stop:
            save()
        if stop:
            raise KeyboardInterrupt(
                f"stopped after {self._noun} {step:,} of {self._total:,} and saved; go on with: {self._how_to_resume}"
            )


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets instead of breaking into a step; a second Ctrl-C interrupts at once.

    A process that was started to ignore a signal goes on ignoring it.
    """
    asked, asked_at = threading.Event(), 0.0
    process = os.getpid()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        if os.getpid() != process:  # a forked data worker: it ends with its parent
            return
        if asked.is_set() and time.monotonic() - asked_at < ONE_SIGNAL:
            return
        if asked.is_set():
            if callable(outer := before[signal.Signals(number)]):
                outer(number, frame)
            raise KeyboardInterrupt
        asked.set()
        asked_at = time.monotonic()
        if rank() == 0:
            print("\nfinishing this step and saving; once more to stop at once", file=sys.stderr)

    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
