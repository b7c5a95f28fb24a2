"""How a figure grows with a size: a straight line by least squares. Pure."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

Points = Sequence[tuple[float, float]]


class Line(NamedTuple):
    """`base` and `slope` for each one more; `fit` is r squared, 1 where all points are on it."""

    slope: float
    base: float
    fit: float

    @property
    def told(self) -> str:
        """How far it can be trusted, for people."""
        return f"least squares, r² {self.fit:.3f}"


def line(points: Points) -> Line:
    """The line through these. Raises statistics.StatisticsError where they have but one size."""
    sizes, figures = zip(*points, strict=True)
    slope, base = statistics.linear_regression(sizes, figures)
    flat = len(set(figures)) == 1
    fit = 1.0 if flat else statistics.correlation(sizes, figures) ** 2
    return Line(slope, base, fit)
