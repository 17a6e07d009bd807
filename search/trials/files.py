"""The files of one trial: its log and metrics, a checkpoint, what was found, and the weights that are kept."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.files import append_jsonl, append_line, atomic_write_text
from config_file.readers.form import check_form
from config_file.readers.json_text import read_jsonl
from search.archive import Archive, read_archive
from search.result import Fidelity
from supernet import Architecture
from training.checkpoint import RETRAIN, Checkpoint, Stateful
from training.kept_trial import name_of


@dataclass(frozen=True)
class TrialCheckpoint(Checkpoint):
    """The latest checkpoint of a trial.

    Attributes:
        rung: on the way to which it is.
        lost: the rung up to which a training was charged that is lost; -1 for none. What is charged counts from there.
    """

    rung: int = 0
    lost: int = -1

    def save(self, state: Stateful) -> None:
        super().save(_OnTheWay(state, {"rung": self.rung, "lost": self.lost}))

    def keep_as_best(self) -> None:
        """Nothing: a trial is judged by its last step."""


@dataclass
class _OnTheWay:
    state: Stateful
    place: Mapping[str, int]

    def state_dict(self) -> dict[str, Any]:
        return {**self.state.state_dict(), **self.place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state.load_state_dict(state)


class TrialFiles:
    """The files of a trial in the folder of all trials.

    Args:
        fingerprints: of the trials: what was trained with others is refused.
    """

    def __init__(self, folder: Path, architecture: Architecture, fingerprints: Mapping[str, Any]) -> None:
        self.folder, self.architecture = folder, architecture
        name = name_of(architecture)
        self.log_file, self.metrics_file = folder / f"{name}.log", folder / f"{name}.metrics.jsonl"
        self.weights, self._results = folder / f"{name}.safetensors", folder / f"{name}.jsonl"
        self.checkpoint_file = folder / f"{name}.pt"
        text = json.dumps(dict(fingerprints), sort_keys=True)
        self._fingerprints = {"trials": hashlib.sha256(text.encode()).hexdigest()[:16]}

    def results(self) -> Archive:
        """The results so far, to which more are added.

        Raises UserError where they were found with something else, or are damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        return Archive(self._results, self._fingerprints)

    def spent(self, fidelities: Collection[Fidelity]) -> Counter[str]:
        """The sum of what was charged at fidelities."""
        charged: Counter[str] = Counter()
        for result in read_archive(self._results)[1]:
            charged.update(result.spent if result.fidelity in fidelities else {})
        return charged

    def checkpoint(self, rung: int = 0, lost: int = -1) -> TrialCheckpoint:
        """The checkpoint, to be saved on the way to a rung; see TrialCheckpoint."""
        owner = f"{self._fingerprints['trials']} {name_of(self.architecture)}"
        return TrialCheckpoint(self.checkpoint_file, RETRAIN, owner, {}, rung=rung, lost=lost)


class TrialReporter:
    """The log and the metrics of a trial: no TensorBoard, and nothing on the screen.

    Args:
        rung: which its rows are of; steps are counted anew at every rung.
        step: up to which they count; later ones, of an interrupted training, are forgotten.
    """

    def __init__(self, files: TrialFiles, rung: int, step: int) -> None:
        self._files, self._rung = files, rung
        path = files.metrics_file
        if path.is_file():
            rows = read_jsonl(path)
            check_form(rows, [{"rung": int, "step": int}], path)
            kept = [row for row in rows if (row["rung"], row["step"]) <= (rung, step)]
            atomic_write_text(path, "".join(json.dumps(row) + "\n" for row in kept))

    def log(self, text: str = "") -> None:
        append_line(self._files.log_file, text)

    def metric(self, step: int, **values: float) -> None:
        append_jsonl(self._files.metrics_file, {"rung": self._rung, "step": step, **values})
