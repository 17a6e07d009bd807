"""Plots as data: where the template of the report draws marks, lines and ticks. All lengths are in SVG units."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 640.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 12.0, 46.0


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to SVG units.

    low, high: the values at `start` and `end` (`end < start` for an axis that points up); title: with its unit.
    """

    low: float
    high: float
    start: float
    end: float
    title: str

    def at(self, value: float) -> float:
        """The place of a value, to a hundredth: a report holds thousands of them."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """(place, label) at round values."""
        step = round_step((self.high - self.low) / 6)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(self.at(n * step), f"{n * step + 0.0:,.{digits}f}") for n in range(first, last + 1)]


@dataclass(frozen=True)
class Mark:
    """A point: `kind` is its CSS class, `tip` what hovering over it says, `fill` a colour of its own."""

    x: float
    y: float
    kind: str
    tip: str = ""
    fill: str = ""


@dataclass(frozen=True)
class Line:
    """A line through places; `kind` is its CSS class."""

    points: tuple[tuple[float, float], ...]
    kind: str
    stroke: str = ""

    @property
    def path(self) -> str:
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)


@dataclass(frozen=True)
class Box:
    """A rectangle; `kind` is its CSS class, `tip` what hovering over it says, `text` stands inside, where it fits."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    tip: str = ""
    fill: str = ""
    opacity: float = 1.0
    text: str = ""


@dataclass
class Plot:
    """Axes and what is drawn between them, in the order of the lists: boxes, lines, marks."""

    name: str
    x: Axis
    y: Axis
    width: float = WIDTH
    height: float = HEIGHT
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    legend: list[tuple[str, str, str]] = field(default_factory=list)
    """(shape, colour, words)."""

    def mark(self, x: float, y: float, kind: str, tip: str = "", fill: str = "") -> None:
        """Add a point at a value."""
        self.marks.append(Mark(self.x.at(x), self.y.at(y), kind, tip, fill))

    def line(self, points: Iterable[tuple[float, float]], kind: str, stroke: str = "") -> None:
        """Add a line through values."""
        self.lines.append(Line(tuple((self.x.at(x), self.y.at(y)) for x, y in points), kind, stroke))

    def box(self, x: tuple[float, float], y: tuple[float, float], kind: str, tip: str = "") -> None:
        """Add a rectangle between values."""
        left, right = sorted(map(self.x.at, x))
        top, bottom = sorted(map(self.y.at, y))
        self.boxes.append(Box(left, top, right - left, bottom - top, kind, tip))


def plot(
    name: str,
    x: tuple[Sequence[float], str],
    y: tuple[Sequence[float], str],
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    from_zero: bool = False,
) -> Plot:
    """An empty plot whose axes hold the given values, with a margin.

    Args:
        name: what it shows, for those who cannot see it.
        x, y: (finite values to be shown, title).
        from_zero: the x-axis starts at 0 and ends at the largest value: for a count.
    """
    low, high = (0.0, max(x[0], default=1.0)) if from_zero else _range(x[0], 0.05)
    bottom, top = _range(y[0], 0.07)
    across = Axis(low, high, LEFT, width - RIGHT, x[1])
    return Plot(name, across, Axis(bottom, top, height - BOTTOM, TOP, y[1]), width, height)


def _range(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = margin * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def round_step(step: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten that is not less."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def stairs(points: Sequence[tuple[float, float]], until: float) -> list[tuple[float, float]]:
    """A line that holds each value until the next one, up to x = `until`."""
    ends = [*(x for x, _ in points[1:]), until]
    return [corner for (x, y), end in zip(points, ends, strict=True) for corner in ((x, y), (end, y))] if points else []
