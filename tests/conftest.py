"""What every test gets: one thread, fixed seeds, and real data where there is some."""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

# Before torch and numpy load their thread pools: workers of pytest-xdist share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before a test imports onnxruntime

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from matplotlib.figure import Figure

from tests import disk, pictures, served

ROOT = Path(__file__).resolve().parent.parent

gc.disable()  # until all tests are imported
torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script: some tests are Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
Figure.savefig = pictures.blank  # type: ignore[method-assign]
os.fsync = disk.written  # type: ignore[assignment]


def pytest_collection_finish() -> None:
    """Take what was imported and collected off what Python searches for garbage, again and again."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - torchvision and scikit-learn may read the global generator
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published tables and real images (NAS_SHARED_DATA, or ../shared/data); skips where missing."""
    folder = Path(os.environ.get("NAS_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data: no folder at NAS_SHARED_DATA or {os.path.relpath(folder, ROOT)}")
    return folder


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures as people see them, for tests that look at one."""
    monkeypatch.setattr(Figure, "savefig", pictures.rendered)


@pytest.fixture
def served_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes of --workers that start at once; what they work on is sent to them as always."""
    served.ensure_running()
    monkeypatch.setattr(torch.multiprocessing, "get_context", lambda method: served.SERVER)
    strategy = torch.multiprocessing.get_sharing_strategy()
    torch.multiprocessing.set_sharing_strategy("file_system")  # a server takes fewer open files than a supernet has
    yield
    torch.multiprocessing.set_sharing_strategy(strategy)
