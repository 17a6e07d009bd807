"""Every evaluation of a run, as append-only JSON lines: the cache, the resume log, and the source of the report.

The first line says what the results depend on. A search needs no checkpoint beside this: a strategy is a function of
its seed and of what it was told, so it is driven again from the start, and everything evaluated before is a look-up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.files import append_jsonl, read_jsonl
from search.result import Result
from supernet import Architecture

FORMAT = "oneshot-nas archive 1"


class Archive:
    """Results in the order they were made; of an architecture there is one for each number of images it was judged on.

    Args:
        path: the file; continued if it exists.
        fingerprints: {what: JSON value} on which every result depends, such as the hash of the weights.

    Raises:
        UserError: the file is not an archive, is damaged before its last line, or its results depend on something else.
    """

    def __init__(self, path: str | Path, fingerprints: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._results: dict[tuple[Architecture, int], Result] = {}
        self._best_known: dict[Architecture, Result] = {}
        header = {"format": FORMAT, "fingerprints": json.loads(json.dumps(dict(fingerprints)))}
        rows = read_jsonl(self.path) if _cut_torn_line(self.path) else []
        if rows:
            self._check(rows[0], header["fingerprints"])
            for line, row in enumerate(rows[1:], start=2):
                try:
                    result = Result.from_row(row)
                except (KeyError, TypeError, ValueError, AttributeError):
                    raise UserError(f"{self.path}, line {line}: not a row of a search archive") from None
                self._keep(result)
        else:
            append_jsonl(self.path, header)

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, architecture: object) -> bool:
        return architecture in self._best_known

    def __getitem__(self, architecture: Architecture) -> Result:
        """The result on the most images."""
        return self._best_known[architecture]

    def find(self, architecture: Architecture, images: int | None) -> Result | None:
        """The result on that many images (None: on the most), None where there is none."""
        if images is None:
            return self._best_known.get(architecture)
        return self._results.get((architecture, images))

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results.values())

    def add(self, result: Result) -> None:
        """Keep a result; it is in the hands of the operating system when this returns."""
        append_jsonl(self.path, result.to_row())
        self._keep(result)

    def _keep(self, result: Result) -> None:
        self._results[result.architecture, result.n_images] = result
        known = self._best_known.get(result.architecture)
        if known is None or result.n_images >= known.n_images:
            self._best_known[result.architecture] = result

    def _check(self, header: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        if header.get("format") != FORMAT or not isinstance(header.get("fingerprints"), dict):
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


def _cut_torn_line(path: Path) -> bool:
    """Cut off a last line that its writer did not finish. Returns whether anything is left."""
    if not path.exists():
        return False
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        os.truncate(path, end)
    return end > 0


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
