"""The weights of the best trials, kept for what follows a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config_file.lock import PATIENCE, only_process
from deployment.weights import save_network
from search.archive import read_archive
from search.result import Fidelity, Result
from search.trials.files import TrialFiles
from supernet import Network
from tasks import Task


def keep_weights(
    files: TrialFiles, network: Network, about: dict[str, Any], result: Result, best: int, task: Task
) -> None:
    """Write the weights of a trial that has come to its end, and remove those that are not among the `best` any more.

    Those that are as good as the last of them stay too: a search may choose any of equals. Which ones are kept in the
    end does not depend on the order in which trials end.

    Args:
        about: the network, as the metadata of its file.
        result: of the trial, which may not be in its file yet.
    """
    described = {**about, "architecture": list(result.architecture), f"val_{task.metric}": result.value(task.metric)}
    with only_process(files.folder, "kept", wait=PATIENCE):
        save_network(files.weights, network, described)
        values = {files.weights: result.value(task.metric)}
        for path in sorted(files.folder.glob("*.safetensors")):
            if path != files.weights:
                value = _value(path.with_suffix(".jsonl"), result.fidelity, task.metric)
                values |= {} if value is None else {path: value}
        last = sorted(values.values(), reverse=task.maximise)[:best][-1]
        for path, value in values.items():
            if value != last and not task.better(value, last):
                path.unlink(missing_ok=True)


def _value(path: Path, fidelity: Fidelity, metric: str) -> float | None:
    """The metric of a trial in the end; None where it is not known yet."""
    ended = [result for result in read_archive(path)[1] if result.fidelity == fidelity]
    return ended[0].value(metric) if ended else None
