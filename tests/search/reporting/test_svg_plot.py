"""Axes and lines of the plots in a report."""

from __future__ import annotations

from search.reporting.svg_plot import Axis, stairs


def test_ticks_are_round_and_inside() -> None:
    assert [label for _, label in Axis(53.2, 61.1, 0, 100, "").ticks] == ["54", "56", "58", "60"]
    assert [label for _, label in Axis(-0.011, 0.012, 0, 1, "").ticks] == [
        "-0.010",
        "-0.005",
        "0.000",
        "0.005",
        "0.010",
    ]
    assert stairs([(1, 2), (3, 5)], 7) == [(1, 2), (3, 2), (3, 5), (7, 5)]
