"""Two ranks for tests: `python -m tests.training.pair MODULE:FUNCTION FOLDER` is one of them, `run` starts both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What torchrun would set."""
    return {
        **os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port),
        "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port: int = found.getsockname()[1]
        return port


def start(commands: Sequence[Sequence[Any]], cwd: Path | None = None) -> list[subprocess.Popen[str]]:
    """One process for each command, which are the ranks."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=environment(rank, len(commands), port),
            cwd=cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank, command in enumerate(commands)
    ]


def ended(processes: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """(status, standard output, standard error) of each, once it has ended."""
    said = [process.communicate(timeout=300) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def run(function: str, folder: Path, ranks: int = 2) -> None:
    """Call `module:function(folder)` on so many ranks at once, which must end well."""
    said = ended(start([["-m", "tests.training.pair", function, folder]] * ranks, folder))
    assert all(status == 0 for status, *_ in said), "\n".join(out + error for _, out, error in said)


if __name__ == "__main__":
    import importlib

    import torch

    from config_file.errors import run_main
    from config_file.ranks import joined

    def main(argv: Sequence[str] | None = None) -> None:
        torch.set_num_threads(1)
        module, _, name = sys.argv[1].partition(":")
        with joined():
            getattr(importlib.import_module(module), name)(Path(sys.argv[2]))

    run_main(main)
