"""The account of a finished search: what it has spent, at which fidelity, and of which budget."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.readers.form import check_form
from config_file.readers.json_text import read_sealed
from config_file.readers.numbers import number_in
from search.result import Fidelity, Result

SPENT, FORMAT = "spent.json", "oneshot-nas spent 1"

_AMOUNTS = ("spent", "first_stage", "budget")
_COUNTS = ("evaluations", "results", "repeats")
_FORM: dict[str, Any] = {**dict.fromkeys(_COUNTS, int), **{name: {...: float} for name in _AMOUNTS}}


@dataclass(frozen=True)
class Spent:
    """The effort of a search so far.

    Attributes:
        results: all evaluations, as the archive has them: each with what it took beside what was charged before.
        account: the content of `spent.json`; {} of a search that wrote none.
    """

    results: Sequence[Result]
    account: Mapping[str, Any]

    @property
    def total(self) -> Mapping[str, float]:
        """{what: amount} in all, a first stage included."""
        return self.account.get("spent") or _sum(self.results)

    @property
    def seconds(self) -> float:
        return self.total.get("seconds", 0.0)

    @property
    def epochs(self) -> float:
        return self.total.get("epochs", 0.0)

    def facts(self) -> list[tuple[str, str]]:
        """Rows for people: the total, of which budget, what came before, and every fidelity."""
        rows = [("in all", _in_words(self.total))]
        if self.account:
            budget, before, repeats = (self.account[name] for name in ("budget", "first_stage", "repeats"))
            rows.append(("budget", _in_words(budget) or "no limit but the strategy's own end"))
            rows += [("of it the first stage", _in_words(before))] if before else []
            rows.append(("repeats", f"{repeats:,}, free"))
        by_fidelity: dict[Fidelity, list[Result]] = defaultdict(list)
        for result in self.results:
            by_fidelity[result.fidelity].append(result)
        if len(by_fidelity) > 1:
            for fidelity in sorted(by_fidelity):
                made = by_fidelity[fidelity]
                rows.append((f"at {fidelity}", f"{len(made):,} evaluations, {_in_words(_sum(made))}"))
        return rows


def read_spent(folder: Path, results: Sequence[Result]) -> Spent:
    """The account in a search's folder; without its file what the results say.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / SPENT
    if not path.is_file():
        return Spent(results, {})
    account = read_sealed(path, FORMAT)
    check_form(account, _FORM, path)
    for name in _AMOUNTS:
        for what, amount in account[name].items():
            number_in(amount, f"{path}: {name}.{what}", at_least=0)
    for name in _COUNTS:
        number_in(account[name], f"{path}: {name}", at_least=0)
    return Spent(results, account)


def _sum(results: Sequence[Result]) -> Mapping[str, float]:
    total: Counter[str] = Counter()
    for result in results:
        total.update(result.spent)
    return total


def _in_words(amounts: Mapping[str, float]) -> str:
    units = {"seconds": "s"}
    order = dict.fromkeys(("evaluations", "epochs", "seconds", *amounts))
    return ", ".join(f"{amounts[what]:,.6g} {units.get(what, what)}" for what in order if what in amounts)
