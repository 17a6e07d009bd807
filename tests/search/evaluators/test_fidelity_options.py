from __future__ import annotations

import pytest

from config_file.errors import UserError
from search.evaluators.fidelity_options import parse_fidelities
from search.result import Fidelity


@pytest.mark.parametrize(
    ("text", "rungs"),
    [
        ("200", [Fidelity(epochs=200)]),
        ("12, 25,50,100,200", [Fidelity(epochs=epochs) for epochs in (12, 25, 50, 100, 200)]),
        ("epochs=2,data=0.1;epochs=10,data=1", [Fidelity(epochs=2, data=0.1), Fidelity(epochs=10, data=1)]),
        ("data=.03;data=1", [Fidelity(data=0.03), Fidelity(data=1)]),
        ("width=0.5,epochs=5; epochs=5,width=1", [Fidelity(epochs=5, width=0.5), Fidelity(epochs=5, width=1)]),
    ],
)
def test_rungs_as_text(text: str, rungs: list[Fidelity]) -> None:
    found = parse_fidelities(text)
    assert list(found) == rungs == sorted(rungs)
    assert [list(fidelity) for fidelity in found] == [list(rungs[0])] * len(rungs)  # compared in one order


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("25,12", "rungs rise"),
        ("12,12", "rungs rise"),
        ("epochs=2,data=1;epochs=10,data=0.1", "none of their amounts falls"),
        ("epochs=2;data=1", "every rung names the same amounts, not epochs, then data"),
        ("epochs=2;epochs=4,data=1", "every rung names the same amounts, not epochs, then epochs and data"),
        ("epoch=2", "unknown amount of --fidelities 'epoch'; did you mean 'epochs'"),
        ("epochs=2,epochs=3", "epochs stands twice"),
        ("epochs=2.5", "epochs is a whole number above 0, not 2.5"),
        ("0,12", "epochs is a whole number above 0, not 0"),
        ("data=1.5", "data is a number above 0 up to 1, not 1.5"),
        ("data=nan", "data must be a number, not nan"),
        ("12;;25", "'epochs=' is no amount"),
        ("epochs=2,;epochs=3", "'' is no amount: write 12,25,50"),
        ("", "is no amount"),
    ],
)
def test_what_is_no_fidelity_is_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        parse_fidelities(text)
    assert "\n" not in str(error.value)


def test_amounts_that_an_evaluator_does_not_know_are_refused() -> None:
    assert parse_fidelities("12,25", ["epochs"]) == (Fidelity(epochs=12), Fidelity(epochs=25))
    with pytest.raises(UserError, match=r"unknown amount of --fidelities 'data' \(choices: epochs\)"):
        parse_fidelities("data=0.1", ["epochs"])
