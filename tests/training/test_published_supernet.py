"""SPOS's published supernet from file to card: nothing trained, BGR from 0 to 255 all the way."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from config_file.errors import UserError
from deployment.cli import main as main_export
from search.cli import main as main_search
from supernet import Supernet, build_space
from supernet.spos_checkpoint import CANDIDATES
from tests.training.conftest import FolderFactory
from training.cli import main_retrain, main_train_supernet
from training.data import Normalisation, load_data
from training.options import TrainSupernetOptions
from training.supernet_file import load_supernet


def published(path: Path, classes: int = 10) -> Supernet:
    """A file in the published layout, of a supernet whose weights are random, which is returned."""
    net = Supernet(build_space("spos", num_classes=classes, resolution=32))
    state = {}
    names = {"stem": "first_conv", "mix": "conv_last", **{s.name: "" for s in net.space.sites[1:-2]}}
    for number, site in enumerate(net.space.sites):
        for option, block in enumerate(site.options):
            if site.name == "head":
                (weight,) = net.weights_at("head").tensors(0, 1024, writable=True).values()
                state["classifier.0.weight"] = weight
                continue
            width = 3 if site.name == "stem" else _width(net, number)
            prefix = names[site.name] or f"features.{number - 1}.{CANDIDATES.index(block.label)}"
            for name, tensor in net.weights_at(site.name).tensors(option, width, writable=True).items():
                *module, kind = name.split(".")
                if kind in ("bias", "num_batches_tracked") or (module[-1] == "norm" and kind == "weight"):
                    continue
                branch = {"main": ".branch_main", "projection": ".branch_proj"}.get(module[0], "")
                state[f"{prefix}{branch}.{_place(net, site.name, option, width, name)}.{kind}"] = tensor
    torch.save({"state_dict": {f"module.{name}": tensor.clone() for name, tensor in state.items()}}, path)
    return net


def _width(net: Supernet, number: int) -> int:
    return next(shape[0] for _, shape in filter(None, net.space.factors()[number][1].flat))


def _place(net: Supernet, site: str, option: int, width: int, name: str) -> int:
    """The number of a layer in its branch: convolutions and norms count, activations are left out here."""
    branch = name.split(".", maxsplit=1)[0]
    inside = [n for n in net.weights_at(site).tensors(option, width, writable=True) if n.split(".")[0] == branch]
    if branch in ("conv", "norm"):
        return ("conv", "norm").index(branch)
    return list(dict.fromkeys(n.rpartition(".")[0] for n in inside)).index(name.rpartition(".")[0])


def test_bgr_from_0_to_255_is_the_image_itself() -> None:
    pixels = torch.randint(256, (2, 5, 5, 3), dtype=torch.uint8)
    x = Normalisation((0.0,) * 3, (1 / 255,) * 3, "BGR")(pixels)
    torch.testing.assert_close(x, pixels.flip(-1).permute(0, 3, 1, 2).float())
    data = load_data(TrainSupernetOptions(title="a", preprocessing="bgr255"))
    assert (data.mean, data.std, data.colour_order) == ((0.0,) * 3, (1 / 255,) * 3, "BGR")


def test_nothing_is_trained_without_weights_to_keep(tmp_path: Path) -> None:
    for changes in ({}, {"sample_strategy": "differentiable"}):
        with pytest.raises(UserError, match="--epochs must be at least 1, not 0"):
            TrainSupernetOptions(title="a", epochs=0, **changes)
    file = tmp_path / "checkpoint-150000.pth.tar"
    published(file, classes=7)
    words = ["--title", "a", "--search-space", "spos", "--resolution", "32", "--epochs", "0", "--pretrained", str(file)]
    with pytest.raises(UserError, match=r"--epochs 0: .*checkpoint-150000.pth.tar does not fill head"):
        main_train_supernet([*words, "--root-path", str(tmp_path)])


@pytest.mark.slow
def test_from_the_published_file_to_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digit_folder: FolderFactory
) -> None:
    images = digit_folder({"train": 8, "val": 2}, classes=10, size=(32, 32))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "checkpoint-150000.pth.tar"
    net = published(file)
    common = ["--title", "a", "--threads", "1", "--no-tensorboard", "--batch-size", "20", "--train-portion", "0.5"]
    training = f"--search-space spos --resolution 32 --epochs 0 --pretrained {file} --preprocessing bgr255"
    main_train_supernet([*common, *training.split(), "--dataset", "imagefolder", "--data-path", str(images)])
    trained = load_supernet(Path("runs/a/supernet"))
    assert (trained.info["colour_order"], trained.info["std"]) == ("BGR", [1 / 255] * 3)
    theirs = net.state_dict()
    for name, tensor in trained.supernet.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, theirs[name]), name
    few = ["--calibration-images", "20", "--eval-images", "10", "--confirm-images", "10"]
    main_search([*common, *few, *["--search-strategy", "random", "--random-iteration", "1", "--target-hc", "1000"]])
    main_retrain([*common, *["--epochs", "1", "--init", "supernet", "--train-on", "train"]])
    result = json.loads(Path("runs/a/retrain/result.json").read_text())
    assert result["colour_order"] == "BGR"  # inherited, not asked for again
    main_export(["--title", "a"])
    folder = Path("runs/a/export")
    card = json.loads((folder / "card.json").read_text())
    assert (card["input"]["colour_order"], card["input"]["value_range"]) == ("BGR", [0.0, 255.0])
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    done = subprocess.run(
        [sys.executable, folder / "classify.py", tmp_path / "photo.png"], capture_output=True, text=True, check=True
    )
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    x = pixels[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    (logits,) = session.run(None, {"image": x})
    assert done.stdout.strip() == card["classes"][int(logits.argmax())]
