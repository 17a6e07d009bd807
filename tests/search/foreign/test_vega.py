"""Vega's YAML as options of a search: the files of MFKD's examples, laid out as published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from config_file.loader import read_config
from search.evaluators.fidelity_options import parse_fidelities
from search.foreign import FOREIGN
from search.options import SearchOptions

MOBILENET = "\n".join(
    f"            layer_{number}: {{repetitions: [1, 2, 3, 4], channels: [{narrow}, {wide}]}}"
    for number, (narrow, wide) in enumerate([(16, 24), (24, 32), (32, 64), (64, 96), (96, 160), (160, 320), (320, 640)])
)


def step(name: str, portion: str, trainer: str, samples: int = 10, data: str = "Cifar10", classes: int = 10) -> str:
    """A step of the fork's examples."""
    return f"""
{name}:
    pipe_step: {{type: MFKDNasPipeStep}}
    dataset:
        type: {data}
        common: {{data_path: ./cache, download: True}}
        train: {{shuffle: False, num_workers: 2, batch_size: 128, train_portion: {portion}}}
        test: {{shuffle: False, num_workers: 8, batch_size: 128}}
    search_space:
        type: SearchSpace
        modules: ['custom']
        custom:
            name: MobileNetV2
            num_classes: {classes}
{MOBILENET}
    search_algorithm: {{type: MFKD2, init_samples: 5, max_samples: {samples}}}
    trainer:
        {trainer}
        epochs: 100
        valid_freq: 10
        optim: {{type: SGD, lr: 0.1, momentum: 0.9, weight_decay: 5.0e-4}}
        lr_scheduler: {{type: CosineAnnealingLR, T_max: 100}}
"""


DISTILLED = """type: MFKDTrainer
        teacher: 'mobilenetv2_cifar10_teacher.pth'
        teacher_num_classes: 10
        loss: {type: KDLoss, T: 32, alpha: 1}"""
PIPELINE = "pipeline: [nas_low_fidelity, nas_high_fidelity]\n"
MFKD2 = PIPELINE + step("nas_low_fidelity", "0.03", DISTILLED) + step("nas_high_fidelity", "1.0", "type: Trainer")

SIMPLE = """
pipeline: [nas]
nas:
    pipe_step: {type: NasPipeStep}
    dataset:
        type: Cifar10
        common: {data_path: './cifar10/', download: True}
        train: {shuffle: False, num_workers: 8, batch_size: 256, train_portion: 0.1}
        valid: {shuffle: False, num_workers: 8, batch_size: 256, train_portion: 0.1}
    search_space:
        type: SearchSpace
        modules: ['custom']
        custom:
            name: SimpleCnn
            conv_layer_0: {kernel_size: [1, 3, 5], bn: [False, True], relu: [False, True], filters: [8, 16, 32]}
            conv_layer_1: {kernel_size: [1, 3, 5], bn: [False, True], relu: [False, True], filters: [8, 16, 32]}
            conv_layer_2: {kernel_size: [1, 3, 5], bn: [False, True], relu: [False, True], filters: [8, 16, 32]}
            fully_connect: {output_unit: [16, 20, 24, 28, 32]}
    search_algorithm: {type: MFKD1, max_samples: 5}
    trainer: {type: Trainer, epochs: 1}
"""
MFASC = (
    step("nas", "0.03", "type: Trainer")
    .replace(
        "{type: MFKD2, init_samples: 5, max_samples: 10}",
        "{type: MFASC, max_budget: 20, hf_epochs: 2, lf_epochs: 1, fidelity_ratio: 5, min_hf_sample_size: 2, "
        "min_lf_sample_size: 3, seed: 0}",
    )
    .replace("MFKDNasPipeStep", "NasPipeStepMF")
)


TRAINED = """
fully_train:
    pipe_step: {type: FullyTrainPipeStep}
    dataset:
        type: Cifar10
        train: {batch_size: 128, train_portion: 1.0}
    model: {model_desc_file: '{local_base_path}/best_model_desc.json'}
    trainer: {type: Trainer, epochs: 20}
"""


def read(text: str) -> dict[str, Any]:
    Path("vega.yml").write_text(text)
    return read_config(SearchOptions, "vega.yml", FOREIGN.values())


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_mfkd2_is_one_search_of_two_fidelities(capsys: pytest.CaptureFixture[str]) -> None:
    found = read(MFKD2)
    assert found == {
        "evaluator": "training", "search_strategy": "mfkd2", "mfkd2_samples": (10, 10), "mfkd2_start": 5,
        "search_space": "mobilenetv2", "dataset": "cifar10", "data_path": "./cache", "download": True,
        "batch_size": 128, "num_workers": 2, "validate_every": 10, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9,
        "weight_decay": 5e-4, "lr_scheduler": "cosine", "trainer": "plain", "low_fidelity_trainer": "distillation",
        "teacher": "mobilenetv2_cifar10_teacher.pth", "distill": "kd", "kd_temperature": 32.0, "kd_alpha": 1.0,
        "fidelities": "epochs=100,data=0.03;epochs=100,data=1.0",
    }  # fmt: skip
    SearchOptions(title="a", **found)  # type: ignore[call-arg]
    unread = "note: Vega's dataset.train.shuffle, trainer.lr_scheduler.T_max: nothing here reads that\n"
    assert capsys.readouterr().err == unread


def test_mfkd1_ends_with_the_training_of_what_it_chose() -> None:
    found = read(SIMPLE.replace("[nas]", "[nas, fully_train]") + TRAINED)
    assert (found["search_space"], found["search_strategy"], found["mfkd1_samples"]) == ("simple_cnn", "mfkd1", 5)
    assert found["fidelities"] == "epochs=1,data=0.1;epochs=20,data=1.0"
    assert found["trainer"] == "plain"
    assert "low_fidelity_trainer" not in found
    assert read(SIMPLE)["fidelities"] == "epochs=1,data=0.1"


def test_mfasc() -> None:
    found = read("pipeline: [nas]\n" + MFASC)
    names = ("search_strategy", "budget_epochs", "mfasc_ratio", "mfasc_high", "mfasc_low", "random_seed", "fidelities")
    assert [found[name] for name in names] == ["mfasc", 20, 5, 2, 3, 0, "epochs=1,data=0.03;epochs=2,data=0.03"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Cifar10", "Cifar100", "num_classes 10, but cifar100 has 100 classes"),
        ("teacher_num_classes: 10", "teacher_num_classes: 100", "teacher_num_classes 100, but cifar10 has 10 classes"),
        ("max_samples", "max_sample", "unknown key 'max_sample' in search_algorithm; did you mean 'max_samples'"),
        ("valid_freq", "valid_frequ", "unknown key 'valid_frequ' in trainer; did you mean 'valid_freq'"),
        ("type: MFKD2", "type: MFKD3", "unknown search_algorithm 'MFKD3'; did you mean"),
        ("[16, 24]", "[16, 32]", "search_space.custom.layer_0 is not that of mobilenetv2 here"),
        ("name: MobileNetV2", "name: MobileNetV3", "unknown network 'MobileNetV3'; did you mean 'MobileNetV2'"),
        (
            ", nas_high_fidelity]",
            ", nas_high_fidelities]",
            "there is no step 'nas_high_fidelities'; did you mean 'nas_high_fidelity'",
        ),
        ("[nas_low_fidelity, nas_high_fidelity]", "[]", "none of its steps"),
        ("epochs: 100", "epochs: many", "epochs=many"),
    ],
)
def test_other_content_is_refused_in_one_line(old: str, new: str, message: str) -> None:
    def fidelities() -> None:
        parse_fidelities(read(MFKD2.replace(old, new))["fidelities"], ("epochs", "data"))

    with pytest.raises(UserError, match=message) as error:
        fidelities()
    assert "\n" not in str(error.value)


def test_steps_that_are_no_fidelities_of_one_search_are_refused() -> None:
    other = step("nas_high_fidelity", "1.0", "type: Trainer").replace("lr: 0.1", "lr: 0.2")
    with pytest.raises(UserError, match=r"nas_high_fidelity: lr is 0.2, and 0.1 in nas_low_fidelity"):
        read(PIPELINE + step("nas_low_fidelity", "0.03", DISTILLED) + other)
