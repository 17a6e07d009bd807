"""Timing many things fairly on a noisy machine: in rounds, each round in another order, and kept after every round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from config_file.errors import UserError
from config_file.files import append_jsonl, read_jsonl
from config_file.progress import progress

RUNS = 5
"""Timed runs of a probe per round, after one that warms up its caches."""

Timer = Callable[[int], list[float]]
"""(number of runs) -> milliseconds of each."""


class Rounds:
    """Measured times in a file of JSON lines: the settings, then one row per round.

    Args:
        path: of the file; it is continued if it was made with the same settings.
        settings: what the times depend on, as JSON.

    Raises:
        UserError: the file was made with other settings (it says which), or is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = dict(settings)
        rows = read_jsonl(path)
        found = rows[0].get("settings") if rows else self.settings
        if found != self.settings:
            known = found if isinstance(found, dict) else {}
            changed = [name for name in self.settings if known.get(name) != self.settings[name]]
            raise UserError(
                f"{path} was measured with another {', '.join(changed) or 'version'}; --overwrite starts anew"
            )
        self._started = bool(rows)
        self._rows = rows[1:]

    def __len__(self) -> int:
        """Rounds that are finished."""
        return len(self._rows)

    def measure(self, timers: Mapping[str, Timer], rounds: int, description: str) -> None:
        """Go on until there are so many rounds; each finished one is kept, whatever happens to the next.

        Args:
            timers: by name of the probe.
        """
        if not self._started:
            append_jsonl(self.path, {"settings": self.settings})
            self._started = True
        done = len(self) * len(timers)
        bar: tqdm[Any] = progress(rounds * len(timers), description, "probe", initial=done)
        with bar:
            for number in range(len(self), rounds):
                order = list(timers)
                Random(f"round {number}").shuffle(order)
                times = {}
                for name in order:
                    times[name] = [round(ms, 6) for ms in timers[name](1 + RUNS)[1:]]
                    bar.update(1)
                row = {"round": number, "ms": times}
                append_jsonl(self.path, row)
                self._rows.append(row)

    def times(self) -> dict[str, list[float]]:
        """All milliseconds by name of the probe."""
        times: dict[str, list[float]] = defaultdict(list)
        for row in self._rows:
            for name, found in row["ms"].items():
                times[name] += found
        return dict(times)
