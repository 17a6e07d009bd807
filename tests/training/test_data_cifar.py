"""CIFAR in the layouts it comes in, read without trusting its pickles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from config_file.errors import UserError
from training.data import Data, cifar, load_data

NAMES = [f"class_{i}" for i in range(10)]
PER_FILE = 20


def batch(seed: int) -> tuple[np.ndarray, list[int]]:
    pixels = np.random.default_rng(seed).integers(0, 256, (PER_FILE, 3072), dtype=np.uint8)
    return pixels, [i % 10 for i in range(PER_FILE)]


def pickled(content: dict[str, object]) -> bytes:
    """As Python 2 wrote it, protocol 2; values are an array, integers or strings."""

    def text(value: str) -> bytes:
        return b"T" + len(value).to_bytes(4, "little") + value.encode("latin1")

    parts = []
    for key, value in content.items():
        if isinstance(value, np.ndarray):
            parts.append(text(key) + value.dumps()[2:-1])  # without protocol and end
        else:
            items = (text(v) if isinstance(v, str) else b"J" + v.to_bytes(4, "little") for v in value)
            parts.append(text(key) + b"](" + b"".join(items) + b"e")
    return b"\x80\x02}(" + b"".join(parts) + b"u."


def write_python(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for seed, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        pixels, labels = batch(seed)
        (folder / name).write_bytes(pickled({"data": pixels, "labels": labels}))
    (folder / "batches.meta").write_bytes(pickled({"label_names": NAMES}))
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


def test_the_original_pickles(settings, tmp_path: Path) -> None:
    folder = write_python(tmp_path)
    check(load_data(settings("cifar10", tmp_path)))
    check(load_data(settings("cifar10", folder)))


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
        (python / name).write_bytes(pickled(content))
        columns = ((fine // 5).astype(np.uint8), fine.astype(np.uint8), pixels)
        (binary / f"{name}.bin").write_bytes(np.column_stack(columns).tobytes())
    (python / "meta").write_bytes(pickled({"fine_label_names": names}))
    (binary / "fine_label_names.txt").write_text("\n".join(names))
    one, other = load_data(settings("cifar100", tmp_path / "p")), load_data(settings("cifar100", tmp_path / "b"))
    assert one.classes == other.classes == tuple(names)
    assert one.test.labels.tolist() == other.test.labels.tolist()
    assert (one.test.raw(range(100)) == other.test.raw(range(100))).all()


def test_folders_of_images(settings, digit_folder) -> None:
    data = load_data(settings("cifar10", digit_folder({"train": 4, "test": 1}, size=(32, 32))))
    assert (data.name, data.std) == ("cifar10", (0.2470, 0.2435, 0.2616))


def test_damaged_and_missing_files_are_named(settings, tmp_path: Path) -> None:
    folder = write_python(tmp_path / "py")
    content = (folder / "data_batch_3").read_bytes()
    (folder / "data_batch_3").write_bytes(content[:1000])
    with pytest.raises(UserError, match="data_batch_3 is"):
        load_data(settings("cifar10", tmp_path / "py"))
    (folder / "data_batch_3").write_bytes(pickled({"labels": [1]}))
    with pytest.raises(UserError, match=r"data_batch_3 has no 'data'"):
        load_data(settings("cifar10", tmp_path / "py"))
    (folder / "data_batch_3").write_bytes(pickled({"data": np.zeros((1, 10)), "labels": [1]}))
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
