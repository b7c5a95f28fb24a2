"""The plots of docs/benchmarks.md as SVG: bars of goals, and curves.

By hand: two forms in a hundred lines, the same bytes for the same results on every machine, so that
a test can compare them; matplotlib puts its version and ids of chance into a file. Pure.
"""

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10

from bench.report import Curve, Goal, number

_WIDTH = 760
_ROW = 24
_NAMES = 330  # of the width, for the goals' names
_MET, _NOT_MET, _GREY = "#2a7f62", "#b3413a", "#888888"
_COLOURS = ("#2a7f62", "#b3413a", "#34618c", "#9a6b1d", "#6c4a86", "#555555")
_LEFT, _TOP, _HIGH, _WIDE = 80, 40, 220, 440


def goals(of: Sequence[Goal]) -> str:
    """A bar for each: how much of its limit is used, on a logarithmic scale; left of 1 is met."""
    used = [max(1e-4, _used(goal)) for goal in of]
    low, high = floor(min(-1.0, log10(min(used)))), ceil(max(1.0, log10(max(used))))

    def x(value: float) -> float:
        return _NAMES + (log10(value) - low) / (high - low) * (_WIDTH - _NAMES - 90)

    height = _ROW * (len(of) + 2)
    parts = [_line(x(1), 8, x(1), height - _ROW, _GREY, dashed=True)]
    parts.append(_text(x(1), height - 8, "limit", "middle"))
    for row, (goal, part) in enumerate(zip(of, used, strict=True)):
        y = 12 + row * _ROW
        colour = _MET if goal.met else _NOT_MET
        parts.append(_text(_NAMES - 8, y + 12, goal.name, "end"))
        width = x(part) - _NAMES
        parts.append(
            f'<rect x="{_NAMES}" y="{y}" width="{width:.1f}" height="16" fill="{colour}"/>'
        )
        parts.append(_text(x(part) + 5, y + 12, f"{number(goal.ratio)} {goal.unit}", "start"))
    return _svg(height, parts)


def _used(goal: Goal) -> float:
    """1 at the limit, below where the goal is met."""
    if goal.direction == "<=":
        return goal.ratio / goal.limit
    return goal.limit / goal.ratio if goal.ratio else 1e4


def curve(of: Curve) -> str:
    """Lines over a logarithmic size, from zero up."""
    points = [point for line in of.lines.values() for point in line]
    first, last = log10(min(x for x, _ in points)), log10(max(x for x, _ in points))
    top = max(y for _, y in points) * 1.1 or 1.0

    def place(point: Sequence[float]) -> tuple[float, float]:
        across = (log10(point[0]) - first) / (last - first or 1)
        return _LEFT + across * _WIDE, _TOP + _HIGH - point[1] / top * _HIGH

    parts = [_text(_LEFT, 20, of.title, "start"), *_axes(of, top)]
    for size in sorted({x for x, _ in points}):
        parts.append(_text(place((size, 0))[0], _TOP + _HIGH + 16, number(size), "middle"))
    for row, (name, line) in enumerate(of.lines.items()):
        colour = _COLOURS[row % len(_COLOURS)]
        places = [place(point) for point in line]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        key = _TOP + 12 + row * 18
        parts.append(_line(_LEFT + _WIDE + 20, key - 4, _LEFT + _WIDE + 40, key - 4, colour))
        parts.append(_text(_LEFT + _WIDE + 46, key, name, "start"))
    return _svg(_TOP + _HIGH + 44, parts)


def _axes(of: Curve, top: float) -> Iterator[str]:
    bottom = _TOP + _HIGH
    yield _line(_LEFT, _TOP, _LEFT, bottom, _GREY)
    yield _line(_LEFT, bottom, _LEFT + _WIDE, bottom, _GREY)
    for part in (0, 0.5, 1):
        y = bottom - part * _HIGH
        yield _line(_LEFT - 4, y, _LEFT, y, _GREY)
        yield _text(_LEFT - 8, y + 4, number(part * top), "end")
    yield _text(_LEFT - 8, _TOP - 8, of.y, "end")
    yield _text(_LEFT + _WIDE / 2, bottom + 34, of.x, "middle")


def _svg(height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
    style = 'font-family="sans-serif" font-size="12"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f"{head} {style}>", ground, *parts, "</svg>", ""])


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    dashes = ' stroke-dasharray="4"' if dashed else ""
    return f'<line {ends} stroke="{colour}"{dashes}/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
