"""Ranks for tests: `run("module:function", folder)` calls a function of a folder on two ranks at once.

They are forked by a server that has imported torch once, and say what they say into files of the folder.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests import served

PATIENCE = 300


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port: int = found.getsockname()[1]
        return port


def start(functions: Sequence[str], folder: Path, **variables: str) -> list[BaseProcess]:
    """One rank for each function, called with the folder; other environment variables, "" to have one missing."""
    served.ensure_running()
    launched = {"WORLD_SIZE": str(len(functions)), "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}
    processes = []
    for rank, function in enumerate(functions):
        environment = launched | {"RANK": str(rank), "LOCAL_RANK": str(rank)} | variables
        process = served.SERVER.Process(target=_work, args=(function, folder, rank, environment))
        process.start()
        processes.append(process)
    return processes


def ended(processes: Sequence[BaseProcess], folder: Path) -> list[tuple[int | None, str]]:
    """(status, what was said) of each rank, once it has ended."""
    for process in processes:
        process.join(PATIENCE)
    return [(process.exitcode, (folder / f"rank{rank}.txt").read_text()) for rank, process in enumerate(processes)]


def run(function: str, folder: Path, ranks: int = 2) -> None:
    """Call `module:function(folder)` on so many ranks at once, which must end well."""
    said = ended(start([function] * ranks, folder), folder)
    assert all(status == 0 for status, _ in said), "\n".join(text for _, text in said)


def _work(function: str, folder: Path, rank: int, environment: dict[str, str]) -> None:
    import torch

    from config_file.errors import run_main
    from config_file.ranks import joined

    with (folder / f"rank{rank}.txt").open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.environ.update(environment)
    for name, value in environment.items():
        if not value:
            del os.environ[name]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    module, _, name = function.partition(":")

    def main(argv: Sequence[str] | None = None) -> Any:
        with joined():
            getattr(importlib.import_module(module), name)(folder)

    vars(sys.modules["__main__"])["main"] = main  # whose signals are handled as those of a script
    try:
        run_main(main)
    finally:
        sys.stdout.flush()
