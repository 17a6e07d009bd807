"""Fidelities as text: rungs of amounts, such as `12,25,50,100,200` epochs or `epochs=2,data=0.1;epochs=10,data=1`."""

from collections.abc import Collection
from itertools import pairwise

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options
from config_file.readers.numbers import number_in
from search.result import Fidelity

AMOUNTS = {"epochs": None, "data": 1.0, "resolution": None, "width": None}
"""{amount: the greatest there can be}: epochs of training, the share of the training images, the height and width of
the images in pixels, and the factor of the channels."""

WHOLE = ("epochs", "resolution")


@options("Evaluation")
class FidelityOptions:
    """The fidelities of an evaluator that trains, or that looks trainings up."""

    fidelities: str | None = option(
        None,
        "what a training spends, rung by rung: epochs, as 12,25,50,100,200, or rungs of epochs, data (share of the "
        "training images), resolution (px) and width (factor), as 'epochs=2,data=0.1;epochs=10,data=1'; none: the "
        "evaluator's own",
        metavar="RUNGS",
    )


def parse_fidelities(text: str, names: Collection[str] = tuple(AMOUNTS)) -> tuple[Fidelity, ...]:
    """The fidelities of --fidelities, rising: no amount falls from one rung to the next, and one rises.

    Args:
        text: numbers separated by commas, which are epochs, or rungs separated by semicolons.
        names: the amounts that the evaluator knows.

    Raises:
        UserError: not such a text, an amount that the evaluator does not know or that cannot be, or rungs that do not
            rise.
    """
    rungs = [_amounts(rung, names, text) for rung in _rungs(text)]
    if other := next((rung for rung in rungs if rung.keys() != rungs[0].keys()), None):
        first, second = (" and ".join(rung) for rung in (rungs[0], other))
        raise UserError(f"--fidelities {text}: every rung names the same amounts, not {first}, then {second}")
    for low, high in pairwise(rungs):
        if low == high or any(high[name] < low[name] for name in low):
            raise UserError(f"--fidelities {text}: rungs rise, none of their amounts falls")
    # Fidelities are compared by their amounts in one order, the same for every rung.
    order = [name for name in names if name in rungs[0]]
    return tuple(Fidelity(**{name: rung[name] for name in order}) for rung in rungs)


def _rungs(text: str) -> list[str]:
    """The text of each rung."""
    if "=" in text:
        return text.split(";")
    return [f"epochs={number}" for number in text.replace(";", ",").split(",")]


def _amounts(rung: str, names: Collection[str], text: str) -> dict[str, float]:
    """The amounts of one rung."""
    found: dict[str, float] = {}
    for entry in rung.split(","):
        name, equals, number = (part.strip() for part in entry.partition("="))
        if not equals or not number:
            raise UserError(
                f"--fidelities {text}: {entry.strip()!r} is no amount: write 12,25,50 or epochs=2,data=0.1;epochs=9"
            )
        name = choose("amount of --fidelities", name, {known: known for known in names})
        if name in found:
            raise UserError(f"--fidelities {text}: {name} stands twice in a rung")
        found[name] = _amount(name, number, text)
    return found


def _amount(name: str, number: str, text: str) -> float:
    where, most = f"--fidelities {text}: {name}", AMOUNTS.get(name)
    amount = float(number_in(number, where))
    if amount <= 0 or (most is not None and amount > most) or (name in WHOLE and amount != int(amount)):
        bounds = f" up to {most:g}" if most is not None else ""
        raise UserError(f"{where} is a {'whole ' if name in WHOLE else ''}number above 0{bounds}, not {number}")
    return int(amount) if amount.is_integer() else amount
