"""Collapse: a search whose derived layers are mostly skips, which need no training and so win early."""

from __future__ import annotations

from supernet import Architecture, SearchSpace

SKIPS = ("skip", "identity", "none")
"""Names of options that leave a layer out."""

COLLAPSED = 0.5  # share of the layers that can be skipped, derived as skips, above which a search is said to collapse
FEWEST = 3  # layers that can be skipped, below which there is no such word


def collapse_warning(space: SearchSpace, derived: Architecture, held: bool = False) -> str:
    """A line of warning where most layers that can be skipped are, "" otherwise.

    With hard limits (`held`) a tight one may ask for that.
    """
    skippable = skips(space)
    skipped = sum(derived[decision] in options for decision, options in skippable.items())
    if len(skippable) < FEWEST or skipped <= COLLAPSED * len(skippable):
        return ""
    advice = "try more --a-warmup-epochs, a lower --a-lr, or a target that asks for more (--hc-mode constrained)"
    if held:
        advice = "if the limits do not ask for that, try more --a-warmup-epochs or a lower --a-lr"
    return (
        f"  warning: the search is collapsing to skip: of {len(skippable)} layers that can be skipped, {skipped} are; "
        + advice
    )


def skips(space: SearchSpace) -> dict[int, tuple[int, ...]]:
    """Per decision that can skip: the options that do."""
    found = {}
    for index, decision in enumerate(space.decisions):
        options = tuple(option for option, name in enumerate(decision.options) if name in SKIPS)
        if options and len(options) < len(decision.options):
            found[index] = options
    return found
