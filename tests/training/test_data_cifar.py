"""CIFAR in the layouts it comes in, read without trusting its pickles."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from config_file.errors import UserError
from training.data import Data, cifar, load_data
from training.data.restricted_pickle import load_arrays

NAMES = [f"class_{i}" for i in range(10)]
PER_FILE = 20


def batch(seed: int) -> tuple[np.ndarray, list[int]]:
    pixels = np.random.default_rng(seed).integers(0, 256, (PER_FILE, 3072), dtype=np.uint8)
    return pixels, [i % 10 for i in range(PER_FILE)]


def write_python(root: Path, protocol: int = 2) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for seed, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        pixels, labels = batch(seed)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}, protocol))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": NAMES}, protocol))
    return folder


def write_binary(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for seed, name in enumerate([f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]):
        pixels, labels = batch(seed)
        (folder / name).write_bytes(np.column_stack((np.array(labels, dtype=np.uint8), pixels)).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def check(data: Data) -> None:
    assert data.classes == tuple(NAMES)
    assert [len(data.trainval), len(data.val), len(data.test)] == [100, 20, 20]
    assert (data.resolution, data.mean) == (32, (0.4914, 0.4822, 0.4465))
    pixels, labels = batch(5)
    expected = {
        image.reshape(3, 32, 32).transpose(1, 2, 0).tobytes(): y for image, y in zip(pixels, labels, strict=True)
    }
    raw = data.test.raw(range(20)).numpy()
    assert {image.tobytes(): y for image, y in zip(raw, data.test.labels.tolist(), strict=True)} == expected


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_original_pickles(settings, tmp_path: Path, protocol: int) -> None:
    folder = write_python(tmp_path, protocol)
    check(load_data(settings("cifar10", tmp_path)))
    check(load_data(settings("cifar10", folder)))


def test_a_pickle_written_by_python_2(tmp_path: Path) -> None:
    # Protocol 2 with byte strings, and the module names of the numpy of the time.
    content = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05"
        b"(K\x01K\x01K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x03\x01\xff\x03tbU\x06labelsq\x08]q\x09K\x07au."
    )
    (tmp_path / "batch").write_bytes(content)
    found = load_arrays(tmp_path / "batch")
    assert found["data"].tolist() == [[1, 255, 3]]
    assert found["labels"] == [7]


def test_the_binary_files(settings, tmp_path: Path) -> None:
    folder = write_binary(tmp_path)
    check(load_data(settings("cifar10", tmp_path)))
    check(load_data(settings("cifar10", folder)))


def test_cifar100_takes_the_fine_labels(settings, tmp_path: Path) -> None:
    names = [f"fine_{i}" for i in range(100)]
    python, binary = tmp_path / "p" / "cifar-100-python", tmp_path / "b" / "cifar-100-binary"
    python.mkdir(parents=True)
    binary.mkdir(parents=True)
    for name, per_class in (("train", 3), ("test", 1)):
        fine = np.repeat(np.arange(100), per_class)
        pixels = np.random.default_rng(per_class).integers(0, 256, (len(fine), 3072), dtype=np.uint8)
        content = {"data": pixels, "fine_labels": fine.tolist(), "coarse_labels": (fine // 5).tolist()}
        (python / name).write_bytes(pickle.dumps(content))
        columns = ((fine // 5).astype(np.uint8), fine.astype(np.uint8), pixels)
        (binary / f"{name}.bin").write_bytes(np.column_stack(columns).tobytes())
    (python / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    (binary / "fine_label_names.txt").write_text("\n".join(names))
    one, other = load_data(settings("cifar100", tmp_path / "p")), load_data(settings("cifar100", tmp_path / "b"))
    assert one.classes == other.classes == tuple(names)
    assert one.test.labels.tolist() == other.test.labels.tolist()
    assert (one.test.raw(range(100)) == other.test.raw(range(100))).all()


def test_folders_of_images(settings, digit_folder) -> None:
    data = load_data(settings("cifar10", digit_folder({"train": 4, "test": 1}, size=(32, 32))))
    assert (data.name, data.std) == ("cifar10", (0.2470, 0.2435, 0.2616))


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch owned",)


@pytest.mark.parametrize("content", [Attack(), {"data": [Attack()]}, print, SimpleNamespace(data=1)])
def test_a_pickle_that_names_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="not a pickle of plain arrays"):
        load_arrays(tmp_path / "batch")
    assert not (tmp_path / "owned").exists()


def test_damaged_and_missing_files_are_named(settings, tmp_path: Path) -> None:
    folder = write_python(tmp_path / "py")
    content = (folder / "data_batch_3").read_bytes()
    (folder / "data_batch_3").write_bytes(content[:1000])
    with pytest.raises(UserError, match="data_batch_3 is"):
        load_data(settings("cifar10", tmp_path / "py"))
    (folder / "data_batch_3").write_bytes(pickle.dumps({"labels": [1]}))
    with pytest.raises(UserError, match=r"data_batch_3 has no 'data'"):
        load_data(settings("cifar10", tmp_path / "py"))
    (folder / "data_batch_3").write_bytes(pickle.dumps({"data": np.zeros((1, 10)), "labels": [1]}))
    with pytest.raises(UserError, match="data_batch_3 does not hold images"):
        load_data(settings("cifar10", tmp_path / "py"))
    (folder / "data_batch_3").unlink()
    with pytest.raises(UserError, match="data_batch_3 is missing in"):
        load_data(settings("cifar10", tmp_path / "py"))
    folder = write_binary(tmp_path / "bin")
    (folder / "test_batch.bin").write_bytes(b"x" * 5000)
    with pytest.raises(UserError, match=r"test_batch\.bin is truncated"):
        load_data(settings("cifar10", tmp_path / "bin"))
    with pytest.raises(UserError, match=r"no cifar-10-batches-py/.*--download"):
        load_data(settings("cifar10", tmp_path))


def test_download_is_torchvisions_and_only_on_request(
    settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from supernet.torchvision_compat import torchvision

    asked = []

    def fake(url: str, root: str, filename: str, md5: str) -> None:
        asked.append((url, filename, md5))
        write_python(Path(root))

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", fake)
    check(load_data(settings("cifar10", tmp_path / "new", download=True)))
    assert asked[0][1:] == ("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")
    load_data(settings("cifar10", tmp_path / "new", download=True))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "no permission to write to"),
        (cifar.URLError("no route to host"), "could not be downloaded: .*no route to host"),
        (RuntimeError("File not found or corrupted."), "could not be downloaded: File not found or corrupted"),
    ],
)
def test_a_failed_download_is_one_line(
    settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    from supernet.torchvision_compat import torchvision

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", fail)
    with pytest.raises(UserError, match=message):
        load_data(settings("cifar10", tmp_path, download=True))
