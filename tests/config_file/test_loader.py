"""Flags and YAML to options: who wins, what is refused and in which words, and the way back to a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config_file.errors import UserError
from config_file.fields import Option, options_of
from config_file.loader import load, parse, save
from config_file.options import was_given
from config_file.run_options import RunOptions
from config_file.stages import STAGES, options_of_stage
from deployment.options import ExportOptions
from search.options import SearchOptions
from training.options import RetrainOptions, TrainSupernetOptions


def search(*argv: str) -> SearchOptions:
    return parse(SearchOptions, argv, prog="search.py", description="Search.")


def train(*argv: str) -> TrainSupernetOptions:
    return parse(TrainSupernetOptions, argv, prog="train_supernet.py", description="Train.")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_are_those_of_the_issue() -> None:
    options = search("--title", "a")
    assert (options.population, options.parent_num, options.generation_num) == (60, 10, 20)
    assert (options.random_iteration, options.target_hc, options.info_metric) == (1000, 100.0, "flops")
    # Those of its gradient-based search left short trainings where they began; a preset has them.
    assert (options.hc_weight, options.a_lr, options.a_weight_decay) == (None, None, 0.0)
    preset = Path(__file__).resolve().parents[2] / "config_file" / "train" / "osnaslib_differentiable.yml"
    first = train("--title", "a", "--config", str(preset))
    assert (first.hc_weight, first.a_lr, first.a_weight_decay) == (0.005, 0.05, 0.0004)
    assert (first.a_optimizer, first.a_momentum, first.hc_loss, first.hc_mode) == ("sgd", 0.9, "squared", "penalty")
    supernet = train("--title", "a")
    assert (supernet.epochs, supernet.lr, supernet.weight_decay, supernet.momentum) == (120, 0.045, 4e-5, 0.9)
    assert (supernet.lr_scheduler, supernet.train_portion, supernet.random_seed) == ("cosine", 0.8, 42)
    assert (supernet.search_space, supernet.sample_strategy) == ("proxylessnas", "uniform")
    retrain = parse(RetrainOptions, ["--title", "a"], prog="retrain.py", description="")
    assert (retrain.lr, retrain.weight_decay) == (0.05, 4e-4)


def test_hyphens_and_underscores() -> None:
    flags = ("--title=a_b", "--target_hc", "60", "--random-iteration=3", "--search_strategy=random_search")
    options = search(*flags)
    assert (options.title, options.target_hc, options.random_iteration) == ("a_b", 60.0, 3)
    assert options.search_strategy == "random"


@pytest.mark.parametrize("argv", [("--widths", "32,16,24"), ("--widths", "32", "16", "24"), ("--widths=[32, 16, 24]",)])
def test_lists(argv: tuple[str, ...]) -> None:
    assert train("--title", "a", *argv).widths == (32, 16, 24)


def test_booleans() -> None:
    assert search("--title", "a").dedup
    assert not search("--title", "a", "--no-dedup").dedup
    assert not search("--title", "a", "--no_dedup").dedup
    assert not search("--title", "a", "--dedup", "false").dedup
    assert search("--title", "a", "--overwrite").overwrite


def test_other_names_of_values_and_flags() -> None:
    assert train("--title", "a", "--sample-strategy", "strict_fairness").sample_strategy == "fair"
    assert train("--title", "a", "--input-size", "64", "--dataset_path", "d").resolution == 64
    assert search("--title", "a", "--crossover", "single-point").crossover == "single_point"
    assert search("--title", "a", "--info-metric", "param").info_metric == "params"


OSNASLIB = (  # the flags of its search and its evaluation
    "title resume random-seed device ngpu dataset dataset-path classes input-size batch-size num-workers train-portion "
    "root-path logger-path writer-path checkpoint-path-root lookup-table-path best-model-path searched-model-path "
    "hyperparameter-tracker directly-search search-strategy target-hc hc-weight info-metric random-iteration "
    "generation-num population parent-num a-optimizer a-lr a-weight-decay a-momentum a-decay-step a-decay-ratio "
    "a-alpha a-beta search-space sample-strategy epochs optimizer lr weight-decay momentum lr-scheduler decay-step "
    "decay-ratio alpha beta bn-momentum bn-track-running-stats"
)


@pytest.mark.parametrize("flag", OSNASLIB.split())
def test_every_flag_of_osnaslib_is_one_or_says_where_it_went(flag: str) -> None:
    known = [
        name
        for options_class in map(options_of_stage, STAGES)
        for option, spec in options_of(options_class).items()
        for name in (option, *spec.flags)
    ]
    if flag.replace("-", "_") not in known:
        with pytest.raises(UserError, match=rf"^unknown option --{flag}: "):
            search("--title", "a", f"--{flag}", "1")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--titel", "a"], "unknown option --titel; did you mean '--title'? (see --help)"),
        (["--title", "a", "--generatoin-num=3"], "unknown option --generatoin-num; did you mean '--generation-num'?"),
        (["--title", "a", "-title"], "unknown option -title; did you mean '--title'?"),
        (
            ["--title", "a", "--train-on", "train"],
            "unknown option --train-on: it is an option of retrain.py",
        ),
        (["--title", "a", "--ngpu", "3"], "unknown option --ngpu: one process uses one device: see --device"),
        (["--title", "a", "stray"], "unexpected 'stray': every value follows its --flag"),
        (["--title", "a", "--population"], "argument --population: expected one argument (see --help)"),
        (["--title", "a", "--population", "ten"], "--population takes an integer, not 'ten'"),
        (["--title", "a", "--population", "2.5"], "--population takes an integer, not '2.5'"),
        (["--title", "a", "--population", "none"], "--population takes an integer, not 'none'"),
        (["--title", "a", "--target-hc", "nan"], "--target-hc takes a number, not 'nan'"),
        (["--title", "a", "--target-hc", "0"], "--target-hc must be above 0, not 0.0"),
        (["--title", "a", "--min-hc", "200"], "--min-hc 200 must be at most --target-hc 100"),
        (["--title", "a", "--train-portion", "1"], "--train-portion must be above 0 and below 1, not 1.0"),
        (["--title", "a", "--parent-num", "61"], "--parent-num 61 must be at most --population 60"),
        (["--title", "a", "--widths", "3,x"], "--widths takes integers such as 32,16,24, not '3,x'"),
        (["--title", "a", "--widths", "3,0"], "--widths must be at least 1, not 0"),
        (["--title", "a", "--dedup", "maybe"], "--dedup takes true or false, not 'maybe'"),
        (["--title", "a", "--skip", "convv"], "--skip: no value 'convv'; did you mean 'conv'? (choices: conv, identi"),
        (["--title", "a", "--resume", "--overwrite"], "--resume continues a run and --overwrite starts it anew"),
        (["--title", "a/b"], "--title is the name of a folder, without / or a leading dot, not 'a/b'"),
        (["--title", ".."], "--title is the name of a folder"),
        ([], "--title NAME is missing"),
        (["--title", "a", "--config", "absent.yml"], "absent.yml: no such file or folder"),
    ],
)
def test_bad_flags_are_one_line(argv: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        search(*argv)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poplation: 3", "my.yml: unknown key 'poplation'; did you mean 'population'?"),
        ("evolution: {poplation: 3}", "my.yml: unknown key 'poplation'; did you mean 'population'?"),
        ("evolutoin: {population: 3}", "my.yml: unknown key 'evolutoin'; did you mean 'evolution'?"),
        ("opset: 3", "my.yml: unknown key 'opset': it is an option of export.py"),
        ("network: {init: scratch}", "my.yml: unknown key 'network': it holds options of retrain.py"),
        ("population: ten", "my.yml: population takes an integer, not 'ten'"),
        ("population: [1]", "my.yml: population takes an integer, not ['1']"),
        ("population: null", "my.yml: population needs a value, it cannot be null"),
        ("title: [a]", "my.yml: title takes text, not ['a']"),
        ("population: 3\npopulation: 4", "my.yml, line 2: not valid YAML: 'population' is set twice"),
        ("population: 3\nevolution: {population: 4}", "my.yml: 'population' is set twice"),
        ("resume: true", "my.yml: 'resume' belongs on the command line"),
        ("- a", "my.yml must hold 'option: value' lines"),
        ("a: [", "my.yml, line 1: not valid YAML"),
        ("title: !!python/object/apply:os.system [ls]", "my.yml, line 1: not valid YAML"),
        ("? [a]\n: b", "my.yml, line 1: not valid YAML: a key must be a name"),
        ("a: &x 1\nb: *y", "my.yml, line 2: not valid YAML"),
    ],
)
def test_bad_files_are_one_line(text: str, message: str) -> None:
    Path("my.yml").write_text(text)
    with pytest.raises(UserError) as caught:
        search("--title", "a", "--config", "my.yml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text() -> None:
    Path("my.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"my\.yml is not a text file"):
        search("--title", "a", "--config", "my.yml")


def test_command_line_over_file_over_default() -> None:
    Path("my.yml").write_text(
        "title: from-file\nrandom-seed: 7\nspace: {widths: [32, 16, 24]}\namp: off\nevolution:\n"
        "gradient: {a_lr: 1e-3}\ntarget_hc: 1e2\nresolution: null\nlookup_table_path: t.json\ntensorboard: no\n"
    )
    options = search("--config", "my.yml", "--random-seed", "8", "--lookup-table", "none")
    assert (options.title, options.random_seed, options.widths) == ("from-file", 8, (32, 16, 24))
    assert (options.amp, options.a_lr, options.target_hc) == ("off", 1e-3, 100.0)
    assert options.resolution is None
    assert options.lookup_table is None
    assert not options.tensorboard
    assert options.population == 60


def test_text_stays_text() -> None:
    Path("my.yml").write_text("title: 007\nsupernet: 12:30\n")
    options = search("--config", "my.yml")
    assert (options.title, options.supernet) == ("007", "12:30")


def test_an_architecture_may_be_a_yaml_list() -> None:
    Path("my.yml").write_text("title: a\narchitecture: [k3e6, skip]\n")
    assert parse(RetrainOptions, ["--config", "my.yml"], "retrain.py", "").architecture == '["k3e6", "skip"]'
    Path("my.yml").write_text("title: a\narchitecture: [3, 0]\n")
    assert parse(RetrainOptions, ["--config", "my.yml"], "retrain.py", "").architecture == "[3, 0]"


def test_help_shows_groups_defaults_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(SearchOptions, ["--help"], "search.py", "Search a supernet.", ["python search.py --title first"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in ("Run:", "Space:", "Constraint:", "Evolution:", "python search.py --title first"):
        assert part in text
    assert "--population N architectures per generation (default: 60)" in text
    limit = "largest cost allowed; none: 100, or no limit with the table of a benchmark or for a front over it"
    assert f"{limit} (millions for flops and params, ms for latency, default: none)" in text
    # The defaults that trials have are those of retrain.py (test_defaults_are_those_of_the_issue).
    assert "(sgd 0.045, in trials of --evaluator training 0.05, rmsprop 0.0003" in text
    assert "L2 penalty; in trials of --evaluator training it is that of retrain.py, 0.0004, unless it is given" in text
    assert "--no-dedup" in text


@pytest.mark.parametrize("options_class", [*map(options_of_stage, STAGES)])
def test_every_option_is_described(options_class: type[RunOptions], capsys: pytest.CaptureFixture[str]) -> None:
    for spec in options_of(options_class).values():
        assert spec.meaning
        assert spec.group
    with pytest.raises(SystemExit):
        parse(options_class, ["--help"], "x.py", "")
    shown = capsys.readouterr().out
    assert all(spec.flag in shown for spec in options_of(options_class).values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("epochs", True), ("lr", "fast"), ("title", ["a"]), ("widths", ()), ("amp", None)],
)
def test_options_are_checked_where_they_are_made(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"^--{name} "):
        TrainSupernetOptions(**{"title": "a", name: value})


def test_options_are_frozen_and_normalised() -> None:
    options = TrainSupernetOptions(title="a", widths=[3, 4], sample_strategy="strict-fairness", data_path=Path("d"))  # type: ignore[arg-type]
    assert (options.widths, options.sample_strategy, options.data_path) == ((3, 4), "fair", "d")
    with pytest.raises(AttributeError):
        options.epochs = 3  # type: ignore[misc]


def _values(spec: Option) -> st.SearchStrategy[Any]:
    if spec.choices:
        values: st.SearchStrategy[Any] = st.sampled_from(spec.choices)
    elif spec.kind is bool:
        values = st.booleans()
    elif spec.kind is str:
        values = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    else:
        low = 1 if spec.at_least is None and spec.above is not None and spec.kind is int else spec.at_least or 0
        high = spec.at_most if spec.at_most is not None else spec.below if spec.below is not None else 10**6
        if spec.kind is float:
            values = st.floats(low, high, exclude_min=spec.above is not None, exclude_max=spec.below is not None)
        else:
            values = st.integers(int(low), int(high))
    if spec.kind is tuple:
        values = st.lists(values, min_size=1, max_size=5).map(tuple)
    return st.none() | values if spec.optional else values


@pytest.mark.parametrize("text", ["=", "<<", "~", "off", "12:30", "a\x85b", "\u2028"])
def test_text_that_yaml_has_a_meaning_for_comes_back(text: str, tmp_path: Path) -> None:
    options = TrainSupernetOptions(title="a", root_path=text)
    save(options, tmp_path / "config.yaml")
    assert load(TrainSupernetOptions, tmp_path / "config.yaml") == options
    assert yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))["run"]["title"] == "a"


@given(data=st.data(), stage=st.sampled_from(list(STAGES)))
def test_saved_options_come_back(data: st.DataObject, stage: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    options_class = options_of_stage(stage)
    specs = [spec for spec in options_of(options_class).values() if spec.saved and spec.name != "title"]
    some = data.draw(st.lists(st.sampled_from(specs), max_size=6, unique_by=lambda spec: spec.name))
    values = {spec.name: data.draw(_values(spec), label=spec.name) for spec in some}
    try:
        options = options_class(title=data.draw(st.sampled_from(["a", "null", "1e3", "ü: #x"])), **values)
    except UserError:  # a rule between options
        return
    file = tmp_path_factory.mktemp("options") / "config.yaml"
    save(options, file)
    assert load(options_class, file) == options
    assert dataclasses.replace(parse(options_class, ["--config", str(file)], "x.py", ""), config=None) == options
    assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8"))["run"], dict)  # plain YAML for everybody else


def test_a_later_stage_inherits_space_and_data() -> None:
    train_options = train(
        "--title", "a", "--search-space", "spos", "--widths", "4,8", "--dataset", "cifar10", "--data-path", "d",
        "--train-portion", "0.9", "--batch-size", "7", "--random-seed", "5",
    )  # fmt: skip
    folder = Path("runs/a/supernet")
    folder.mkdir(parents=True)
    save(train_options, folder / "config.yaml")

    found = search("--title", "a")
    assert (found.search_space, found.widths, found.dataset, found.data_path) == ("spos", (4, 8), "cifar10", "d")
    assert found.train_portion == 0.9
    assert (found.batch_size, found.random_seed) == (128, 42), "how a stage runs is its own"

    assert search("--title", "b", "--supernet", "runs/a").search_space == "spos"
    assert search("--title", "b", "--supernet", "runs/a/supernet").search_space == "spos"
    assert search("--title", "b").search_space == "proxylessnas"
    assert search("--title", "a", "--data-path", "moved").dataset == "cifar10"

    other = search("--title", "a", "--search-space", "fbnet_s", "--dataset", "digits")
    assert (other.widths, other.data_path) == (None, "./data"), "another space or data set inherits nothing of the old"

    Path("my.yml").write_text("train_portion: 0.5\n")
    assert search("--title", "a", "--config", "my.yml").train_portion == 0.5

    Path("runs/a/search").mkdir()
    save(found, Path("runs/a/search/config.yaml"))
    retrain = parse(RetrainOptions, ["--title", "a"], "retrain.py", "")
    assert (retrain.search_space, retrain.dataset) == ("spos", "cifar10")
    assert parse(ExportOptions, ["--title", "a"], "export.py", "").title == "a"


def test_resume_takes_the_saved_options() -> None:
    folder = Path("runs/a/supernet")
    folder.mkdir(parents=True)
    save(train("--title", "a", "--epochs", "7", "--lr", "0.3"), folder / "config.yaml")
    resumed = train("--title", "a", "--resume")
    assert (resumed.epochs, resumed.lr, resumed.resume) == (7, 0.3, True)
    assert train("--title", "a", "--resume", "--epochs", "9").epochs == 9
    assert train("--title", "a", "--overwrite").epochs == 120


@pytest.mark.parametrize(("supernets", "typed"), [(None, None), (None, "100"), ("50", None), ("50", "100")])
def test_a_default_that_was_typed_is_known_from_one_that_follows(supernets: str | None, typed: str | None) -> None:
    limit = ["--target-hc", supernets] if supernets else []
    for stage in ("supernet", "search"):
        Path("runs/a", stage).mkdir(parents=True)
    save(train("--title", "a", "--sample-strategy", "uniform", *limit), "runs/a/supernet/config.yaml")
    first = search("--title", "a", *(["--target-hc", typed] if typed else []))
    save(first, "runs/a/search/config.yaml")
    for options in (first, search("--title", "a", "--resume")):
        assert was_given(options, "target_hc") == (typed is not None)
        assert options.target_hc == float(typed or supernets or 100)
