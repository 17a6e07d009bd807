"""The scripts as a shell sees them: exit status, one line on stderr, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16", "--resolution", "8", "--threads", "1"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train_supernet.py"), "--title", "toy", *SMALL, "--epochs", "5000"]
    process = subprocess.Popen(
        [*command, "--validate-every", "5000", "--no-tensorboard"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130
    assert stderr.splitlines()[-1].startswith("interrupted: stopped after step")
    assert stderr.rstrip().endswith("python train_supernet.py --title toy --resume")
    assert "Traceback" not in stderr
    saved = torch.load(tmp_path / "runs" / "toy" / "supernet" / "checkpoints" / "last.pt", weights_only=True)
    assert saved["state"]["step"] > 0


def test_a_mistake_is_one_line_and_status_2(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "retrain.py"), "--title", "toy", "--architectur", "random"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "--architecture" in ended.stderr
    assert not any(tmp_path.iterdir())
