"""Every evaluation of a run, as append-only JSON lines: the cache, the resume log, and the source of the report.

The first line says what the results depend on. A search needs no checkpoint beside this: a strategy is a function of
its seed and of what it was told, so it is driven again from the start, and everything evaluated before is a look-up.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.files import append_jsonl, mend_jsonl
from config_file.readers.door import reading
from config_file.readers.json_text import read_jsonl
from search.result import Fidelity, Result
from supernet import Architecture

FORMAT = "oneshot-nas archive 2"


class Archive:
    """Results in the order they were made; of an architecture there is one for each fidelity it was evaluated at.

    Args:
        path: the file; continued if it exists.
        fingerprints: {what: JSON value} on which every result depends, such as the hash of the weights.

    Raises:
        UserError: the file is not an archive, is damaged before its last line, or its results depend on something else.
    """

    def __init__(self, path: str | Path, fingerprints: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._results: dict[tuple[Architecture, Fidelity], Result] = {}
        header = {"format": FORMAT, "fingerprints": json.loads(json.dumps(dict(fingerprints)))}
        mend_jsonl(self.path)
        rows = read_jsonl(self.path)
        if rows:
            self._check(rows[0], header["fingerprints"])
            for result in results_of(self.path, rows):
                self._results[result.architecture, result.fidelity] = result
        else:
            append_jsonl(self.path, header)

    def __len__(self) -> int:
        return len(self._results)

    def find(self, architecture: Architecture, fidelity: Fidelity) -> Result | None:
        """The result at that fidelity, None where there is none."""
        return self._results.get((architecture, fidelity))

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results.values())

    def add(self, result: Result) -> None:
        """Keep a result; it is in the hands of the operating system when this returns."""
        append_jsonl(self.path, result.to_row())
        self._results[result.architecture, result.fidelity] = result

    def _check(self, header: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        check_format(self.path, header)
        if not isinstance(header.get("fingerprints"), dict):
            raise UserError(f"{self.path}: not a search archive ({FORMAT!r})")
        found = header["fingerprints"]
        differ = [what for what in {**found, **expected} if found.get(what) != expected.get(what)]
        if differ:
            changes = "; ".join(
                f"{what} was {_short(found.get(what))}, is {_short(expected.get(what))}" for what in differ
            )
            raise UserError(
                f"{self.path}: its evaluations cannot be continued, they were made with something else: {changes} "
                "(--overwrite starts anew)"
            )


def check_format(path: Path, header: Mapping[str, Any]) -> None:
    """Raises UserError unless the first line of an archive is of one that this version reads."""
    found = header.get("format")
    if found != FORMAT:
        earlier = isinstance(found, str) and found.startswith(FORMAT[:-1])
        raise UserError(
            f"{path}: {f'a search archive of another version ({found!r})' if earlier else 'not a search archive'}, "
            f"this one reads {FORMAT!r}"
        )


def results_of(path: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[Result]:
    """The results in the rows of an archive, of which the first is its header. Raises UserError for another row."""
    for line, row in enumerate(rows[1:], start=2):
        with reading(f"{path}, line {line}", "is not a row of a search archive"):
            result = Result.from_row(row)
        yield result


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
