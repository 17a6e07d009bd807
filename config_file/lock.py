"""One process at a time: a lock on a folder, which the system takes back from a process that has died."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from config_file.errors import UserError, system_error


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Hold a folder, which need not be there yet, for writing, against all other processes.

    The file of the lock lies beside the folder, and is gone afterwards; one that a dead process left locks nothing.
    This process may hold a folder several times: a stage, and what the stage calls.

    Raises:
        UserError: another process holds it, or there can be no such file.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  # not every command writes

    place = folder.resolve()  # a step into another working folder must not part the lock from its folder
    made = [path for path in place.parents if not path.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        inside = place.is_dir() and not os.access(place.parent, os.W_OK)  # a volume that is all one may write to
        file = (place if inside else place.parent) / lock_name(place)
        lock = FileLock(file, blocking=False, is_singleton=True, thread_local=False)
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{folder} is being written by another process: wait for its end, or choose another --title or --output"
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


def lock_name(folder: Path) -> str:
    """The name of the file of a folder's lock."""
    return f".{folder.name}.lock"
