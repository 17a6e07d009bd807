"""Every evaluation of a run, as append-only JSON lines: the cache, the resume log, and the source of the report.

The first line says what the results depend on. A search needs no checkpoint beside this: a strategy is a function of
its seed and of what it was told, so it is driven again from the start, and everything evaluated before is a look-up.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.files import append_sealed, mend_jsonl
from config_file.readers.form import check_form
from config_file.readers.json_text import check_format, sealed_rows
from search.result import Fidelity, Result
from supernet import Architecture

FORMAT = "oneshot-nas archive 3"


class Results:
    """Results in the order they were made; of an architecture there is one for each fidelity it was evaluated at."""

    def __init__(self) -> None:
        self._results: dict[tuple[Architecture, Fidelity], Result] = {}

    def __len__(self) -> int:
        return len(self._results)

    def find(self, architecture: Architecture, fidelity: Fidelity) -> Result | None:
        """The result at that fidelity, None where there is none."""
        return self._results.get((architecture, fidelity))

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results.values())

    def add(self, result: Result) -> None:
        """Keep a result."""
        self._results[result.architecture, result.fidelity] = result


class Archive(Results):
    """Results that are kept in a file.

    Args:
        path: the file; continued if it exists.
        fingerprints: {what: JSON value} on which every result depends, such as the hash of the weights.

    Raises:
        UserError: the file is not an archive, is damaged before its last line, or its results depend on something else.
    """

    def __init__(self, path: str | Path, fingerprints: Mapping[str, Any]) -> None:
        super().__init__()
        self.path = Path(path)
        header = {"format": FORMAT, "fingerprints": json.loads(json.dumps(dict(fingerprints)))}
        found, results = read_archive(self.path)
        mend_jsonl(self.path)
        if found is None:
            append_sealed(self.path, header)
        else:
            self._check(found, header["fingerprints"])
        for result in results:
            super().add(result)

    def add(self, result: Result) -> None:
        """Keep a result; it is in the hands of the operating system when this returns."""
        append_sealed(self.path, result.to_row())
        super().add(result)

    def _check(self, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        differ = [what for what in {**found, **expected} if found.get(what) != expected.get(what)]
        if differ:
            changes = "; ".join(
                f"{what} was {_short(found.get(what))}, is {_short(expected.get(what))}" for what in differ
            )
            raise UserError(
                f"{self.path}: its evaluations cannot be continued, they were made with something else: {changes} "
                "(--overwrite starts anew)"
            )


def read_archive(path: Path) -> tuple[dict[str, Any] | None, list[Result]]:
    """The fingerprints and the results in an archive; None and no results where it has not even a header.

    Raises:
        UserError: it is damaged, of another kind or another version; the line is named.
    """
    rows = sealed_rows(path)
    header = next(rows, None)
    if header is None:
        return None, []
    check_format(header.get("format"), FORMAT, path)
    check_form(header, {"fingerprints": dict}, path)
    results = [Result.from_row(row, f"{path}, line {line}") for line, row in enumerate(rows, start=2)]
    return header["fingerprints"], results


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
