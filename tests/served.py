"""Processes that are forked by a server, which imports once what each of them would take seconds to import.

One server for a whole session of tests. It has computed nothing, so that what it forks has no threads to miss.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.house.killed"])


def ensure_running() -> None:
    """Start the server if nobody has."""
    with patch.dict(os.environ, PYTHONPATH=str(ROOT)):  # it does not find the tests otherwise
        forkserver.ensure_running()


def started(function: Callable[..., object], *arguments: object, said: Path) -> BaseProcess:
    """Start a function of a module in a process of its own, in this folder; what it prints goes into a file."""
    ensure_running()
    process = SERVER.Process(target=_call, args=(function, arguments, Path.cwd(), said.resolve()))
    process.start()
    return process


def _call(function: Callable[..., object], arguments: tuple[Any, ...], folder: Path, said: Path) -> None:
    gc.freeze()  # as many objects as are imported would be copied to be looked at
    os.chdir(folder)
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function(*arguments)
