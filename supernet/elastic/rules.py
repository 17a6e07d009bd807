"""Rules that say what of a network is elastic: `--elastic 'GLOB:CHOICES ...'`.

    layer*:0.5,0.75,1        widths: shares of a layer's channels
    layer*:0.5,1,depth       the same, and residual blocks there may be left out
    layer3:depth             blocks alone
    classifier:fixed         neither

A glob means the layers whose path it matches, and those inside of modules whose path it matches. The last rule that
matches a layer decides all of it; what no rule matches keeps its width and its blocks. In YAML the same is a table of
globs, each with a list or a word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from config_file.errors import UserError, nearest
from config_file.readers.json_text import parse_json

EVERYTHING = "*:0.5,0.75,1,depth"
"""The rule where none is given."""

DEPTH, FIXED = "depth", "fixed"
MOST_RULES, MOST_WIDTHS = 1000, 64


@dataclass(frozen=True)
class Rule:
    """A glob, and what may change in the layers that it matches: shares of their channels, rising to 1, and depth."""

    glob: str
    shares: tuple[float, ...]
    depth: bool

    def matches(self, path: str) -> bool:
        """True for a path that the glob matches, or that is inside of one."""
        return any(fnmatchcase(outer, self.glob) for outer in ancestors(path))


def ancestors(path: str) -> Iterator[str]:
    """A path and those of the modules around it: a, a.b and a.b.c."""
    return accumulate(path.split("."), lambda outer, name: f"{outer}.{name}")


def parse_rules(text: str | None) -> list[Rule]:
    """The rules of `--elastic`; without a text that everything is elastic.

    Raises:
        UserError: not of the form GLOB:CHOICES.
    """
    text = (text or EVERYTHING).strip()
    if text.startswith("{"):
        table = parse_json(text, "--elastic")
        pairs = [(glob, choices if isinstance(choices, list) else [choices]) for glob, choices in table.items()]
    else:
        pairs = []
        for word in text.split():
            glob, colon, choices = word.rpartition(":")
            if not colon:
                raise UserError(f"--elastic {word!r}: write GLOB:CHOICES, such as {EVERYTHING!r}")
            pairs.append((glob, choices.split(",")))
    if not 1 <= len(pairs) <= MOST_RULES:
        raise UserError(f"--elastic: between 1 and {MOST_RULES} rules, not {len(pairs)}")
    return [_rule(glob, choices) for glob, choices in pairs]


def _rule(glob: str, choices: Sequence[Any]) -> Rule:
    words = [str(choice).strip() for choice in choices]
    numbers = [word for word in words if word not in (DEPTH, FIXED)]
    try:
        shares = tuple(sorted({float(word) for word in numbers}))
    except ValueError:
        shares = (0.0,)
    alone = FIXED not in words or len(words) == 1
    if not glob or not words or not alone or len(shares) > MOST_WIDTHS or not all(0 < share <= 1 for share in shares):
        raise UserError(
            f"--elastic {glob}:{','.join(words)}: choices are shares of the channels above 0 and up to 1, {DEPTH}, or "
            f"{FIXED} alone"
        )
    return Rule(glob, shares, DEPTH in words)


class Rules:
    """The rules, for a network's layers and residual blocks.

    Args:
        text: of `--elastic`, or None.
        layers: paths of the layers whose width could change.
        blocks: paths of the residual blocks that could be left out.
        others: all other paths of the network.

    Raises:
        UserError: a rule matches nothing, or nothing that can change.
    """

    def __init__(
        self, text: str | None, layers: Collection[str], blocks: Collection[str], others: Collection[str]
    ) -> None:
        self.rules = parse_rules(text)
        known = dict.fromkeys(outer for path in (*layers, *blocks, *others) for outer in ancestors(path))
        for rule in self.rules:
            if not any(rule.matches(path) for path in known):
                raise UserError(f"--elastic: {rule.glob!r} matches no layer of the network{nearest(rule.glob, known)}")
            changes = [*(layers if rule.shares else ()), *(blocks if rule.depth else ())]
            if (rule.shares or rule.depth) and not any(rule.matches(path) for path in changes):
                what = " or ".join([*(["width"] if rule.shares else []), *(["depth"] if rule.depth else [])])
                raise UserError(f"--elastic: {rule.glob!r} matches layers, but none whose {what} can change")

    def shares(self, path: str) -> tuple[float, ...]:
        """The shares of its channels that a layer may have; () where it keeps them."""
        rule = self._last(path)
        return () if rule is None else rule.shares

    def why_kept(self, paths: Sequence[str]) -> str:
        """The reason why layers that change together keep their width."""
        kept = [path for path in paths if not self.shares(path)]
        if not kept:
            return "too narrow for the shares that rules name, or the rules of layers tied to each other differ"
        words = "a rule fixes" if self._last(kept[0]) else "no rule names"
        return f"{words} {kept[0]}" + (", which is tied to the others" if len(kept) < len(paths) else "")

    def depth(self, path: str) -> bool:
        """True if a residual block may be left out."""
        rule = self._last(path)
        return rule is not None and rule.depth

    def _last(self, path: str) -> Rule | None:
        return next((rule for rule in reversed(self.rules) if rule.matches(path)), None)
