"""A few networks trained alone, as exact data for the structure of scores."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from config_file.errors import UserError
from search.result_table import averaged, read_rows
from search.structure.model import Fit, Floats
from supernet import Architecture
from supernet.decisions import DecisionSpace

FEWEST = 2
COLUMN = "accuracy"
MOST_EXACT = 10.0  # of the weight of a score


def read_trained(path: Path, space: DecisionSpace) -> dict[Architecture, float]:
    """{architecture: accuracy} of a CSV file; several rows of a network are averaged.

    Raises:
        UserError: no such file, not such a table, or fewer than two networks.
    """
    found: dict[Architecture, list[float]] = {}
    for architecture, numbers in averaged(read_rows(path, (COLUMN,), space), COLUMN).items():
        found.setdefault(space.canonical(architecture), []).extend(numbers)
    if len(found) < FEWEST:
        raise UserError(f"--calibrate {path}: it needs at least {FEWEST} networks with {COLUMN}, and has {len(found)}")
    return {architecture: float(np.mean(numbers)) for architecture, numbers in found.items()}


def calibrated(fit: Fit, form: str, codes: Floats, trained: Mapping[Architecture, float], weight: float) -> Fit:
    """The structure fitted anew, to the scores and to networks trained alone.

    Accuracies are on another scale than the scores, so only their order counts: among the values that the structure
    gives to these networks, each gets the one of its place.

    Args:
        codes: (N, D) of the scored networks, encoded.
        weight: of a trained network beside a scored one, at most MOST_EXACT.
    """
    space, networks = fit.structure.space, list(trained)
    order = np.argsort(np.argsort([trained[a] for a in networks], kind="stable"), kind="stable")
    exact = np.sort(fit.structure(networks))[order]
    weights = np.concatenate([np.ones(len(codes)), np.full(len(exact), min(weight, MOST_EXACT))])
    targets = np.concatenate([fit.targets, exact])
    both = np.concatenate([codes, space.encode(networks)])
    return Fit.of(space, both, targets, form, fit.penalty, fit.deviation, weights)
