"""`search.py` killed by SIGKILL in the middle, for tests."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch.multiprocessing

from search.cli import main
from tests.served import started

FORKED = torch.multiprocessing.get_context("fork")


def _search(arguments: list[str]) -> None:
    """`search.py`, whose --workers start at once as well."""
    torch.multiprocessing.get_context = lambda method: FORKED  # type: ignore[assignment]
    main(arguments)


def kill_once(arguments: list[str], reached: Callable[[], bool]) -> None:
    """Start a search and kill it as soon as it has come so far."""
    said = Path("said.txt")
    process = started(_search, arguments, said=said)
    while process.is_alive() and not reached():
        time.sleep(0.001)
    process.kill()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL, said.read_text()
