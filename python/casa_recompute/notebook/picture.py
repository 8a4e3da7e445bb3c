"""The graph as a picture: cells in a column, products as lanes at their right, names at their left.

Each use of a product is written beside its cell with its direction, so the lanes need not be followed with a finger;
they show how far a state reaches. Lanes do not overlap; short ones are nearest to the cells. The picture
needs no font of its own, has its own background, and says with words all that it says with colours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from xml.sax.saxutils import escape

from casa_recompute.notebook.graph import CellNode, Edge, Graph, passed_on, price, title

_STATES = {  # colour of its words and stripe, background, meaning; all words have a contrast of 4.5 or more
    "fresh": ("#56776a", "#f1f5f3", "true as it stands"),
    "restorable": ("#2363ad", "#e6f0fb", "need not run, is brought back"),
    "maybe": ("#8a5d00", "#fdf3d9", "waits for a cell above"),
    "stale": ("#b93f1b", "#fdeae3", "must run"),
}
_LANES = ("#1f6f8b", "#8a4f9e", "#b4582a", "#3b7d3f", "#5560b8", "#a83f68", "#7a6a1e", "#51606e")
_INK, _FAINT, _WIRE, _WARN, _MARK = "#1f2933", "#5d6975", "#a3adb8", "#b42318", "#7b2d8e"
_WIDTH = 1180  # of the picture, unless there are very many lanes
_CELL = (380, 640)  # least and largest width of a cell
_GAP, _PORT = 12, 22  # space between cells; height of a use of a product
_PILL, _ARROW, _LANE, _WIRES, _NAMES, _MARGIN = 220, 26, 14, 10, 140, 24  # widths; _PILL: at most
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif'
_STYLE = f"""
.casa-graph text {{ font-family: {_FONT}; fill: {_INK}; }}
.casa-graph .code {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
.casa-graph .lane:hover path {{ stroke-width: 3; }}
.casa-graph .wire:hover path {{ stroke: {_INK}; stroke-width: 2; }}
"""


@dataclass
class _Use:
    """What a cell does to a group of products."""

    cell: int
    reads: bool
    change: str  # "", "writes", "modifies", "deletes"
    below: bool  # whether what it read had been made by a cell below
    y: float = 0.0

    @property
    def verb(self) -> str:
        words = ["reads"] * self.reads + [self.change] * bool(self.change)
        return " and ".join(words) + (" (made by a cell below)" if self.below else "")


class _Strand(ABC):
    """What runs beside the cells from one to another."""

    lane: int = 0

    @property
    @abstractmethod
    def span(self) -> tuple[int, int]:
        """Numbers of its first and last cell."""


@dataclass
class _Group(_Strand):
    """Products that are used by the same cells in the same ways: one lane."""

    paths: list[str]
    roles: set[str]
    uses: list[_Use]
    colour: str = _LANES[0]

    @property
    def span(self) -> tuple[int, int]:
        return self.uses[0].cell, self.uses[-1].cell

    @property
    def label(self) -> str:
        """``a.ms``, ``img.* (7)``, ``a.gcal +1``."""
        label = self.paths[0]
        if len(self.paths) > 1:
            stem = commonprefix(self.paths).rpartition(".")[0]
            label = f"{stem}.* ({len(self.paths)})" if stem else f"{label} +{len(self.paths) - 1}"
        return _middle(label, _PILL - 24, 12)

    @property
    def width(self) -> float:
        """Of the pill with the label."""
        return min(6.7 * len(self.label) + 20, _PILL)


@dataclass
class _Bundle(_Strand):
    """Names that one cell gives to others: one lane."""

    origin: int
    readers: dict[int, list[str]]

    @property
    def span(self) -> tuple[int, int]:
        rows = [self.origin, *self.readers]
        return min(rows), max(rows)


@dataclass
class _Row:
    """A cell with its place."""

    node: CellNode
    notes: list[tuple[str, str]]  # text, colour
    uses: list[tuple[_Group, _Use]]
    takes: list[str]  # names
    gives: list[str]
    y: float = 0.0

    @property
    def height(self) -> float:
        names = 44 if self.takes and self.gives else 0
        return max(36 + 17 * len(self.notes), 14 + _PORT * len(self.uses), names)

    def wire(self, giving: bool) -> float:
        """Where the wire of names taken, or given, meets the cell."""
        middle = self.y + self.height / 2
        if not (self.takes and self.gives):
            return middle + 4
        return middle + (15 if giving else -6)


def as_svg(graph: Graph) -> str:
    """The picture, as a document of its own."""
    groups, bundles = _groups(graph), _bundles(graph)
    for number, group in enumerate(groups):
        group.colour = _LANES[number % len(_LANES)]
    lanes = _assign([group for group in groups if len(group.uses) > 1])
    wires = _assign(bundles)
    rows = [_row(node, number, groups, bundles) for number, node in enumerate(graph.cells)]
    left = _MARGIN + (wires * _WIRES + _NAMES if bundles else 0.0)
    pill = max((group.width for group in groups), default=0.0)
    beside = _ARROW + pill + 16 + lanes * _LANE if groups else 0.0
    cell = min(max(_WIDTH - _MARGIN - left - beside, _CELL[0]), _CELL[1])
    right = left + cell
    width = max(right + beside + _MARGIN, 900)
    y = 84.0
    for row in rows:
        row.y = y
        y += row.height + _GAP
        for number, (_, use) in enumerate(row.uses):
            use.y = row.y + row.height / 2 + (number - (len(row.uses) - 1) / 2) * _PORT
    parts = [
        *_heading(graph, width),
        *(part for bundle in bundles for part in _draw_bundle(bundle, rows, left)),
        *(part for group in groups for part in _draw_lane(group, right, right + _ARROW + pill + 16)),
        *(part for row in rows for part in _draw_cell(row, left, cell)),
        *(part for row in rows for group, use in row.uses for part in _draw_use(group, use, right)),
        *(part for row in rows for part in _draw_names(row, left)),
        *_legend(y + 14, bool(groups), bool(bundles)),
    ]
    height = y + 74
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" class="casa-graph" role="img" style="max-width: 100%; height: auto">'
    )
    ground = f'<rect width="{width:.0f}" height="{height:.0f}" rx="10" fill="#fcfdfd" stroke="#e2e6ea"/>'
    label = f"<title>{escape(graph.notebook)}: {escape(graph.summary)}</title>"
    return "\n".join([head, label, f"<style>{_STYLE}</style>", ground, *parts, "</svg>"]) + "\n"


# -- what goes where -----------------------------------------------------------------------------------------


def _groups(graph: Graph) -> list[_Group]:
    shown = passed_on(graph)
    place = {node.id: number for number, node in enumerate(graph.cells)}
    found: dict[tuple[object, ...], _Group] = {}
    touched: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        touched.setdefault(edge.resource, []).append(edge)
    for resource in graph.resources:
        if resource.kind != "product" or resource.id not in shown:
            continue
        edges = touched[resource.id]
        uses = []
        for cell in dict.fromkeys(edge.cell for edge in edges):
            mine = [edge for edge in edges if edge.cell == cell]
            read = next((edge for edge in mine if edge.kind == "reads"), None)
            change = next((edge.kind for edge in mine if edge.kind != "reads"), "")
            below = read is not None and read.origin is not None and place[read.origin] >= place[cell]
            uses.append(_Use(place[cell], read is not None, change, below))
        key = (resource.role, *((use.cell, use.verb) for use in uses))
        if key in found:
            found[key].paths.append(resource.label)
        else:
            found[key] = _Group([resource.label], {resource.role}, uses)
    return sorted(found.values(), key=lambda group: group.span)


def _bundles(graph: Graph) -> list[_Bundle]:
    place = {node.id: number for number, node in enumerate(graph.cells)}
    found: dict[int, _Bundle] = {}
    for edge in graph.edges:
        if edge.kind == "reads" and edge.origin is not None and edge.resource.startswith("n:"):
            bundle = found.setdefault(place[edge.origin], _Bundle(place[edge.origin], {}))
            bundle.readers.setdefault(place[edge.cell], []).append(edge.resource[2:])
    return [found[origin] for origin in sorted(found)]


def _assign(lines: Sequence[_Strand]) -> int:
    """Give each line a lane in which nothing else is; the number of lanes."""
    lanes: list[list[tuple[int, int]]] = []
    for line in sorted(lines, key=lambda line: (line.span[1] - line.span[0], line.span)):
        first, last = line.span
        free = (n for n, taken in enumerate(lanes) if all(last < a or b < first for a, b in taken))
        line.lane = next(free, len(lanes))
        if line.lane == len(lanes):
            lanes.append([])
        lanes[line.lane].append(line.span)
    return len(lanes)


def _row(node: CellNode, number: int, groups: Sequence[_Group], bundles: Sequence[_Bundle]) -> _Row:
    notes = []
    if node.plan.state != "fresh" and node.plan.reasons:
        more = len(node.plan.reasons) - 1
        text = node.plan.reasons[0].message + (f" (and {more} more)" if more else "")
        notes.append((text, _STATES.get(node.plan.state, _STATES["stale"])[0]))
    if node.calls:
        notes.append((" · ".join(call.task for call in node.calls), _FAINT))
    if node.plan.impure:
        notes.append((f"impure: {', '.join(node.plan.impure)}", _MARK))
    if node.plan.outside:
        notes.append((f"writes outside the workspace: {', '.join(node.plan.outside)}", _MARK))
    uses = [(group, use) for group in groups for use in group.uses if use.cell == number]
    uses.sort(key=lambda pair: bool(pair[1].change))  # what comes in stands above what goes out
    takes = [name for bundle in bundles for name in bundle.readers.get(number, [])]
    given = next((bundle.readers for bundle in bundles if bundle.origin == number), {})
    gives = list(dict.fromkeys(name for names in given.values() for name in names))
    return _Row(node, notes, uses, takes, gives)


# -- drawing -------------------------------------------------------------------------------------------------


def _cut(text: str, width: float, size: float, code: bool = False) -> str:
    """Text that is no wider than ``width``; letters are taken to be wide, as no font is at hand to measure with."""
    count = max(int(width / (size * (0.605 if code else 0.54))), 1)
    return text if len(text) <= count else text[: count - 1] + "…"


def _middle(text: str, width: float, size: float) -> str:
    """The same for a path, whose end says most."""
    count = int(width / (size * 0.54))
    return text if len(text) <= count else text[: count // 3] + "…" + text[-(count - count // 3 - 1) :]


def _text(x: float, y: float, text: str, size: float, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{" " if more else ""}{more}>{escape(text)}</text>'


def _line(path: str, colour: str, width: float = 1.5, more: str = "") -> str:
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" {more}/>'


def _arrow(x: float, y: float, colour: str, right: bool) -> str:
    back = x - 7 if right else x + 7
    return f'<path d="M{x:.1f} {y:.1f} L{back:.1f} {y - 4:.1f} V{y + 4:.1f} Z" fill="{colour}"/>'


def _heading(graph: Graph, width: float) -> list[str]:
    name = title(graph.notebook, int((width - 2 * _MARGIN) / 11))
    return [
        _text(_MARGIN, 36, name, 19, 'font-weight="650"'),
        _text(_MARGIN, 58, _cut(graph.summary, width - 2 * _MARGIN, 13), 13, f'style="fill: {_FAINT}"'),
    ]


def _draw_cell(row: _Row, x: float, width: float) -> list[str]:
    plan, y = row.node.plan, row.y
    stripe, ground, _ = _STATES.get(plan.state, _STATES["stale"])
    about_it = [
        f"cell {row.node.number}: {plan.state}",
        row.node.title,
        *(reason.message for reason in plan.reasons),
    ]
    word = f"{plan.state}  {price(plan)}".strip()
    word_width = 6.6 * len(word) + 16
    code = _cut(row.node.title, width - 52 - word_width - 14, 12.5, code=True)
    dash = 'stroke-dasharray="5 3"' if plan.state == "maybe" else ""
    border = 2 if plan.state == "stale" else 1.2
    return [
        f"<g><title>{escape(chr(10).join(about_it))}</title>",
        f'<rect x="{x}" y="{y:.1f}" width="{width:.1f}" height="{row.height:.1f}" rx="8" fill="{ground}" '
        f'stroke="{stripe}" stroke-width="{border}" {dash}/>',
        f'<path d="M{x + 8} {y:.1f} H{x + 6} A6 6 0 0 0 {x} {y + 6:.1f} V{y + row.height - 6:.1f} '
        f'A6 6 0 0 0 {x + 6} {y + row.height:.1f} H{x + 8} Z" fill="{stripe}"/>',
        _text(x + 36, y + 23, str(row.node.number), 12, f'text-anchor="end" style="fill: {_FAINT}"'),
        _text(x + 46, y + 23, code, 12.5, 'class="code"'),
        f'<rect x="{x + width - word_width - 8:.1f}" y="{y + 9:.1f}" width="{word_width:.1f}" height="19" rx="9.5" '
        f'fill="{stripe}"/>',
        _text(
            x + width - word_width / 2 - 8,
            y + 22.5,
            word,
            11.5,
            'text-anchor="middle" font-weight="600" style="fill: #ffffff; white-space: pre"',
        ),
        *(
            _text(x + 46, y + 41 + 17 * n, _cut(text, width - 60, 11.5), 11.5, f'style="fill: {colour}"')
            for n, (text, colour) in enumerate(row.notes)
        ),
        "</g>",
    ]


def _draw_use(group: _Group, use: _Use, x: float) -> list[str]:
    """The arrow between a cell and the name of a product, and that name."""
    colour = _WARN if use.below else group.colour
    arrive = [_arrow(x + 1, use.y, colour, right=False)] if use.reads or use.change == "modifies" else []
    leave = [_arrow(x + _ARROW, use.y, colour, right=True)] if use.change else []
    label, width = group.label, group.width
    made = use.change in ("writes", "modifies")
    fill, ink = (colour, "#ffffff") if made else ("#ffffff", colour)
    outside = group.roles == {"input"} and use is group.uses[0]
    dash = 'stroke-dasharray="3 2"' if outside else ""
    final = group.roles == {"final"} and use is [u for u in group.uses if u.change][-1]
    struck = "; text-decoration: line-through" if use.change == "deletes" else ""
    notes = {"from outside the notebook": outside, "left at the end": final}
    said = ", ".join([use.verb, *(words for words, so in notes.items() if so)])
    tooltip = "\n".join([said, *group.paths])
    left = x + _ARROW + 1
    ring = (
        f'<rect x="{left - 2.5}" y="{use.y - 11.5:.1f}" width="{width + 5:.1f}" height="23" rx="11.5" fill="none" '
        f'stroke="{colour}" stroke-width="1.2"/>'
    )
    return [
        f"<g><title>{escape(tooltip)}</title>",
        _line(f"M{x + 2} {use.y:.1f} H{x + _ARROW - 1}", colour, 1.8),
        *arrive,
        *leave,
        *([ring] if final else []),
        f'<rect x="{left}" y="{use.y - 9:.1f}" width="{width:.1f}" height="18" rx="9" fill="{fill}" '
        f'stroke="{colour}" stroke-width="1.3" {dash}/>',
        _text(left + width / 2, use.y + 4, label, 12, f'text-anchor="middle" style="fill: {ink}{struck}"'),
        "</g>",
    ]


def _draw_lane(group: _Group, x: float, lanes: float) -> list[str]:
    """From each use to the next one; broken where a cell makes the product anew."""
    if len(group.uses) < 2:
        return []
    across = lanes + group.lane * _LANE
    parts = [f'<g class="lane"><title>{escape(chr(10).join(group.paths))}</title>']
    for use in group.uses:
        path = f"M{x + _ARROW + 1 + group.width:.1f} {use.y:.1f} H{across:.1f}"
        parts.append(_line(path, group.colour, 1.1, 'opacity="0.55"'))
    for use, following in zip(group.uses, group.uses[1:], strict=False):
        anew = following.change == "writes" and not following.reads
        more = 'stroke-dasharray="2 5" opacity="0.6"' if anew else ""
        parts.append(_line(f"M{across:.1f} {use.y:.1f} V{following.y:.1f}", group.colour, 2.2, more))
    for use in group.uses:
        fill = group.colour if use.change else "#fcfdfd"
        place = f'cx="{across:.1f}" cy="{use.y:.1f}" r="3.6"'
        parts.append(f'<circle {place} fill="{fill}" stroke="{group.colour}" stroke-width="1.8"/>')
    return [*parts, "</g>"]


def _draw_bundle(bundle: _Bundle, rows: Sequence[_Row], x: float) -> list[str]:
    across = x - _NAMES - 6 - bundle.lane * _WIRES
    start = rows[bundle.origin].wire(giving=True)
    names = dict.fromkeys(name for taken in bundle.readers.values() for name in taken)
    parts = [f'<g class="wire"><title>{escape(", ".join(names))}</title>']
    for reader in bundle.readers:
        end = rows[reader].wire(giving=False)
        colour = _WARN if reader <= bundle.origin else _WIRE
        turn = 5 if end > start else -5
        parts.append(
            _line(
                f"M{x} {start:.1f} H{across + 5} Q{across} {start:.1f} {across} {start + turn:.1f} "
                f"V{end - turn:.1f} Q{across} {end:.1f} {across + 5} {end:.1f} H{x - 6}",
                colour,
                1.2,
            )
        )
    return [*parts, "</g>"]


def _draw_names(row: _Row, x: float) -> list[str]:
    parts = []
    for names, giving in ((row.takes, False), (row.gives, True)):
        if names:
            y = row.wire(giving)
            told = ", ".join(names)
            parts.append(f"<g><title>{'gives' if giving else 'takes'} {escape(told)}</title>")
            if not giving:
                parts.append(_arrow(x, y, _FAINT, right=True))
            words = _cut(told, _NAMES - 22, 10.5, code=True)
            more = f'class="code" text-anchor="end" style="fill: {_FAINT}"'
            parts += [_text(x - 11, y - 3.5, words, 10.5, more), "</g>"]
    return parts


def _legend(y: float, products: bool, names: bool) -> Iterable[str]:
    faint = f'style="fill: {_FAINT}"'
    x = float(_MARGIN)
    for state, (stripe, _, words) in _STATES.items():
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="12" height="12" rx="3" fill="{stripe}"/>'
        text = f"{state}: {words}"
        yield _text(x + 18, y + 10.5, text, 11.5, faint)
        x += 6.2 * len(text) + 44
    x, y = float(_MARGIN), y + 30
    uses = (("read", True, False), ("written", False, True), ("modified in place", True, True)) if products else ()
    for words, reads, changes in uses:
        yield _line(f"M{x + 2} {y} H{x + 24}", _FAINT, 1.8)
        if reads:
            yield _arrow(x, y, _FAINT, right=False)
        if changes:
            yield _arrow(x + 26, y, _FAINT, right=True)
        yield _text(x + 34, y + 4, words, 11.5, faint)
        x += 6.2 * len(words) + 60
    told = ["products: dashed: from outside, ringed: left at the end"] * products
    told += ["at the left: Python names"] * names
    yield _text(x, y + 4, "; ".join(told), 11.5, faint)
