"""CIFAR-10's own images through the path that a user's folder takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.data import load_data


def test_a_hundred_images_per_class(settings, shared_data: Path, tmp_path: Path) -> None:
    tool = shared_data.parent / "tools" / "unpack_cifar10.py"
    if not tool.is_file():
        pytest.skip("needs the shared tools: no unpack_cifar10.py")
    root = tmp_path / "cifar10"
    subprocess.run([sys.executable, tool, root, "--per-class", "100"], check=True, capture_output=True)
    data = load_data(settings("imagefolder", root))
    assert data.resolution == 32
    assert "airplane" in data.classes
    assert [len(data.train), len(data.val), len(data.test)] == [800, 200, 200]
    assert np.bincount(data.val.labels).tolist() == [20] * 10
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.02)
    assert data.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=0.02)
    assert load_data(settings("cifar10", root)).mean == (0.4914, 0.4822, 0.4465)
