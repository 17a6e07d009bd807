"""Halving with any rungs and rate, hyperband and ASHA: who goes on, and what that costs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from config_file.errors import UserError
from search.archive import Archive
from search.cli import main
from search.engine import run
from search.evaluators.fidelity_options import parse_fidelities
from search.ledger import Ledger, Stop
from search.objectives import ACCURACY, Objective
from search.result import Fidelity, Result
from search.schedules import Asha, AshaOptions, Halving, HalvingOptions, Hyperband, Schedule, make_schedule
from supernet import Architecture
from tests.search.test_first_stage import arguments, here  # noqa: F401 - a fixture
from tests.search.test_ledger import RUNGS, Curves, best, randomly

FIVE = tuple(Fidelity(epochs=epochs) for epochs in (1, 3, 9, 27, 81))
THIRDS = HalvingOptions(halving_rate=3)


def search(path: Path, schedule: Schedule, count: int, lives: int = 10**9, stop: Stop | None = None) -> Ledger:
    ledger = Ledger(stop)
    run(randomly(count), Curves(lives), Archive(path, {}), {}, ledger=ledger, schedule=schedule, pick=best)
    return ledger


@pytest.mark.parametrize(
    ("rungs", "count", "epochs"),
    [
        ("12,25,50,100,200", 32, 1192),  # MF-NAS on NAS-Bench-201
        ("4,12,36,108", 16, 368),  # on NAS-Bench-101
        ("10,20,30,40", 16, 300),  # on NAS-Bench-ASR
        ("12,25,50,90", 32, 952),  # on NATS-Bench's size space
        ("12,25,50,90", 16, 476),
        ("12,200", 32, 3392),  # what the real tables of NAS-Bench-201 allow
    ],
)
def test_epochs_of_halving_are_those_of_mf_nas(rungs: str, count: int, epochs: int, tmp_path: Path) -> None:
    assert search(tmp_path / "a", Halving(parse_fidelities(rungs)), count).spent["epochs"] == epochs


def rows(scores: Sequence[float], first: int = 0) -> list[Result]:
    return [Result((first + number,), {"accuracy": score}) for number, score in enumerate(scores)]


def test_a_rate_says_how_many_go_on() -> None:
    results = rows([number / 100 for number in range(10)])
    assert len(Halving(FIVE).going_on(0, results, [])) == 5
    assert Halving(FIVE, options=THIRDS).going_on(0, results, []) == [(9,), (8,), (7,), (6,)]  # ceil(10 / 3)
    assert len(Hyperband(FIVE, options=THIRDS).going_on(0, results, [])) == 3  # floor
    alone = [bool(Halving(FIVE, options=THIRDS).going_on(0, rows([score], 50), results)) for score in (0.05, 0.07)]
    assert alone == [False, True]  # the best third of 0.00 to 0.09 begins at 0.06 and above
    with pytest.raises(UserError, match="halving-rate must be at least 2"):
        HalvingOptions(halving_rate=1)


def test_brackets_of_hyperband_are_those_of_the_paper() -> None:
    hyperband = Hyperband(FIVE, options=THIRDS)
    brackets = [hyperband.bracket(number) for number in range(6)]
    assert brackets == [(0, 81), (1, 34), (2, 15), (3, 8), (4, 5), (0, 81)]  # of R = 81, eta = 3: Li et al. 2017
    assert "81 on 1, 34 on 3, 15 on 9, 8 on 27, 5 on 81" in hyperband.in_words([str(f["epochs"]) for f in FIVE])


def test_hyperband_evaluates_its_brackets(tmp_path: Path) -> None:
    ledger = search(tmp_path / "a", Hyperband(FIVE, options=THIRDS), 81 + 34 + 15 + 8 + 5)
    made = Counter(result.fidelity["epochs"] for result in Archive(tmp_path / "a", {}))
    # Every bracket as the paper lists it: so many at the fidelity where it begins, floor(n / 3) at each next one.
    expected: Counter[int] = Counter()
    for begin, count in enumerate((81, 34, 15, 8, 5)):
        for fidelity in FIVE[begin:]:
            expected[int(fidelity["epochs"])] += count
            count //= 3
    assert made == expected
    assert ledger.evaluations == 143


def simulated(scores: dict[Architecture, Sequence[float]], order: Sequence[Architecture], rate: int) -> list[set]:  # type: ignore[type-arg]
    """ASHA of one worker, by its own loop (Algorithm 2 of Li et al. 2018): promote from the highest rung, or begin."""
    rungs: list[dict[Architecture, float]] = [{} for _ in FIVE]
    promoted: list[set[Architecture]] = [set() for _ in FIVE]
    left = list(order)
    while True:
        for rung in range(len(FIVE) - 2, -1, -1):
            ranked = sorted(rungs[rung], key=lambda a: -rungs[rung][a])
            candidates = [a for a in ranked[: len(ranked) // rate] if a not in promoted[rung]]
            if candidates:
                promoted[rung].add(candidates[0])
                rungs[rung + 1][candidates[0]] = scores[candidates[0]][rung + 1]
                break
        else:
            if not left:
                return [set(rung) for rung in rungs]
            begun = left.pop(0)
            rungs[0][begun] = scores[begun][0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [2, 3])
def test_asha_promotes_whom_an_independent_loop_promotes(rate: int, seed: int, tmp_path: Path) -> None:
    generator = random.Random(seed)
    order: list[Architecture] = [(number,) for number in range(60)]
    scores = {a: [generator.random() for _ in FIVE] for a in order}

    class Listed:
        size = None

        def __init__(self) -> None:
            self.left = list(order)

        def ask(self, n: int) -> list[Architecture]:
            asked, self.left = self.left[:n], self.left[n:]
            return asked

        def tell(self, results: Sequence[Result]) -> None:
            """Nothing is learned."""

    class Scores:
        def evaluate(self, architectures, fidelity=None):  # type: ignore[no-untyped-def]
            assert fidelity is not None
            for a in architectures:
                yield Result(a, {"accuracy": scores[a][FIVE.index(fidelity)]}, fidelity)

    schedule = Asha(FIVE, options=AshaOptions(halving_rate=rate))
    run(Listed(), Scores(), Archive(tmp_path / "a", {}), {}, schedule=schedule)
    archive = Archive(tmp_path / "a", {})
    found = [{a for a in order if archive.find(a, fidelity) is not None} for fidelity in FIVE]
    assert found == simulated(scores, order, rate)


@pytest.mark.parametrize("schedule", [Hyperband(RUNGS), Asha(RUNGS), Asha(RUNGS, options=AshaOptions(asha_batch=4))])
@pytest.mark.parametrize("lives", [0, 13, 40])
def test_killed_and_resumed_it_ends_the_same(schedule: Schedule, lives: int, tmp_path: Path) -> None:
    stop = Stop(evaluations=40, epochs=1500)
    whole = search(tmp_path / "whole", schedule, 60, stop=stop)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "killed", schedule, 60, lives, stop)
    assert search(tmp_path / "killed", schedule, 60, stop=stop).spent == whole.spent
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_schedules_by_name() -> None:
    loss = Objective("loss")
    made = make_schedule("asha", FIVE, loss, AshaOptions(halving_rate=4, asha_batch=3))
    assert made == Asha(FIVE, loss, AshaOptions(halving_rate=4, asha_batch=3))
    assert made.bracket(7) == (0, 3)  # type: ignore[attr-defined]
    assert make_schedule("hyperband", FIVE, ACCURACY) == Hyperband(FIVE)
    own = make_schedule("search.schedules:Hyperband", FIVE, ACCURACY, THIRDS)
    assert own.bracket(0) == (0, 81)  # type: ignore[attr-defined]


def test_from_the_command_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    more = ["--schedule", "asha", "--halving-rate", "3", "--asha-batch", "2", "--overwrite"]
    assert main(arguments()) == 0
    assert main(arguments(*more)) == 0
    out = capsys.readouterr().out
    assert "12 epochs, of the best third on 25 epochs" in out
    results = list(Archive(here / "runs/t/search/archive.jsonl", {"evaluator": "letters_curves:Curves"}))
    made = Counter(result.fidelity["epochs"] for result in results)
    assert made[12] == 32
    assert made[25] >= 32 // 3
    for wrong, message in (
        (["--asha-batch", "2"], "--asha-batch is for --schedule asha, not for halving"),
        (["--schedule", "all", "--halving-rate", "3"], "--halving-rate is for --schedule halving, hyperband, asha"),
    ):
        with pytest.raises(UserError, match=message):
            main(arguments(*wrong, "--overwrite"))


class Outside(Hyperband):
    """A schedule that begins at a fidelity there is not."""

    def bracket(self, number: int) -> tuple[int, int]:
        return 7, 3


def test_a_bracket_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    own = make_schedule(f"{__name__}:Outside", FIVE, ACCURACY)
    with pytest.raises(UserError, match=r"Outside: bracket\(\) gave \(7, 3\), not \(position, count\)"):
        search(tmp_path / "a", own, 3)
