"""One process at a time: a lock on a folder, which the system takes back from a process that has died.

The work of a folder may have parts. Each is then held by one process, and the folder only for a moment: while a process
opens it, or writes what all of them write.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from config_file.errors import UserError, system_error

PATIENCE = 60.0
"""Seconds to wait for a folder that is held for a moment only: it is opened, or a report is drawn."""


@contextmanager
def only_process(folder: Path, part: str = "", wait: float = 0.0) -> Iterator[None]:
    """Hold a folder, which need not be there yet, or a part of its work, for writing, against all other processes.

    The file of the lock lies beside the folder, and is gone afterwards; one that a dead process left locks nothing.
    This process may hold a folder several times: a stage, and what the stage calls.

    Args:
        wait: seconds after which a folder that another process holds is given up.

    Raises:
        UserError: another process holds it, or there can be no such file.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  # not every command writes

    place = folder.resolve()  # a step into another working folder must not part the lock from its folder
    made = [path for path in place.parents if not path.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        inside = place.is_dir() and not os.access(place.parent, os.W_OK)  # a volume that is all one may write to
        file = (place if inside else place.parent) / lock_name(place, part)
        lock = FileLock(file, blocking=False, is_singleton=True, thread_local=False)
        lock.acquire(timeout=wait, blocking=wait > 0)
    except Timeout:
        raise UserError(
            f"{folder}{f' ({part})' if part else ''} is being written by another process: wait for its end, or choose "
            "another --title or --output"
        ) from None
    except OSError as error:
        if isinstance(error, FileExistsError):  # what `mkdir` says of a file
            error.errno = errno.ENOTDIR
        raise UserError(f"cannot write the run's folder {folder}: {system_error(error) or error}") from None
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            file.unlink(missing_ok=True)  # while it is held: who has opened it by now notices
        lock.release()
        for path in made:
            with suppress(OSError):  # it holds something
                path.rmdir()


@contextmanager
def opening(
    folder: Path, mine: Sequence[str] = (), others: Sequence[str] = (), *, alone: bool = False
) -> Iterator[tuple[ExitStack, bool]]:
    """Hold a folder while it is opened, and what of it goes on being held: its parts, or all of it if it has none.

    Args:
        mine: the parts that this process does.
        others: those that other processes may do at the same time.
        alone: refuse to open it beside them.

    Returns:
        What goes on being held, if the caller takes it over (`pop_all`), and whether no other process writes.

    Raises:
        UserError: as `only_process`.
    """
    with ExitStack() as moment, ExitStack() as held:
        if not mine:
            held.enter_context(only_process(folder))
        else:
            moment.enter_context(only_process(folder, wait=PATIENCE))
        for part in mine:
            held.enter_context(only_process(folder, part))
        first = True
        for part in others:
            try:
                moment.enter_context(only_process(folder, part))
            except UserError:
                if alone:
                    raise
                first = False
        yield held, first


def lock_name(folder: Path, part: str = "") -> str:
    """The name of the file of the lock of a folder, or of a part of its work."""
    return f".{folder.name}.{part}.lock" if part else f".{folder.name}.lock"


def is_lock(file: Path, folder: Path) -> bool:
    """True for a file that is named as a lock of the folder or of a part of its work."""
    return file.name.startswith(f".{folder.resolve().name}.") and file.suffix == ".lock"
