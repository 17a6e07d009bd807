"""A single bit of a file of ours, turned over anywhere, is noticed by whoever reads the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from config_file.files import append_sealed, write_sealed
from config_file.readers.json_text import read_json_of_anybody, read_sealed, read_sealed_jsonl
from config_file.run_mark import new_mark, read_mark
from deployment.retrained import _read_samples, save_samples
from deployment.weights import load_network, save_network
from lookup_tables import build_table
from lookup_tables.latency.measure import Rounds
from lookup_tables.table_file import read_table
from search.archive import Archive, read_archive
from search.result import Fidelity, Result
from supernet.blocks import Head
from supernet.network import Network
from supernet.spec import NetSpec, Node
from tests.lookup_tables.small_spaces import small_space
from training.checkpoint import Checkpoint

FORM = "oneshot-nas toy 1"


class Kept:
    def state_dict(self) -> dict[str, Any]:
        return {"step": 3, "w": torch.arange(4.0)}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def write_rows(path: Path) -> None:
    for number in range(2):
        append_sealed(path, {"title": f"ä{number}", "test_accuracy": 1e-7 + number})


def write_archive(path: Path) -> None:
    archive = Archive(path, {"weights": "abc"})
    for number in range(2):
        archive.add(Result((number, 1), {"accuracy": 0.5, "loss": 1e-7}, Fidelity(images=7), {"seconds": 0.25}))


def write_rounds(path: Path) -> None:
    append_sealed(path, {"settings": {"engine": "toy"}})
    append_sealed(path, {"round": 0, "ms": {"block": [1.25, 1.5]}})


def write_network(path: Path) -> None:
    torch.manual_seed(0)
    save_network(path, Network(NetSpec((Node("head", Head(2), ("input",)),))), {"classes": ["a", "b"], "mean": [0.5]})


def write_samples(path: Path) -> None:
    save_samples(path, np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3), np.array([1]), np.ones((1, 2), np.float32))


def checkpoint(path: Path) -> Checkpoint:
    return Checkpoint(path, "supernet", "abc", {"--lr": 0.1})


CONTENT = {"format": FORM, "architecture": [0, 3], "accuracy": 1e-7, "nested": {"name": "ä", "none": None, "yes": True}}
KINDS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "file.json": (lambda path: write_sealed(path, CONTENT), lambda path: read_sealed(path, FORM)),
    "best.json": (lambda path: write_sealed(path, CONTENT), lambda path: read_json_of_anybody(path, path)),
    "env.json": (lambda path: write_sealed(path, new_mark("search")), lambda path: read_mark(path.parent)),
    "rows.jsonl": (write_rows, read_sealed_jsonl),
    "archive.jsonl": (write_archive, read_archive),
    "rounds.jsonl": (write_rounds, lambda path: Rounds(path, {"engine": "toy"})),
    "model.safetensors": (write_network, load_network),
    "samples.npz": (write_samples, lambda path: _read_samples(path, None)),
    "last.pt": (lambda path: checkpoint(path).save(Kept()), lambda path: checkpoint(path).load_into(Kept())),
    "table.json": (lambda path: build_table(small_space("squeezed")).save(path), read_table),
}


def flipped(content: bytes, most: int = 150) -> Iterator[tuple[int, bytes]]:
    """Bits spread over a file, each of the eight in its turn."""
    bits = 8 * len(content)
    for bit in sorted({number * bits // most for number in range(most)}):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


@pytest.mark.parametrize("name", KINDS)
def test_a_flipped_bit_is_refused(name: str, tmp_path: Path) -> None:
    write, read = KINDS[name]
    path = tmp_path / name
    write(path)
    content = path.read_bytes()
    read(path)
    accepted = []
    for bit, changed in flipped(content):
        path.write_bytes(changed)
        try:
            # A mark that does not say it is ours makes its folder somebody else's, which is refused by its files.
            accepted += [bit] if read(path) is not None or name != "env.json" else []
        except UserError:
            continue
    assert accepted == []
    path.write_bytes(content)
    read(path)
