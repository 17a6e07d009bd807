"""Reading what others wrote: whatever goes wrong ends in one line, and nothing is read without a limit.

A damaged file fails in whatever way its damage leads to, so no list of exceptions is ever complete. ``reading`` is the
one place that turns any of them into a ``UserError``; the readers beside it turn bytes into plain data, and the rooms
wrap in it what they make of that data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from config_file.errors import UserError, system_error

K = TypeVar("K")
V = TypeVar("V")

MEBI = 2**20


@contextmanager
def reading(where: str | Path, otherwise: str = "is damaged, or not what it should be") -> Iterator[None]:
    """Turn every exception of the block into one line: ``{where} {otherwise}: reason``.

    Args:
        where: the file, and the line in it where that is known.
        otherwise: what the file then is not.

    Raises:
        UserError: instead of whatever was raised, which is its ``__cause__``; one of the block that does not say
            `where` is told so, and an error of the system names the file that it is of.
    """
    try:
        yield
    except UserError as error:
        if str(where) in str(error):
            raise
        raise UserError(f"{where}: {error}") from error
    except OSError as error:
        found = error.filename if isinstance(error.filename, str) else where  # it may be another one, or one written
        raise UserError(f"{found}: {_system_words(error)}") from error
    except MemoryError as error:
        raise UserError(f"{where} {otherwise}: it asks for more memory than there is") from error
    except BaseException as error:
        # A panic of a reader in Rust derives from BaseException, unlike Ctrl-C it is the file's fault.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(f"{where} {otherwise}{_reason(error)}") from error


def read_bytes(path: str | Path, at_most: int = 256 * MEBI) -> bytes:
    """The content of a file.

    Raises:
        UserError: there is no such file, it is a folder, a device or a pipe, larger than `at_most` bytes, or
            unreadable.
    """
    path = Path(path)
    with reading(path):
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: not a file")
        size = path.stat().st_size
        if size > at_most:
            raise UserError(f"{path}: {size / MEBI:,.0f} MB are more than such a file can have ({at_most // MEBI} MB)")
        return path.read_bytes()


def read_text(path: str | Path, at_most: int = 256 * MEBI) -> str:
    """The text of a UTF-8 file, its byte order mark left out. Raises UserError as `read_bytes`, or if it is no text."""
    return decoded(read_bytes(path, at_most), path)


def decoded(content: bytes, where: str | Path) -> str:
    """UTF-8 bytes as text. Raises UserError that begins with `where`."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where} is not a text file in UTF-8") from None


def put_once(found: dict[K, V], key: K, value: V, where: str | Path, what: str = "") -> None:
    """Enter what may stand in a file only once. Raises UserError that begins with `where` where it is there already.

    Args:
        what: the key in words, for the message.
    """
    if key in found:
        raise UserError(f"{where}: {what or repr(key)} is there twice")
    found[key] = value


def check_plain(content: Any, where: str | Path, most_levels: int = 64) -> None:
    """See that data from a file are what the rest of the toolkit can count, print and write again.

    Nested no deeper than `most_levels`, all keys text, integers of 64 bits, numbers finite, text without halves of
    characters (lone surrogates), and nothing but these, lists, true, false and null.

    Raises:
        UserError: something else is in it.
    """
    level: list[Any] = [content]
    for _ in range(most_levels + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                for key in value:
                    if not isinstance(key, str):
                        raise UserError(f"{where}: a key must be text, not {key!r}")
                    _check_value(key, where)
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
            else:
                _check_value(value, where)
        if not inner:
            return
        level = inner
    raise UserError(f"{where}: nested deeper than {most_levels} levels")


def _check_value(value: Any, where: str | Path) -> None:
    if isinstance(value, str):
        # Only text beyond Latin-1 can hold a surrogate, and asking for that is cheap.
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UserError(f"{where}: {value!r:.60} is not text: it holds half a character")
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise UserError(f"{where}: the integer {_digits(value)} is beyond 64 bits")
    elif isinstance(value, float):
        if value - value != 0:
            raise UserError(f"{where}: {value} is not a finite number")
    else:
        raise UserError(f"{where}: {value!r:.60} is not a number, text, list or mapping")


def _digits(value: int) -> str:
    return f"of {value.bit_length()} bits" if value.bit_length() > 100 else str(value)


def _system_words(error: OSError) -> str:
    line = system_error(OSError(error.errno, "")) or error.strerror or str(error)
    return line or type(error).__name__


def _reason(error: BaseException) -> str:
    """The exception's own words, as far as a reader of the file can use them."""
    if isinstance(error, KeyError) and error.args:
        return f": it lacks {error.args[0]!r}"
    words = next(iter(str(error).splitlines()), "")
    return f": {words[:120]}" if words else ""
