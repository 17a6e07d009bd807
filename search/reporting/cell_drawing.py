"""Drawings of cells: what every node reads and by which operation, as SVG that stands alone or inside of a report."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from supernet.cell_space import CellSpace
from supernet.decisions import Architecture

ROW, TOP, LEFT = 58.0, 52.0, 118.0
OPERATION, NODE, GAP = 118.0, 34.0, 74.0
"""Widths of an operation and of a node, and the room for the edges before an operation. All in SVG units."""

_STYLE = (
    ".cells { font: 12px system-ui, 'DejaVu Sans', sans-serif; color: #1f2933; background: #fff; } "
    ".paper { fill: #fff; } "
    "@media (prefers-color-scheme: dark) "
    "{ .cells { color: #e6eaee; background: #1b2128; } .paper { fill: #1b2128; } }"
)


@dataclass(frozen=True)
class _Place:
    """A node in the drawing: the middle of its left side, and its width."""

    x: float
    y: float
    width: float
    name: str

    @property
    def right(self) -> float:
        return self.x + self.width


@dataclass(frozen=True)
class Drawing:
    """An `<svg>` element, every text in which is escaped, and its size in SVG units."""

    svg: str
    width: float
    height: float


def cell_drawings(space: CellSpace, architecture: Architecture, colours: Mapping[str, str]) -> list[Drawing]:
    """The drawing of each kind of cell.

    Args:
        colours: of operations by name.
    """
    return [_drawing(space, kind, architecture, colours) for kind, _ in space.outputs]


def cells_as_svg(space: CellSpace, architecture: Architecture, colours: Mapping[str, str]) -> str:
    """All cells of an architecture as the text of one SVG file."""
    parts, y = [], 0.0
    drawings = cell_drawings(space, architecture, colours)
    for one in drawings:
        at = f'<svg y="{y:g}" width="{one.width:g}" height="{one.height:g}" '
        parts.append(one.svg.replace("<svg ", at, 1))
        y += one.height
    wide = max(one.width for one in drawings)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cells" viewBox="0 0 {wide:g} {y:g}" width="{wide:g}" '
        f'height="{y:g}"><style>{_STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _drawing(space: CellSpace, kind: str, architecture: Architecture, colours: Mapping[str, str]) -> Drawing:
    nodes = {
        node: [edge for edge in edges if edge.operation != "none"]
        for (of, node), edges in space.kept(architecture).items()
        if of == kind
    }
    inputs, outputs = space.inputs_of(kind), space.ends_of(architecture)[kind]
    titles = ("cell before last", "last cell") if len(inputs) == 2 else ("input",)
    # 1. Columns: a node is one further to the right than what it reads; each has a row of its own.
    depth: dict[str, int] = dict.fromkeys(inputs, 0)
    for name, edges in nodes.items():
        depth[name] = 1 + max([depth[edge.source] for edge in edges], default=0)
    step = GAP + OPERATION + 16 + NODE
    rows = {name: TOP + ROW * position for position, name in enumerate(nodes)}
    middle = TOP + ROW * (len(nodes) - 1) / 2
    places = {
        name: _Place(8, middle + ROW * (2 * position - len(inputs) + 1) * 0.5, LEFT - 8, title)
        for position, (name, title) in enumerate(zip(inputs, titles, strict=True))
    }
    for name in nodes:
        x = LEFT + (depth[name] - 1) * step + GAP + OPERATION + 16
        places[name] = _Place(x, rows[name], NODE, name)
    end = _Place(LEFT + max(depth.values()) * step + GAP * 0.6, middle, 62, "output")
    # 2. Edges first, so that boxes stand on them.
    lines, boxes = [], []
    for name, edges in nodes.items():
        node = places[name]
        for position, edge in enumerate(edges):
            y = node.y + (position - (len(edges) - 1) / 2) * 25
            x = node.x - 16 - OPERATION
            lines += [_curve(places[edge.source].right, places[edge.source].y, x, y)]
            lines += [_curve(x + OPERATION, y, node.x, node.y)]
            boxes.append(_box(x, y, OPERATION, 20, edge.operation, colours.get(edge.operation, "#9aa5b1"), 5))
        boxes.append(_box(node.x, node.y, NODE, 30, name, "#3b6fb6", 15))
    lines += [_curve(places[name].right, places[name].y, end.x, end.y) for name in outputs if name in places]
    boxes += [
        _box(place.x, place.y, place.width, 28, place.name, "#9aa5b1", 4)
        for place in (*(places[n] for n in inputs), end)
    ]
    height, width = 2 * TOP + ROW * (len(nodes) - 1) + 14, end.right + 8
    title = f"{kind} cell"
    svg = (
        f'<svg class="cells" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f'<text x="8" y="16" font-weight="600" fill="currentColor">{escape(title)}</text>'
        f'<g fill="none" stroke="currentColor" stroke-opacity="0.45">{"".join(lines)}</g>'
        f'<g text-anchor="middle">{"".join(boxes)}</g></svg>'
    )
    return Drawing(svg, width, height)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f'<path d="M{x:g},{y:g} C{middle:g},{y:g} {middle:g},{to_y:g} {to_x:g},{to_y:g}"/>'


def _box(x: float, y: float, width: float, height: float, text: str, colour: str, radius: float) -> str:
    colour, text = escape(colour), escape(text)
    at = f'x="{x:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"'
    return (
        f'<rect class="paper" {at}/><rect {at} fill="{colour}" fill-opacity="0.22" stroke="{colour}"/>'
        f'<text x="{x + width / 2:g}" y="{y + 4:g}" fill="currentColor" font-size="11.5">{text}</text>'
    )
