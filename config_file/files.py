"""Files that are either the old one or the new one, never half of one; and JSON lines that survive a crash."""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from config_file.readers.checksum import BLANK, FIELD, sealed_json
from config_file.readers.json_text import is_torn

_MARK = ".partial-"  # in the name of every temporary file, so that those a killed process left can be told


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; when the block ends well it is fsynced and renamed to ``path``.

    On any exception, Ctrl-C included, the temporary file is removed and ``path`` is left as it was. The temporary name
    keeps the suffix of ``path`` for writers that look at it.

    Raises:
        OSError: the folder is missing, unwritable or full; its ``filename`` is ``path``.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}{_MARK}", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(_mode(path))  # mkstemp is private (0600); a result is as readable as its neighbours
        yield temporary
        _sync_file(temporary)
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and (error.filename is None or _MARK in str(error.filename)):
            error.filename = str(path)
        raise
    _sync_folder(path.parent)


@contextmanager
def staging_folder(target: str | Path) -> Iterator[Path]:
    """Give an empty folder beside the folder ``target`` to prepare its files in; it is gone when the block ends.

    What is moved into ``target`` from there is moved within one file system. A block that fails leaves ``target`` as it
    was, and no parent folder that was not there before.

    Raises:
        OSError: the parent cannot be made, is unwritable or full; its ``filename`` is of ``target``.
    """
    target = Path(target)
    parent = target.parent
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    staged = target
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(f".{target.name}{_MARK}*"):  # by a killed process
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}{_MARK}", dir=parent) as name:
            staged = Path(name)
            yield staged
    except BaseException as error:
        for folder in made:
            with suppress(OSError):  # not empty: somebody else's by now
                folder.rmdir()
        if isinstance(error, OSError) and _MARK in str(error.filename):
            name = str(error.filename)
            error.filename = name.replace(str(staged), str(target)) if str(staged) in name else str(target)
        raise


def remove_leftovers(folder: str | Path) -> None:
    """Remove the temporary files that killed processes left in ``folder`` and below."""
    for path in Path(folder).rglob(f".*{_MARK}*"):
        path.unlink(missing_ok=True)


def remove_leftovers_of(path: Path) -> None:
    """Remove the temporary files that killed writers of one file left beside it; nobody else may be writing it."""
    for left in path.parent.glob(f".{path.stem}{_MARK}*{path.suffix}"):
        left.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """True if ``path`` is a temporary file of a killed process."""
    return path.name.startswith(".") and _MARK in path.name


def atomic_write_bytes(path: str | Path, data: bytes | bytearray | memoryview) -> None:
    """Write ``data`` to ``path`` so that a reader finds the old content or all of the new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 ``text`` to ``path`` so that a reader finds the old content or all of the new one."""
    atomic_write_bytes(path, text.encode("utf-8"))


def write_sealed(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON with a checksum, which `config_file.readers.json_text.read_sealed` compares.

    Raises:
        ValueError: it holds NaN or infinity, which JSON has no words for.
    """
    atomic_write_bytes(path, sealed_object(content))


def sealed_object(content: Mapping[str, Any]) -> bytes:
    """The bytes that `write_sealed` writes."""
    return sealed_json(json.dumps(_with_blank(content), indent=1, allow_nan=False) + "\n")


def append_jsonl(path: str | Path, row: Mapping[str, Any]) -> None:
    """Append ``row`` as one line of JSON and hand it to the operating system before returning.

    If an earlier writer died in the middle of a line, the torn rest is cut off first: it would swallow this row.
    If the disk fills up, the file is left as it was.

    Raises:
        ValueError: the row holds NaN or infinity, which JSON has no words for.
    """
    _append_row(path, json.dumps(row, allow_nan=False).encode("utf-8"))


def append_sealed(path: str | Path, row: Mapping[str, Any]) -> None:
    """As `append_jsonl`, with a checksum, which `config_file.readers.json_text.read_sealed_jsonl` compares."""
    _append_row(path, sealed_json(json.dumps(_with_blank(row), allow_nan=False)))


def _with_blank(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in content.items() if name != FIELD}, FIELD: BLANK}


def append_line(path: str | Path, text: str) -> None:
    """Append a line of text; if the disk fills up, the file is left as it was.

    Raises:
        OSError: the file cannot be written; its ``filename`` is ``path``.
    """
    with Path(path).open("a+b", buffering=0) as file:
        _append(file, file.seek(0, os.SEEK_END), text.encode("utf-8", "replace") + b"\n", path)


def _append_row(path: str | Path, line: bytes) -> None:
    with Path(path).open("a+b", buffering=0) as file:
        end, between = _after_last_row(file)
        file.truncate(end)
        _append(file, end, between + line + b"\n", path)


def _append(file: Any, end: int, content: bytes, path: str | Path) -> None:
    """Write all of the content at the end of a file, or leave it as it was."""
    try:
        left = memoryview(content)
        while left:  # a disk that fills up takes a part and refuses the rest
            left = left[file.write(left) :]
    except BaseException as error:
        file.truncate(end)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def mend_jsonl(path: str | Path) -> None:
    """Cut off a last line that its writer did not finish, or give it the newline that is all it lacks."""
    if Path(path).exists():
        with Path(path).open("r+b") as file:
            end, lacking = _after_last_row(file)
            file.truncate(end)
            file.seek(end)
            file.write(lacking)


def _after_last_row(file: Any) -> tuple[int, bytes]:
    """The place where the last row of a binary file ends, and the newline that it lacks, if it does."""
    end = _end_of_last_line(file)
    file.seek(end)
    rest = file.read()
    return (end, b"") if is_torn(rest) else (end + len(rest), b"\n")


def _end_of_last_line(file: Any) -> int:
    """Offset just after the last newline of a binary file, 0 if it has none."""
    end: int = file.seek(0, os.SEEK_END)
    block = 4096
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + int(found) + 1
        end = start
    return 0


def _mode(path: Path) -> int:
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    # The rename has happened; this only makes it outlive a power cut, and not every file system can.
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
