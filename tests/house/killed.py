"""A stage killed in every window between two of its files, and resumed: `python -m tests.house.killed STAGE FOLDER`.

The windows are found by running the stage once and listening to what it opens for writing, renames and removes. It is
then run again and killed (`os._exit`, of which no `finally` hears) just before each of these that concerns another
file than the one before, or gives a file its name, and once more with --resume. What it leaves must be what it leaves
in one go. One process forks all runs: what takes seconds to import is imported once.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from deployment.cli import main as export
from lookup_tables.cli import main as tables
from search.cli import main as search
from search.comparison.verdict import main as verdict
from search.ranking.rank import main as rank
from training.cli import main_retrain, main_train_supernet

KILLED = 9
TITLE = ["--title", "t", "--threads", "1", "--no-tensorboard"]
SPACE = ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16"]
DATA = ["--dataset", "digits", "--resolution", "8", "--train-portion", "0.2", "--batch-size", "64"]
TRAINING = [*TITLE, *SPACE, *DATA, "--epochs", "3", "--lr", "0.1"]
QUICK = [*TITLE, "--calibration-images", "64", "--eval-images", "60", "--target-hc", "0.06"]
TABLE = [*SPACE, "--resolution", "16", "--networks", "1"]

Main = Callable[[list[str]], Any]
COMMANDS: dict[str, tuple[Main, list[str], str, tuple[str, ...]]] = {
    "supernet": (main_train_supernet, TRAINING, "supernet", ()),
    "differentiable": (
        main_train_supernet, [*TRAINING, "--sample-strategy", "differentiable"], "supernet", (),
    ),
    "search": (search, [*QUICK, "--search-strategy", "random", "--random-iteration", "3"], "search", ("supernet",)),
    "front": (
        search, [*QUICK, "--search-strategy", "nsga2", "--population", "4", "--evaluations", "6"], "search",
        ("supernet",),
    ),
    "learning": (
        search, [*QUICK, "--search-strategy", "differentiable", "--a-epochs", "2", "--a-samples", "2"], "search",
        ("supernet",),
    ),
    "retrain": (
        main_retrain,
        [*TITLE, "--epochs", "3", "--lr", "0.1", "--train-on", "train", "--export-checkpoint", "best"],
        "retrain",
        ("supernet", "search"),
    ),
    "export": (export, ["--title", "t", "--threads", "1"], "export", ("supernet", "search", "retrain")),
    "rank": (rank, [*QUICK[:-2], "--truth", "truth.csv", "--resamples", "20"], "rank", ("supernet", "search")),
    "verdict": (
        verdict, [*TITLE, "--epochs", "1", "--lr", "0.1", "--seeds", "2"], "verdict", ("supernet", "search"),
    ),
    "kit": (tables, ["kit", *TABLE, "--output", "runs/t/kit"], "kit", ()),
    "table": (
        tables, ["build", "--metric", "latency", *TABLE, "--rounds", "3", "--output", "runs/t/table/t.json"], "table",
        (),
    ),
}  # fmt: skip
"""By name: the command, its arguments, the folder that it leaves, and the stages it needs."""

ANEW = ("kit", "table")
"""Commands that go on without being told to."""

VOLATILE = {
    *("seconds", "time", "checksum", "resumed", "date", "latency", "median_ms", "made", "value", "median", "spread"),
    *("scale", "offset", "self_check", "ms", "sha256", "bytes", "commit"),
}
"""Fields of measured times and of what contains them; two runs that nobody disturbs differ in them."""
