"""Checkpoints: what is saved comes back, what is not ours is refused in one line, nothing is ever half written."""

from __future__ import annotations

import io
import random
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from config_file.readers.checksum import seal_zip
from tests.training import toy
from tests.training.toy import same
from training.checkpoint import Checkpoint
from training.train_supernet import train_supernet

SETTINGS = {"--lr": 0.1, "--batch-size": 64}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "last.pt"
    at(path).save(Kept({"step": 3, "model": {"w": torch.arange(1000.0)}}))
    return path


class Kept:
    """A state that is what it is given."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = {name: value for name, value in state.items() if name != "rng"}


def at(path: Path, kind: str = "supernet", fingerprint: str = "abc", settings: dict = SETTINGS) -> Checkpoint:
    return Checkpoint(path, kind, fingerprint, settings)


def load(path: Path, **asked: Any) -> dict[str, Any]:
    """The state, which is left as it was where it cannot be loaded."""
    kept = Kept({"before": 1})
    try:
        at(path, **asked).load_into(kept)
    except UserError:
        assert kept.state == {"before": 1}
        raise
    return kept.state


def write(path: Path, content: Any) -> None:
    """A file with a checksum that is right."""
    file = io.BytesIO()
    torch.save(content, file)
    seal_zip(file)
    path.write_bytes(file.getvalue())


def test_round_trip(saved: Path) -> None:
    state = load(saved)
    same(state, {"step": 3, "model": {"w": torch.arange(1000.0)}})


@pytest.mark.parametrize("size", [0, 1, 100, 0.5, 0.99])
def test_truncated(saved: Path, size: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: size if size >= 1 or size == 0 else int(size * len(content))])
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load(saved)


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04 nonsense", bytes(range(256)) * 40, b"\x80\x02}q\x00."])
def test_not_ours(saved: Path, content: bytes) -> None:
    saved.write_bytes(content)
    with pytest.raises(UserError, match="checkpoint"):
        load(saved)


def test_damaged_anywhere_never_gives_a_traceback(saved: Path) -> None:
    content = saved.read_bytes()
    rng = random.Random(0)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(5):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        saved.write_bytes(damaged)
        with pytest.raises(UserError, match="checkpoint"):
            load(saved)


def test_a_foreign_pickle_is_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    write(tmp_path / "evil.pt", {"format": Evil()})
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load(tmp_path / "evil.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "retrain"}, "supernet checkpoint"),
        ({"fingerprint": "xyz"}, "another search space"),
        ({"settings": SETTINGS | {"--lr": 0.2}}, "with --lr 0.1, not 0.2"),
    ],
)
def test_of_something_else(saved: Path, change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(saved, **change)


def test_of_another_version_or_program(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    write(saved, content | {"format": "oneshot-nas checkpoint 99"})
    with pytest.raises(UserError, match=r"of another version of this toolkit \(oneshot-nas checkpoint 99\)"):
        load(saved)
    torch.save(content | {"format": "oneshot-nas checkpoint", "version": 2}, saved)  # it had no checksum
    with pytest.raises(UserError, match=r"not a readable checkpoint: it has no checksum: .* of an earlier version"):
        load(saved)
    write(saved, {"state_dict": {}})
    with pytest.raises(UserError, match="it lacks 'format'"):
        load(saved)
    with pytest.raises(UserError, match="no checkpoint"):
        load(saved.with_name("other.pt"))


def test_a_disk_without_room_keeps_the_checkpoint_before(saved: Path) -> None:
    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(OSError):  # noqa: PT011 - EFBIG stands for ENOSPC, which takes a disk to fill
            at(saved).save(Kept({"model": torch.zeros(10_000)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_random_generators_go_on_where_they_were(tmp_path: Path) -> None:
    at(tmp_path / "rng.pt").save(Kept({}))
    first = random.random(), np.random.rand(3), torch.rand(3)  # noqa: NPY002
    load(tmp_path / "rng.pt")
    second = random.random(), np.random.rand(3), torch.rand(3)  # noqa: NPY002
    assert first[0] == second[0]
    assert np.array_equal(first[1], second[1])
    assert torch.equal(first[2], second[2])


def test_those_before_are_kept_under_numbers(tmp_path: Path) -> None:
    kept = replace(at(tmp_path / "last.pt"), kept=3)
    for step in range(5):
        kept.save(Kept({"step": step}))
        kept.keep_as_best()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "last.1.pt", "last.2.pt", "last.pt"]
    steps = [replace(kept, path=path).read()["step"] for path in (kept.path, kept.earlier(1), kept.earlier(2))]
    assert steps == [4, 3, 2]
    content = bytearray(kept.path.read_bytes())
    content[100] ^= 1
    kept.path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"last\.pt is not a readable checkpoint \(the one before it is .*last\.1\.pt\)"
    ):
        kept.read()


def test_a_checkpoint_after_so_many_minutes_changes_nothing_else(tmp_path: Path) -> None:
    train_supernet(toy.supernet_options(tmp_path, "straight"))
    train_supernet(toy.supernet_options(tmp_path, "saved", checkpoint_minutes=1e-9, checkpoints_kept=3))
    folder = tmp_path / "saved" / "supernet" / "checkpoints"
    states = [torch.load(folder / name, weights_only=True)["state"] for name in ("last.pt", "last.1.pt", "last.2.pt")]
    assert [states[0]["step"] - state["step"] for state in states] == [0, 1, 2]  # within an epoch too
    a, b = ((tmp_path / title / "supernet" / "supernet.safetensors").read_bytes() for title in ("straight", "saved"))
    assert a == b
