from __future__ import annotations

import json
import math
import random
import re
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_file.errors import UserError
from config_file.files import write_sealed
from config_file.run_mark import FORMAT as RUN
from lookup_tables import build_table
from lookup_tables.limits import Limit, Limits
from search.archive import Archive
from search.engine import best_of, with_costs
from search.reporting.finished_search import FORMAT, RANKING, VERDICT, read_search
from search.reporting.report import main, renew_report, write_report
from search.reporting.results_file import write_best
from search.result import Fidelity, Result
from supernet import SearchSpace, build_space
from tasks import wilson_interval
from tests.search.reporting.page import Page
from training.differentiable_search.distribution_file import Distribution, save_distribution
from training.supernet_file import FORMAT as SUPERNET

HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}"
CHAIN = {
    "name": "tiny",
    "stem": 8,
    "stages": [{"channels": 8, "depth": 2, "stride": 2}, {"channels": 16, "depth": 2, "stride": 2}],
    "candidates": ["k3e3", "k5e3", "k3e6", "skip"],
    "head": 32,
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000"),
)


def make_run(
    folder: Path, space: SearchSpace, evaluations: int = 40, failed: int = 2, limited: bool = False, **searched: Any
) -> Path:
    """The folder of a run as `search.py` leaves it, with made-up accuracies."""
    stage = folder / "search"
    stage.mkdir(parents=True)
    rng = random.Random(0)
    tables = {metric: build_table(space, metric, 16) for metric in ("flops", "params")}
    results = []
    for number, architecture in enumerate(dict.fromkeys(space.sample(rng) for _ in range(evaluations))):
        accuracy = math.nan if number < failed else 0.3 + rng.randrange(100) / 200
        interval = None if number < failed else wilson_interval(round(200 * accuracy), 200)
        result = Result(
            architecture, {"accuracy": accuracy, "loss": 1.0}, Fidelity(images=200), {"seconds": 0.5}, {}, interval
        )
        results.append(with_costs(result, tables))
    archive = Archive(stage / "archive.jsonl", {})
    for result in results:
        archive.add(result)
    target = statistics.median(result.cost["flops"] for result in results) / 1e6 if limited else math.inf
    best = best_of(results, Limits(space, [Limit(tables["flops"], upper=target * 1e6)]))
    assert best is not None
    about = {
        "dataset": HOSTILE,
        "search": {
            "strategy": "evolution",
            "info_metric": "flops",
            "target_hc": target if limited else None,
            "min_hc": None,
            "measures": {"accuracy": True, "loss": False},
            "method": "inherited weights",
            **searched,
        },
    }
    write_best(stage / "best.json", best, space, 16, about)
    (stage / "config.yaml").write_text(
        f"data:\n  dataset: {json.dumps(HOSTILE)}\nstrategy:\n  search_strategy: random\n"
    )
    write_sealed(stage / "env.json", {"format": RUN, "python": "3.11", "packages": {"torch": "2"}, "resumed": []})
    return folder


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> SearchSpace:
    path = tmp_path_factory.mktemp("space") / "tiny.yml"
    path.write_text(json.dumps(CHAIN))
    return build_space(str(path), resolution=16, num_classes=4)


@pytest.fixture(scope="module")
def run(chain: SearchSpace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every neighbour a report reads, all of whose names are hostile."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "a<b>&c", chain, limited=True)
    (folder / "supernet").mkdir()
    supernet = {"format": SUPERNET, "classes": [HOSTILE, "</script>"], "sha256": "0"}
    write_sealed(folder / "supernet" / "supernet.json", supernet)
    row = {"seed": 1, "macs": 2e5, "params": 1e4, "names": [HOSTILE]}
    trainings = [row | {"arm": arm, "test_accuracy": 0.7} for arm in ("found", "random", "mobilenetv2")]
    (folder / "verdict").mkdir()
    verdict = {"format": VERDICT, "verdict": [f"No: {HOSTILE}"], "trainings": trainings}
    write_sealed(folder / "verdict" / "verdict.json", verdict)
    ranked = {"name": HOSTILE, "tau": "0.7 (0.6 to 0.8)", "spearman": "0.9", "regret": ["1.0"]}
    (folder / "rank").mkdir()
    ranking = {"format": RANKING, "words": [HOSTILE], "top_k": [1], "rows": [ranked]}
    write_sealed(folder / "rank" / "rank.json", ranking)
    return folder


def rendered(folder: Path, output: Path, *flags: str) -> Page:
    assert main([str(folder), "--output", str(output), *flags]) == 0
    return Page(output.read_text(encoding="utf-8"))


def test_it_shows_every_evaluation_and_the_chosen_one(run: Path, tmp_path: Path) -> None:
    page = rendered(run, tmp_path / "report.html")
    search = read_search(run)
    inside = sum(map(search.allows, search.results))
    outside = sum(not r.failed for r in search.results) - inside
    assert inside > 10
    assert outside > 10
    assert len(page.of_class("point")) == 2 * inside  # against either cost
    assert len(page.of_class("outside")) == 2 * outside
    assert len(page.of_class("faint")) == 2 * inside  # best so far, and the generations
    assert len(page.of_class("chosen")) == 2
    assert len(page.of_class("trained")) == 3
    names = " ".join(search.space.names(search.chosen))
    assert all(names in (mark["data-tip"] or "") for mark in page.of_class("chosen"))
    assert "Is the ranking any good?" in page.text
    for text in ("Best under each budget", "Did the search help?", "All settings", "stage2/1", "pool+linear", names):
        assert text in page.text
    macs = search.space.decode(search.chosen).macs((3, 16, 16))
    assert f"{macs:,}" in page.text


def test_other_peoples_text_stays_text(run: Path, tmp_path: Path) -> None:
    page = rendered(run, tmp_path / "report.html")
    assert page.text.count(HOSTILE) >= 5  # dataset, class, verdict, ranking
    assert "49" not in HOSTILE
    tags = [tag for tag, _ in page.elements]
    assert "img" not in tags
    assert tags.count("script") == 1
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)


def test_it_needs_nothing_from_elsewhere(run: Path, tmp_path: Path) -> None:
    page = rendered(run, tmp_path / "report.html")
    assert not any({"src", "href", "srcset", "data"} & attrs.keys() for _, attrs in page.elements)
    assert not re.search(r"https?:|url\(|@import", (tmp_path / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("evaluations", "failed"), [(1, 0), (3, 2), (30, 0)])
def test_few_evaluations(evaluations: int, failed: int, chain: SearchSpace, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "few", chain, evaluations, failed)
    assert len(rendered(folder, tmp_path / "x.html").of_class("chosen")) == 2


@pytest.mark.parametrize("name", ["tests.supernet.own_spaces:nasbench201", "spos", "nasbench_macro"])
def test_any_space(name: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", build_space(name, resolution=16, num_classes=4), 12)
    if ":" in name:
        with pytest.raises(UserError, match=f"give --search-space {name} in this command too"):
            rendered(folder, tmp_path / "x.html")
    page = rendered(folder, tmp_path / "x.html", *(["--search-space", name] if ":" in name else []))
    assert page.of_class("cell")
    assert page.of_class("block")


def test_generations_of_an_evolution(chain: SearchSpace, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", chain, 40, 0)
    options = {"search_strategy": "evolution", "dedup": "true", "population": 10, "parent_num": 4}
    (folder / "search/config.yaml").write_text(json.dumps({"x": options | {"evolution_form": "osnaslib"}}))
    search = read_search(folder)
    sizes = [len(members) for _, members in search.generations()]
    assert sizes[:2] == [10, 6]
    assert sum(sizes) == len(search.results)
    (folder / "search/config.yaml").write_text(json.dumps({"x": options | {"dedup": "false"}}))
    assert len(read_search(folder).generations()) == 10


@pytest.mark.parametrize(
    ("options", "began"),
    [
        ({"search_strategy": "random", "random_iteration": 40}, 40),
        ({"search_strategy": "evolution", "population": 10}, 10),
        ({"search_strategy": "bayesian", "startup": 7}, 7),
        ({"search_strategy": "predictor", "population": 10, "warm_start": "archive.jsonl"}, 0),
        ({"search_strategy": "local_search"}, 0),
    ],
)
def test_the_random_networks_it_began_with_are_the_baseline(
    options: dict[str, Any], began: int, chain: SearchSpace, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run", chain, 40, 0)
    (folder / "search/config.yaml").write_text(json.dumps({"strategy": options}))
    search = read_search(folder)
    assert search.random_start == [result for result in search.results[:began] if search.allows(result)]
    page = rendered(folder, tmp_path / "report.html")
    assert len(page.of_class("baseline")) == (2 if search.random_start else 0)  # against either cost
    assert ("median of the" in page.text) == bool(search.random_start)


def test_runs_are_compared(run: Path, chain: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_run(tmp_path / "other", chain, 15, supernet_sha256="another")
    monkeypatch.chdir(tmp_path)
    assert main([str(run), str(other / "search")]) == 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "2 searches beside each other" in page.text
    assert "cannot be compared between these runs" in page.text
    assert len(page.of_class("run")) == 2


def test_scores_of_heads_fitted_anew_are_compared_with_their_like_only(chain: SearchSpace, tmp_path: Path) -> None:
    plain, like = make_run(tmp_path / "plain", chain, 15), make_run(tmp_path / "like", chain, 15)
    refitted = make_run(tmp_path / "refitted", chain, 15, method="refitted head")
    searches = [str(folder / "search") for folder in (like, plain, refitted)]
    page = tmp_path / "report.html"
    assert main([*searches[:2], "--output", str(page)]) == 0
    assert "cannot be compared between these runs" not in page.read_text(encoding="utf-8")
    assert main([*searches[1:], "--output", str(page)]) == 0
    assert "cannot be compared between these runs" in page.read_text(encoding="utf-8")
    assert ", refitted head</td>" in page.read_text(encoding="utf-8")


def test_a_later_stage_renews_the_report(chain: SearchSpace, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", chain, 5)
    (folder / "rank").mkdir()
    assert renew_report(tmp_path / "elsewhere" / "rank") == []
    ranking = {"format": RANKING, "words": ["It ranks well."], "top_k": [1], "rows": []}
    write_sealed(folder / "rank" / "rank.json", ranking)
    assert renew_report(folder / "rank") == [f"report     {folder / 'search/report.html'}"]
    assert "It ranks well." in (folder / "search/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["search/learning", "supernet"])
def test_what_was_learnt_is_shown(place: str, chain: SearchSpace, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", chain, 5, 0, strategy="differentiable", supernet_sha256="abc")
    (folder / place).mkdir(parents=True)
    assert read_search(folder).learnt is None
    rows = [np.log([0.4, 0.3, 0.2, 0.1]) for _ in chain.decisions]
    save_distribution(folder / place, chain, Distribution(rows, (0,) * len(rows), {"skips": {"normal": [0, 2, 1]}}))
    if place == "supernet":
        for sha256 in ("def", "abc"):  # of another one than the searched, then of the searched
            assert read_search(folder).learnt is None
            write_sealed(folder / place / "supernet.json", {"format": SUPERNET, "sha256": sha256})
    page = rendered(folder, tmp_path / "report.html")
    assert all(words in page.text for words in ("What was learnt", "normal cell"))
    shown = [attrs["data-tip"] for attrs in page.of_class("cell") if "% of" not in str(attrs["data-tip"])]
    names = [f"{decision.name}: {name}" for decision in chain.decisions for name in decision.options]
    assert [str(text).split("\n")[0] for text in shown] == [
        f"{name} in {share}%" for name, share in zip(names, [40, 30, 20, 10] * len(rows), strict=True)
    ]


def test_the_report_of_one_run_lies_beside_it(chain: SearchSpace, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", chain, 5)
    assert main([str(folder)]) == 0
    assert (folder / "search/report.html").is_file()
    with pytest.raises(UserError, match=r"none/page.html: no such file or folder$"):  # not the run, which is there
        main([str(folder), "--output", str(tmp_path / "none/page.html")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], r"no finished search in missing: best\.json"),
        (["missing", "--ouput", "x"], "did you mean '--output'"),
        ([], "required: RUN"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(arguments)


@pytest.mark.parametrize("content", ["{", "[]", {"search": 3}, {"space_options": {"search_space": "spos"}}])
def test_a_damaged_search_is_refused(content: str | dict[str, Any], chain: SearchSpace, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", chain, 5)
    if isinstance(content, str):
        (folder / "search/best.json").write_text(content)
    else:
        write_sealed(folder / "search/best.json", {"format": FORMAT, **content})
    with pytest.raises(UserError, match="damaged"):
        read_search(folder)


def test_a_chosen_network_that_was_not_evaluated_is_refused(chain: SearchSpace, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", chain, 5)
    best = json.loads((folder / "search/best.json").read_text())
    evaluated = {result.architecture for result in read_search(folder).results}
    rng = random.Random(1)
    best["architecture"] = next(a for a in iter(lambda: chain.sample(rng), None) if a not in evaluated)
    write_sealed(folder / "search/best.json", best)
    with pytest.raises(UserError, match="damaged"):
        read_search(folder)


def test_it_opens_in_a_real_browser(run: Path, tmp_path: Path) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)}")
    page = tmp_path / "report.html"
    write_report(page, [read_search(run)])
    # What a hand with a mouse would do, and what the page says of it.
    probe = """<script>
    const star = document.querySelector("path.chosen");
    star.dispatchEvent(new MouseEvent("mousemove", {bubbles: true, clientX: 50, clientY: 50}));
    const box = document.querySelector("svg").getBoundingClientRect();
    document.body.dataset.probe = JSON.stringify(
      {tip: tip.textContent, shown: getComputedStyle(tip).display, problems, width: box.width, height: box.height,
       overflow: document.documentElement.scrollWidth > innerWidth, alerts});
    </script>"""
    early = """<script>
    const problems = []; let alerts = 0; alert = () => { alerts += 1; };
    addEventListener("error", event => problems.push(event.message ?? "a resource"), true);
    addEventListener("securitypolicyviolation", event => problems.push(event.violatedDirective));
    </script>"""
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("<body>", f"<body>{early}").replace("</body>", f"{probe}</body>"), encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1200,900",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (body,) = (attrs for tag, attrs in Page(done.stdout).elements if tag == "body")
    found = json.loads(body["data-probe"] or "")
    search = read_search(run)
    assert found["problems"] == []
    assert found["alerts"] == 0
    assert found["shown"] == "block"
    assert " ".join(search.space.names(search.chosen)) in found["tip"]
    assert found["width"] > 300
    assert found["height"] > 150
    assert not found["overflow"]
