"""torchvision can be imported beside any torch, and the shim stays out of the way where it is not needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from supernet.torchvision_compat import import_torchvision, torchvision

ROOT = Path(__file__).resolve().parents[2]


def test_transforms_v2_work() -> None:
    v2 = torchvision.transforms.v2
    transform = v2.Compose([v2.Resize(8), v2.RandomHorizontalFlip(1.0), v2.ToDtype(torch.float32, scale=True)])
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    image[:, :, 8:] = 255
    flipped = transform(image)
    assert flipped.shape == (3, 8, 8)
    assert flipped[..., 0].min() == 1.0
    assert flipped[..., -1].max() == 0.0


def test_datasets_work() -> None:
    image, label = torchvision.datasets.FakeData(size=2, image_size=(3, 8, 8), num_classes=4)[0]
    assert image.size == (8, 8)
    assert 0 <= label < 4


def test_models_work() -> None:
    model = torchvision.models.mobilenet_v2(weights=None, num_classes=5).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 5)


def test_importing_again_gives_the_same_module() -> None:
    assert import_torchvision() is torchvision is sys.modules["torchvision"]


def _import_beside(fake: Path, init: str, then: str) -> subprocess.CompletedProcess[str]:
    """Import the module in a process of its own, where ``torchvision`` is a package with this ``__init__.py``."""
    package = fake / "torchvision"
    (package / "transforms" / "v2").mkdir(parents=True)
    (package / "__init__.py").write_text(init)
    for folder in ("transforms", "transforms/v2"):
        (package / folder / "__init__.py").touch()
    return subprocess.run(
        [sys.executable, "-c", f"import supernet.torchvision_compat as compat\n{then}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(fake), str(ROOT)))},
        cwd=fake,
        capture_output=True,
        text=True,
        check=False,
    )


def test_shim_is_not_entered_when_the_import_works(tmp_path: Path) -> None:
    done = _import_beside(
        tmp_path,
        "marker = 'fake'",
        "import torch; print(compat.torchvision.marker, compat._libraries, hasattr(torch.ops.torchvision, 'nms'))",
    )
    assert done.stdout.split() == ["fake", "[]", "False"], done.stderr


def test_missing_operators_are_declared_and_the_import_repeated(tmp_path: Path) -> None:
    init = (
        "import sys, torch, torchvision.transforms\n"
        "sys.attempts = getattr(sys, 'attempts', []) + [id(torchvision.transforms)]\n"
        "if not (hasattr(torch.ops.torchvision, 'nms') and hasattr(torch.ops.torchvision, 'qnms')):\n"
        "    kept = torchvision.transforms  # alive, so that a new module cannot have its id\n"
        "    sys.kept = kept\n"
        "    raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    done = _import_beside(tmp_path, init, "import sys; print(len(sys.attempts), len(set(sys.attempts)))")
    assert done.stdout.split() == ["2", "2"], done.stderr


@pytest.mark.parametrize("error", ["RuntimeError('CUDA is broken')", "ImportError('libjpeg')"])
def test_another_error_is_not_swallowed(tmp_path: Path, error: str) -> None:
    done = _import_beside(tmp_path, f"raise {error}", "")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == error.replace("('", ": ").replace("')", "")
