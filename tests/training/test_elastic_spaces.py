"""Once-for-all's spaces through the stages: trained, searched, retrained from inherited weights, exported."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from config_file.errors import UserError
from deployment.cli import main as main_export
from search.cli import main as main_search
from supernet import build_space, extract
from tests.training.toy import supernet_options
from training.cli import main_retrain, main_train_supernet
from training.image_size import AtItsImageSize
from training.train_supernet import prepare_supernet

NARROW = "--search-space ofa_mbv3 --widths 8,8,8,8,8,8,8,16,16 --depths 3,1,1,1,1 --sort-channels"
FEW = "--dataset digits --resolution 8 --batch-size 32 --train-portion 0.1 --threads 1 --no-tensorboard"


def test_what_has_no_slices_is_not_sorted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--sort-channels: no layer of nasbench_macro"):
        prepare_supernet(supernet_options(tmp_path, sort_channels=True))


def test_images_are_brought_to_the_size_of_the_path(tmp_path: Path) -> None:
    """Against interpolation and the supernet written out; paths of the full size see the images themselves."""
    options = supernet_options(tmp_path, search_space="ofa_mbv3", image_sizes="4,8", widths=(8,) * 9, depths=(1,) * 5)
    context = prepare_supernet(options).recipe.trainer.context
    supernet = context.supernet.eval()
    x, y = next(context.images.batches(16, seed=1, shuffle=False))
    for path in [supernet.space.sample(random.Random(seed)) for seed in range(4)]:
        side = supernet.space.image(path)[1]
        small = x if side == 8 else F.interpolate(x, (side, side), mode="bilinear", antialias=True)
        loss, outputs = context.task_pass(path)(x, y)
        assert small.shape[2:] == (side, side)
        torch.testing.assert_close(outputs, supernet(small, path))
        torch.testing.assert_close(loss, context.loss(outputs, y))
        alone = AtItsImageSize(extract(supernet, path), supernet.space, path)
        torch.testing.assert_close(alone(x), outputs)


def test_from_training_to_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels, expansions, depths and the image size are decided: what was found is exported at its own."""
    monkeypatch.chdir(tmp_path)
    common = ["--title", "a", *FEW.split()]
    main_train_supernet([*common, "--epochs", "1", *NARROW.split(), "--image-sizes", "4,5,6,7,8"])
    few = ["--calibration-images", "32", "--eval-images", "32"]
    main_search([*common, *few, "--search-strategy", "random", "--random-iteration", "8"])
    best = json.loads(Path("runs/a/search/best.json").read_text())
    side = int(best["names"][-1])
    main_retrain([*common, "--epochs", "1", "--init", "supernet", "--train-on", "train"])
    main_export(["--title", "a"])
    card = json.loads(Path("runs/a/export/card.json").read_text())
    assert card["architecture"]["indices"] == best["architecture"]
    assert card["architecture"]["space_options"]["image_sizes"] == "4,5,6,7,8"
    assert card["input"]["shape"][-2:] == [side, side]
    space = build_space(**card["architecture"]["space_options"])
    spec = space.decode(tuple(best["architecture"]))
    assert best["cost"]["flops"] == spec.macs((card["input"]["shape"][1], side, side))
