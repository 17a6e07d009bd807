"""Neural Compressor's YAML as options of a search: the files of its documentation and of its own tests as published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from config_file.loader import load, parse, read_config, save
from search.foreign import FOREIGN
from search.options import SearchOptions

# The file that its tests write, with a data set and a space that are here too.
BASIC = """
model:
    name: imagenet_nas
    framework: pytorch
nas:
    approach: 'basic'
    search:
        search_space: nasbench_macro
        search_algorithm: 'random'
        metrics: ['acc']
        max_trials: 3
train:
    start_epoch: 0
    end_epoch: 1
    iteration: 10
    optimizer:
        SGD:
            learning_rate: 0.001
    criterion:
        CrossEntropyLoss:
            reduction: sum
    dataloader:
        batch_size: 8
        dataset:
            CIFAR10:
                root: ./images
evaluation:
    accuracy:
        metric:
            topk: 1
"""
# That of its page, without the supernet that only it has.
DYNAMIC = """
nas:
  approach: 'dynas'
  search:
    search_algorithm: 'nsga2'
    seed: 7
  dynas:
    metrics: ['acc', 'macs']
    population: 50
    num_evals: 250
    results_csv_path: 'search_results.csv'
    batch_size: 64
    dataset_path: '/datasets/imagenet-ilsvrc2012'
"""


def read(text: str) -> dict[str, Any]:
    Path("nc.yml").write_text(text, encoding="utf-8")
    return read_config(SearchOptions, "nc.yml", FOREIGN.values())


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_basic(capsys: pytest.CaptureFixture[str]) -> None:
    assert read(BASIC) == {
        "title": "imagenet_nas",
        "search_space": "nasbench_macro",
        "evaluator": "training",
        "search_strategy": "random",
        "random_iteration": 3,
        "objective": "accuracy:max",
        "epochs": 1,
        "optimizer": "sgd",
        "lr": 0.001,
        "batch_size": 8,
        "dataset": "cifar10",
        "data_path": "./images",
    }
    unread = capsys.readouterr().err
    assert unread == "note: Neural Compressor's evaluation, train.iteration, train.criterion: nothing here reads that\n"


def test_what_is_left_out_means_what_it_means_there() -> None:
    """Basic, Bayesian from the third trial on, three trials (facts 3.1)."""
    found = read("nas: {search: {search_space: proxylessnas}}")
    assert found["search_strategy"] == "bayesian"
    assert (found["budget_evaluations"], found["startup"], found["bo_acquisition"]) == (3, 2, "ucb")
    options = SearchOptions(title="a", **found)  # type: ignore[call-arg]
    assert (options.bo_kappa, options.random_seed) == (2.576, 42)


def test_dynamic(capsys: pytest.CaptureFixture[str]) -> None:
    assert read(DYNAMIC) == {
        "search_strategy": "predictor",
        "objective": "accuracy:max,flops:min",
        "population": 50,
        "budget_evaluations": 250,
        "results_csv": "search_results.csv",
        "results_form": "neural_compressor",
        "eval_batch_size": 64,
        "data_path": "/datasets/imagenet-ilsvrc2012",
        "random_seed": 7,
    }
    assert not capsys.readouterr().err  # all of it is read


@pytest.mark.parametrize(
    ("name", "space", "width"),
    [
        ("ofa_resnet50", "ofa_resnet50", None),
        ("ofa_mbv3_d234_e346_k357_w1.0", "ofa_mbv3", None),
        ("ofa_mbv3_d234_e346_k357_w1.2", "ofa_mbv3", 1.2),
        ("ofa_proxyless_d234_e346_k357_w1.3", "ofa_proxyless", None),
        ("mobilenetv2", "mobilenetv2", None),
    ],
)
def test_its_supernets_are_our_spaces(name: str, space: str, width: float | None) -> None:
    found = read(f"nas: {{approach: dynas, dynas: {{supernet: {name}, metrics: [acc, macs, lat, params]}}}}")
    assert (found["search_space"], found.get("width_mult")) == (space, width)
    assert found["objective"] == "accuracy:max,flops:min,latency:min,params:min"
    assert (found["population"], found["budget_evaluations"]) == (50, 100_000)  # as there (facts 3.1)


def test_weights_are_a_folder_of_ours_or_become_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("supernet").mkdir()
    dynas = "supernet: ofa_mbv3_d234_e346_k357_w1.2, batch_size: 32, eval_batch_size: 16, supernet_ckpt_path:"
    found = read(f"nas: {{approach: dynas, dynas: {{{dynas} supernet}}}}")
    assert (found["supernet"], found["eval_batch_size"]) == ("supernet", 16)
    assert not capsys.readouterr().err
    assert "supernet" not in read(f"nas: {{approach: dynas, dynas: {{{dynas} ofa.pth}}}}")
    words = "train_supernet.py --search-space ofa_mbv3 --width-mult 1.2 --pretrained ofa.pth --epochs 0"
    assert words in capsys.readouterr().err


def test_metrics_and_directions() -> None:
    text = "nas: {search: {search_space: spos, metrics: [acc, lat, mine], higher_is_better: [true, False, true]}}"
    assert read(text)["objective"] == "accuracy:max,latency:min,mine:max"


def test_the_command_line_wins_and_the_run_saves_our_own_form() -> None:
    Path("nc.yml").write_text(BASIC, encoding="utf-8")
    words = ["--config", "nc.yml", "--random-iteration", "9", "--title", "mine"]
    options = parse(SearchOptions, words, "search.py", "", (), FOREIGN.values())
    assert (options.title, options.random_iteration, options.lr) == ("mine", 9, 0.001)
    save(options, "config.yaml")
    assert load(SearchOptions, "config.yaml") == replace(options, config=None)


def test_files_of_ours_are_read_as_before() -> None:
    Path("ours.yml").write_text("search_strategy: random\nrandom_iteration: 4\n", encoding="utf-8")
    ours = {"search_strategy": "random", "random_iteration": 4}
    assert read_config(SearchOptions, "ours.yml", FOREIGN.values()) == ours == read_config(SearchOptions, "ours.yml")
    Path("nc.yml").write_text(BASIC, encoding="utf-8")
    with pytest.raises(UserError, match="unknown key 'model'"):  # where its form is not asked
        read_config(SearchOptions, "nc.yml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nas: {serch: {}}", "unknown key 'serch' in nas; did you mean 'search'?"),
        ("nas: {search: {max_trial: 3}}", "unknown key 'max_trial' in nas.search; did you mean 'max_trials'?"),
        ("nas: {}\ntrian: {}", "unknown key 'trian'; did you mean 'train'?"),
        ("nas: {dynas: {popultion: 3}}", "unknown key 'popultion' in nas.dynas; did you mean 'population'?"),
        ("nas: {search: {search_algorithm: bayes}}", "unknown search_algorithm 'bayes'"),
        ("nas: {approach: mine}", "nas.approach 'mine': search.py has basic and dynas"),
        ("nas: {search: {search_space: {a: [1, 2]}}}", "nas.search.search_space holds values for a model_builder"),
        ("nas: {search: {metrics: [a, b], higher_is_better: [true]}}", "metrics ['a', 'b'] and higher_is_better"),
        ("nas: {search: {metrics: [a], higher_is_better: [up]}}", "higher_is_better holds true and false"),
        ("nas: {search: {higher_is_better: [true]}}", "nas.search.higher_is_better needs nas.search.metrics"),
        ("nas: {search: []}", "nas.search holds keys and values, not []"),
        ("nas: {}\nmodel: {framework: tensorflow}", "model.framework 'tensorflow': networks are PyTorch's here"),
        ("nas: {}\ndevice: tpu", "unknown device 'tpu'"),
        ("nas: {}\ntrain: {end_epoch: some}", "train.end_epoch 'some' and start_epoch None are integers"),
        ("nas: {}\ntrain: {optimizer: {SGD: {lr: 1}}}", "unknown key 'lr' in SGD"),
        ("nas: {}\ntrain: {optimizer: {Lion: {}}}", "unknown optimizer 'lion'"),
        ("nas: {}\ntrain: {optimizer: SGD}", "train.optimizer names one thing with its settings, not 'SGD'"),
        ("nas: {}\ntrain: {dataloader: {dataset: {MNIST: {}}}}", "unknown data set 'MNIST'"),
        (
            "nas: {approach: dynas, dynas: {supernet: bert_base_sst2}}",
            "nas.dynas.supernet 'bert_base_sst2' is no",
        ),
        ("nas: {approach: dynas, dynas: {supernet: ofa_mbv3_w1}}", "unknown supernet of nas.dynas 'ofa_mbv3_w1'"),
        ("nas: {approach: dynas, dynas: {metrics: [acc, mac]}}", "unknown metric of nas.dynas.metrics 'mac'; did you"),
        ("nas: {approach: dynas, dynas: {metrics: []}}", "nas.dynas.metrics is a list such as [acc, macs], not []"),
        ("nas: {approach: dynas, search: {search_algorithm: cmaes}}", "unknown search_algorithm 'cmaes'"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(text)
    assert str(caught.value).startswith(f"nc.yml (of Neural Compressor): {message}")


def test_values_are_checked_as_those_of_our_own_files() -> None:
    with pytest.raises(UserError, match=r"^nc.yml: budget_evaluations takes an integer, not 'many'"):
        read("nas: {search: {max_trials: many}}")
    Path("nc.yml").write_text("nas: {search: {search_space: 'mod:space'}}", encoding="utf-8")
    with pytest.raises(UserError, match="no file decides which code is run"):
        parse(SearchOptions, ["--config", "nc.yml", "--title", "a"], "search.py", "", (), FOREIGN.values())
