"""The file: a round trip without loss, and one clear line for every file that must not be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_file.errors import UserError
from lookup_tables import CostTable, build_table
from lookup_tables import table_file as module
from lookup_tables.table_file import write_table
from supernet import SearchSpace, build_space
from tests.lookup_tables.small_spaces import SMALL, small_space


@pytest.fixture
def space() -> SearchSpace:
    return small_space("squeezed")


@pytest.fixture
def file(space: SearchSpace, tmp_path: Path) -> Path:
    path = tmp_path / "table.json"
    build_table(space).save(path)
    return path


def changed(path: Path, change: Callable[[dict[str, Any]], Any], honest: bool = False) -> None:
    """Edit a file; with `honest` the checksum is made to fit what was edited."""
    content = json.loads(path.read_text())
    change(content)
    if honest:
        header = {key: content[key] for key in content if key not in ("format", "version", "checksum", "entries")}
        write_table(path, header, content["entries"])
    else:
        path.write_text(json.dumps(content))


@pytest.mark.parametrize("metric", ["flops", "params"])
@pytest.mark.parametrize("name", SMALL)
def test_round_trip(name: str, metric: str, tmp_path: Path) -> None:
    space, path = small_space(name), tmp_path / "table.json"
    table = build_table(space, metric, 48)
    table.save(path)
    loaded = CostTable.load(path, small_space.__wrapped__(name), 48, metric)
    assert loaded.entries == table.entries
    for field in ("metric", "resolution", "counted", "counter", "counter_version", "device", "threads"):
        assert getattr(loaded, field) == getattr(table, field)
    architectures = np.random.default_rng(0).integers(0, space.sizes, (50, len(space.sizes)))
    assert np.array_equal(loaded.cost(architectures), table.cost(architectures))
    written = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == written


def test_what_is_written(file: Path, space: SearchSpace) -> None:
    content = json.loads(file.read_text())
    assert content["format"] == "oneshot-nas lookup table"
    about = {key: content[key] for key in ("version", "metric", "unit", "counter", "resolution", "in_channels")}
    assert about == {
        "version": 3,
        "metric": "flops",
        "unit": "MACs",
        "counter": "analytic",
        "resolution": 32,
        "in_channels": 3,
    }
    assert content["device"] is content["engine"] is content["threads"] is None
    assert content["search_space"] == "squeezed"
    assert content["macro_fingerprint"] == space.macro_fingerprint
    assert build_space(**content["space_options"]).macro_fingerprint == space.macro_fingerprint
    stem = content["entries"][0]
    assert stem["input_shape"] == [3, 32, 32]
    assert stem["block"]["block"] == "Conv"
    assert (stem["median"], stem["spread"], stem["count"]) == (stem["value"], 0, 1)
    assert len(file.read_text().splitlines()) == len(content["entries"]) + len(content) + 2 + 1, "one entry per line"


def refused(path: Path, space: SearchSpace, *args: Any) -> str:
    with pytest.raises(UserError) as error:
        CostTable.load(path, space, *args)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_space(file: Path, space: SearchSpace) -> None:
    other = small_space("spos")
    message = refused(file, other)
    assert f"squeezed ({space.macro_fingerprint})" in message
    assert f"spos ({other.macro_fingerprint})" in message
    more_classes = build_space(**space.describe() | {"num_classes": 11})
    assert "classes" in refused(file, more_classes)


def test_another_resolution_metric_or_unit(file: Path, space: SearchSpace) -> None:
    assert refused(file, space, 64).endswith("is for 32 pixels, not for 64")
    assert refused(file, space, 32, "params").endswith("holds flops, not params")
    changed(file, lambda content: content.update(unit="GMACs"), honest=True)
    assert refused(file, space).endswith("flops must be in MACs, not in GMACs")
    changed(file, lambda content: content.update(metric="latensy"), honest=True)
    assert "'latensy'" in refused(file, space)


def test_what_is_no_table(tmp_path: Path, space: SearchSpace, file: Path) -> None:
    assert refused(tmp_path / "none.json", space).endswith("no such file")
    for content in (b"", b"hello", b"\xff\xfe\x00", b"[1]", b'{"a": 1}', b"[" * 100_000):
        (tmp_path / "other").write_bytes(content)
        assert "is not a lookup table of this toolkit" in refused(tmp_path / "other", space)
    changed(file, lambda content: content.update(version=4))
    assert "version 4 is not known" in refused(file, space)
    changed(file, lambda content: content.update(version=1))
    assert "of an earlier version" in refused(file, space)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.99])
def test_a_truncated_table(file: Path, space: SearchSpace, kept: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    assert "truncated or damaged" in refused(file, space)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["entries"][3].update(value=1),
        lambda content: content["entries"].pop(),
        lambda content: content["entries"].reverse(),
        lambda content: content.pop("entries"),
        lambda content: content.pop("checksum"),
        lambda content: content.update(entries={}),
        lambda content: content.update(scale=0.001),
        lambda content: content.update(offset=-5e6),
        lambda content: content.update(device="another"),
    ],
)
def test_a_changed_table(file: Path, space: SearchSpace, change: Callable[[dict[str, Any]], Any]) -> None:
    changed(file, change)
    assert "checksum: damaged" in refused(file, space)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries[2].update(value=-1), "entry 3: value must be a number of at least 0, not -1"),
        (
            lambda entries: entries[2].update(value=float("nan")),
            "truncated or damaged, not JSON: NaN",
        ),
        (lambda entries: entries[0].update(value="7"), "entry 1: value must be a number, not"),
        (lambda entries: entries[0].update(count=True), "entry 1: count must be a number"),
        (lambda entries: entries[0].update(value=10**400), "the integer of 1329 bits is beyond 64 bits"),
        (lambda entries: entries[0].pop("median"), "entry 1: it lacks 'median'"),
        (lambda entries: entries.__setitem__(0, 7), "entry 1: "),
        (lambda entries: entries.pop(), "has no entry for pool+linear at 32x16x16 of squeezed"),
    ],
)
def test_entries_that_make_no_sense(
    file: Path, space: SearchSpace, change: Callable[[list[Any]], Any], message: str
) -> None:
    changed(file, lambda content: change(content["entries"]), honest=True)
    assert re.search(re.escape(message), refused(file, space))


def test_a_failed_write_leaves_the_old_file(file: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def no_space(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(module, "atomic_write_bytes", no_space)
    with pytest.raises(OSError, match="No space left"):
        build_table(space, "params").save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
