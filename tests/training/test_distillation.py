"""Distillation: both losses against other computations of them, teachers of every kind, and a student that learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.options import deciding
from deployment.retrained import normalised
from deployment.weights import save_network
from supernet import Network, build_space
from supernet.torchvision_compat import torchvision
from training.cli import main_retrain
from training.data import Data, load_data
from training.loop import fit
from training.options import RetrainOptions
from training.retrain import prepare_network
from training.testing import TrainerSuite
from training.trainer import Context, Silent
from training.trainers.distillation import Distillation, DistillationOptions, kd_loss, nst_loss
from training.trainers.teacher import Teacher, read_teacher

SPACE: dict[str, Any] = {"search_space": "nasbench_macro", "widths": (4, 4, 6, 8, 16), "resolution": 8}
TRAINING: dict[str, Any] = {"dataset": "digits", "train_portion": 0.1, "batch_size": 16, "epochs": 2, "threads": 1}
CPU = torch.device("cpu")
SEED = torch.Generator().manual_seed(0)


def network(option: int = 1, classes: int = 10, resolution: int = 8) -> Network:
    torch.manual_seed(option)
    space = build_space("nasbench_macro", resolution=resolution, num_classes=classes, widths=(4, 4, 6, 8, 16))
    return Network(space.decode((option,) * 8)).eval()


def settings(**changes: Any) -> RetrainOptions:
    return RetrainOptions(title="a", tensorboard=False, **(SPACE | TRAINING | {"trainer": "distillation"} | changes))


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data(settings(teacher="x"), 8)


def saved(path: Path, data: Data, teacher: Network, **changes: Any) -> str:
    about = {"classes": list(data.classes), "mean": list(data.mean), "std": list(data.std), "resolution": 8}
    save_network(path, teacher, about | changes)
    return str(path)


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory: pytest.TempPathFactory, data: Data) -> str:
    return saved(tmp_path_factory.mktemp("teacher") / "model.safetensors", data, network(2))


# ---- losses


@pytest.mark.parametrize("temperature", [1.0, 4.0, 32.0])
def test_kd_is_the_divergence_that_scipy_computes(temperature: float) -> None:
    ours, taught = torch.randn(2, 6, 7, dtype=torch.float64, generator=SEED) * 3
    p, q = (softmax(logits.numpy() / temperature, axis=1) for logits in (taught, ours))
    expected = temperature**2 * rel_entr(p, q).sum(1).mean()
    assert float(kd_loss(ours, taught, temperature)) == pytest.approx(expected, rel=1e-9)


def discrepancy(ours: np.ndarray, taught: np.ndarray) -> float:
    """MMD^2 of one image, pair by pair of channels (C, H, W)."""

    def mean_kernel(first: np.ndarray, second: np.ndarray) -> float:
        pairs = [(a.ravel(), b.ravel()) for a in first for b in second]
        return float(np.mean([(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) ** 2 for a, b in pairs]))

    return mean_kernel(taught, taught) + mean_kernel(ours, ours) - 2 * mean_kernel(ours, taught)


@pytest.mark.parametrize(("channels", "more"), [(3, 5), (9, 12)])  # fewer and more than pixels: both ways to sum up
@pytest.mark.parametrize("larger", ["neither", "student", "teacher"])
def test_nst_is_the_discrepancy_of_channels_summed_pair_by_pair(channels: int, more: int, larger: str) -> None:
    side = {name: 4 if larger == name else 2 for name in ("student", "teacher")}
    ours = torch.randn(2, channels, side["student"], side["student"], generator=SEED)
    taught = torch.randn(2, more, side["teacher"], side["teacher"], generator=SEED)
    small = [m.numpy().reshape(2, -1, 2, m.shape[2] // 2, 2, m.shape[3] // 2).mean((3, 5)) for m in (ours, taught)]
    expected = np.mean([discrepancy(a, b) for a, b in zip(*small, strict=True)])
    assert float(nst_loss(ours, taught)) == pytest.approx(expected, rel=1e-5)


def test_nst_of_equal_maps_is_zero_and_its_gradient_reaches_the_student_only() -> None:
    ours, taught = (torch.randn(2, 5, 3, 3, generator=SEED, requires_grad=True) for _ in range(2))
    assert nst_loss(ours, ours.detach()).item() == pytest.approx(0, abs=1e-6)
    nst_loss(ours, taught.detach()).backward()
    assert ours.grad is not None
    assert ours.grad.abs().sum() > 0


def test_the_loss_is_the_stated_sum(data: Data, teacher_file: str) -> None:
    changes = {"kd_temperature": 3.0, "kd_alpha": 0.5, "plain_weight": 0.25, "nst_beta": 2.0, "label_smoothing": 0.0}
    given = settings(teacher=teacher_file, distill="kd,nst", nst_features="stage1,stage2=stage2/1", **changes)
    student = network(1).train()
    trainer = prepare_network(student.spec, data, given, student).trainer
    (learn,) = trainer.step(0).passes
    x, y = next(data.train.batches(16, channels_last=False))
    torch.manual_seed(0)
    loss, outputs = learn(x, y)
    sites: dict[str, Any] = {"stage1/1": None, "stage2/2": None}
    theirs: dict[str, Any] = {"stage1/1": None, "stage2/1": None}
    torch.manual_seed(0)
    with torch.no_grad():
        assert torch.equal(student(x, sites), outputs)
        taught = network(2)(x, theirs)
        nst = nst_loss(sites["stage1/1"], theirs["stage1/1"]) + nst_loss(sites["stage2/2"], theirs["stage2/1"])
    plain = torch.nn.functional.cross_entropy(outputs, y)
    expected = 0.25 * plain + 0.5 * kd_loss(outputs, taught, 3.0) + 2.0 * nst
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


# ---- teachers


def test_a_teacher_sees_images_as_it_was_trained_on_them(tmp_path: Path, data: Data) -> None:
    theirs = {"mean": [0.1, 0.4, 0.3], "std": [0.5, 0.2, 0.25], "colour_order": "BGR"}
    teacher = read_teacher(saved(tmp_path / "t.safetensors", data, network(2), **theirs), data, CPU)
    images = data.train.raw(torch.arange(5))
    x = data.train.normalisation(images, channels_last=False)
    expected = normalised(images.numpy(), tuple(theirs["mean"]), tuple(theirs["std"]), "BGR")
    with torch.no_grad():
        assert torch.allclose(teacher(x)[0], network(2)(torch.from_numpy(expected)), atol=1e-5)


def test_a_teacher_of_another_resolution_sees_its_own(tmp_path: Path, data: Data) -> None:
    teacher = read_teacher(saved(tmp_path / "t.safetensors", data, network(2), resolution=16), data, CPU)
    x = torch.randn(2, 3, 8, 8, generator=SEED)
    outputs, maps = teacher(x, ["stem"])
    assert maps["stem"].shape[-1] == teacher.maps["stem"][1] == 16
    assert outputs.shape == (2, 10)


def test_a_state_dict_of_torchvision_is_a_teacher(tmp_path: Path, data: Data) -> None:
    torch.manual_seed(0)
    own = torchvision.models.mobilenet_v2(num_classes=10).eval()
    torch.save(own.state_dict(), tmp_path / "weights.pth")
    teacher = read_teacher(f"MobileNet-V2={tmp_path / 'weights.pth'}", data, CPU)
    x = torch.randn(2, 3, 8, 8, generator=SEED)
    outputs, maps = teacher(x, ["features.1", "features.3"])
    with torch.no_grad():
        assert torch.equal(outputs, own(x))
        assert torch.equal(maps["features.1"], own.features[:2](x))
        assert torch.equal(maps["features.3"], own.features[:4](x))
    given = settings(teacher=f"mobilenet_v2={tmp_path / 'weights.pth'}", distill="nst", resolution=8)
    trainer = prepare_network(network(1).spec, data, given).trainer
    assert isinstance(trainer, Distillation)
    assert list(trainer.pairs.values()) == ["features.1", "features.3"]  # 4 and 2 of 8 pixels


def test_maps_are_paired_by_their_size(teacher_file: str, data: Data) -> None:
    trainer = prepare_network(network(1).spec, data, settings(teacher=teacher_file, distill="nst")).trainer
    assert isinstance(trainer, Distillation)
    assert trainer.pairs == {"stem": "stem", "stage1/1": "stage1/1", "stage2/2": "stage2/2"}  # stage 3 has one pixel


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": None}, "distillation needs --teacher: a folder of retrain.py"),
        ({"teacher": "nowhere"}, "--teacher nowhere: there is no trained network"),
        ({"teacher": "resnet81=nowhere.pth"}, "unknown network of torchvision 'resnet81'; did you mean 'resnet18'"),
        ({"teacher": "resnet18=nowhere.pth"}, "--teacher resnet18: nowhere.pth: no such file"),
        ({"teacher": "100.safetensors"}, "it was trained on 100 classes, digits has 10"),
        ({"teacher": "names.safetensors"}, "other classes than digits: its class 3 is 'drei', that of the data '3'"),
        ({"teacher": "100.pth"}, "say whose weights these are: --teacher resnet18=100.pth"),
        ({"teacher": "resnet18=100.pth"}, "it was trained on 100 classes, digits has 10"),
        ({"teacher": "resnet18=ours.pth"}, "ours.pth: does not fit torchvision's resnet18: it lacks"),
        ({"teacher": "good.safetensors", "distill": "nst", "nst_features": "stage9"}, "no map 'stage9'; did you mean"),
        ({"teacher": "good.safetensors", "distill": "nst", "nst_features": "stem=x"}, "the teacher has no map 'x'"),
    ],
)
def test_unusable_teachers_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path("good.safetensors"), data, network(2))
    saved(Path("100.safetensors"), data, network(2, classes=100), classes=[str(n) for n in range(100)])
    saved(Path("names.safetensors"), data, network(2), classes=["0", "1", "2", "drei", *"456789"])
    torch.save({"a.weight": torch.zeros(100, 3), "a.bias": torch.zeros(100)}, "100.pth")
    torch.save(network(2).state_dict(), "ours.pth")
    with pytest.raises(UserError, match=message):
        prepare_network(network(1).spec, data, settings(**changes))


# ---- trainings


class TestDistillation(TrainerSuite):
    network = True

    @pytest.fixture(autouse=True)
    def _teacher(self, teacher_file: str) -> None:
        self.changes = {"trainer": "distillation", "teacher": teacher_file, "distill": "kd,nst"}  # type: ignore[misc]

    def make(self, context: Context) -> Distillation:
        return Distillation(context)


def test_a_student_comes_to_answer_as_its_teacher(data: Data, teacher_file: str) -> None:
    def apart(teacher: Teacher, student: torch.nn.Module) -> float:
        x, _ = next(data.val.batches(64, channels_last=False))
        with torch.no_grad():
            return float(kd_loss(student.eval()(x), teacher(x)[0], 1.0))

    given = settings(teacher=teacher_file, plain_weight=0.0, lr=0.05, epochs=3)
    training = prepare_network(network(1).spec, data, given)
    teacher = read_teacher(teacher_file, data, CPU)
    before = apart(teacher, training.state.model)
    training.state.model.train()
    fit(training.recipe, training.state, Silent())
    assert apart(teacher, training.state.model) < before / 2


def test_a_retrained_network_teaches_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--dataset", "digits", "--train-portion", "0.1", "--epochs", "1", "--batch-size", "64", "--threads", "1"]
    words += ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16", "--resolution", "8", "--no-tensorboard"]
    main_retrain([*words, "--title", "teacher", "--architecture", "[2,2,2,2,2,2,2,2]"])
    student = [*words, "--title", "student", "--architecture", "[1,1,1,1,1,1,1,1]", "--trainer", "distillation"]
    main_retrain([*student, "--teacher", "runs/teacher", "--distill", "nst,kd"])
    assert "learns from runs/teacher: its answers (T 4, weight 1) and its maps (weight 12.5: stem" in (
        capsys.readouterr().out
    )
    assert Path("runs/student/retrain/model.safetensors").is_file()


def test_another_teacher_cannot_go_on_with_a_training(tmp_path: Path, data: Data, teacher_file: str) -> None:
    first = prepare_network(network(1).spec, data, settings(teacher=teacher_file)).state
    other = saved(tmp_path / "other.safetensors", data, network(0))
    with pytest.raises(UserError, match="its weights are not those that this training began with"):
        prepare_network(network(1).spec, data, settings(teacher=other)).state.load_state_dict(first.state_dict())


def test_every_option_decides_the_course_of_a_training() -> None:
    flags = {spec.flag for spec in options_of(DistillationOptions).values()}
    assert flags <= deciding(settings(teacher="x", distill="kd,nst", divergence="alpha"), "training").keys()
    assert not flags & deciding(settings(trainer="plain"), "training").keys()
