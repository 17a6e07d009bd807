"""`search.py` killed by SIGKILL in the middle, for tests. What takes seconds to import is imported once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

from matplotlib.figure import Figure

from search.cli import main
from tests import pictures

ROOT = Path(__file__).resolve().parents[2]
# A server that has imported this file, and forks each search.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.search.killing"])


def _search(arguments: list[str], folder: Path, errors: Path) -> None:
    """`search.py` in a process of its own, in a folder; what it says of mistakes goes into a file."""
    os.chdir(folder)
    Figure.savefig = pictures.blank  # type: ignore[method-assign]
    with errors.open("wb") as file, Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main(arguments)


def kill_once(arguments: list[str], reached: Callable[[], bool]) -> None:
    """Start a search and kill it as soon as it has come so far."""
    errors = Path("errors.txt").resolve()
    with patch.dict(os.environ, PYTHONPATH=str(ROOT)):  # the server does not find this file otherwise
        forkserver.ensure_running()
    process = SERVER.Process(target=_search, args=(arguments, Path.cwd(), errors))
    process.start()
    while process.is_alive() and not reached():
        time.sleep(0.001)
    process.kill()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL, errors.read_text()
