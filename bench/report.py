"""What a bench found: goals, figures, peers, curves, and the machine they are of; kept as JSON.

One file a bench, `docs/benchmarks/NAME.json`, so that one bench can be run again without the
others. Values and their text only; the page made of them is `bench.page`'s.
"""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"

Direction = Literal["<=", ">="]


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure with a limit. `ratio` is to the peer that `name` names, unless `unit` is no `x`."""

    name: str
    ratio: float
    limit: float
    direction: Direction = "<="
    unit: str = "x"
    note: str = ""

    def __post_init__(self) -> None:
        if self.direction not in ("<=", ">="):
            raise ValueError(f"direction of goal {self.name!r} is {self.direction!r}, no <= or >=")

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.ratio <= self.limit if self.direction == "<=" else self.ratio >= self.limit

    @property
    def verdict(self) -> str:
        """For people."""
        return "met" if self.met else "not met"

    @property
    def asked(self) -> str:
        """The limit, for people."""
        return f"{self.direction} {number(self.limit)} {self.unit}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure without a limit."""

    name: str
    value: float
    unit: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """What was measured beside, or with."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure over a size: one line of (x, y) a name. A plot of its own."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(slots=True)
class Report:
    """The results of the bench `name`. What is added is printed at once."""

    name: str
    title: str
    goals: list[Goal] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    machine: str = ""
    date: str = ""
    load: tuple[float, float] = (0.0, 0.0)  # of the last minute, at the begin and at the end
    seconds: float = 0.0
    budget: float = 0.0

    def goal(
        self,
        name: str,
        ratio: float,
        limit: float,
        direction: Direction = "<=",
        unit: str = "x",
        note: str = "",
    ) -> None:
        """Add a goal."""
        self.goals.append(goal := Goal(name, ratio, limit, direction, unit, note))
        print(f"{name}: {number(ratio)} {unit} ({goal.asked}: {goal.verdict})", flush=True)

    def figure(self, name: str, value: float, unit: str, note: str = "") -> None:
        """Add a figure."""
        self.figures.append(Figure(name, value, unit, note))
        print(f"{name}: {number(value)} {unit}{f' ({note})' if note else ''}", flush=True)

    def peer(self, name: str, version: str) -> None:
        """Name a peer."""
        self.peers.append(Peer(name, version))

    def curve(
        self, title: str, x: str, y: str, lines: Mapping[str, Sequence[tuple[float, float]]]
    ) -> None:
        """Add a curve."""
        self.curves.append(Curve(title, x, y, lines))

    def save(self, folder: Path = FOLDER) -> None:
        """Keep it. Raises OSError."""
        folder.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1, allow_nan=False)
        (folder / f"{self.name}.json").write_text(text + "\n")

    @classmethod
    def load_all(cls, names: Iterable[str], folder: Path = FOLDER) -> list[Self]:
        """Those that are kept of these, in this order. Raises OSError, ValueError, TypeError."""
        files = (folder / f"{name}.json" for name in names)
        return [cls.read(json.loads(file.read_text())) for file in files if file.exists()]

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Self:
        """From its JSON."""
        lists = {
            "goals": [Goal(**each) for each in kept["goals"]],
            "figures": [Figure(**each) for each in kept["figures"]],
            "peers": [Peer(**each) for each in kept["peers"]],
            "curves": [Curve(**each) for each in kept["curves"]],
        }
        return cls(**{**kept, **lists, "load": tuple(kept["load"])})


def table(reports: Iterable[Report]) -> str:
    """The goals of all, for a terminal."""
    rows = [
        (report.name, goal.name, f"{number(goal.ratio)} {goal.unit}", goal.asked, goal.verdict)
        for report in reports
        for goal in report.goals
    ]
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits, and never 1e+03."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest of the values that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def medians(rounds: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The median of each column of rounds."""
    return tuple(statistics.median(column) for column in zip(*rounds, strict=True))


# -- where and when --------------------------------------------------------------------------------


def machine() -> str:
    """The machine in one line."""
    memory = _first(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    model = _first(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()) or "CPU"
    return (
        f"{os.cpu_count()} cores ({model.strip()}), {int(memory or 0) / 2**20:.0f} GiB, "
        f"Linux {platform.release()}, Open vSwitch {version_of('ovs-vsctl', '--version')}, "
        f"Python {platform.python_version()}"
    )


def today() -> str:
    """The date, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def version_of(command: str, option: str) -> str:
    """The version a command tells of itself; `not installed` where it is not."""
    if shutil.which(command) is None:
        return "not installed"
    done = subprocess.run([command, option], capture_output=True, text=True, check=False)
    return _first(r"(\d+(?:\.\d+)+[\w.+-]*)", done.stdout + done.stderr) or "unknown"


def package_version(name: str) -> str:
    """The version of an installed Python package. Raises PackageNotFoundError."""
    return importlib.metadata.version(name)


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def run_alone(report: Report) -> int:
    """What `python -m bench.NAME` ends with: the goals once more; nothing is kept."""
    print(f"\n{table([report])}", file=sys.stderr)
    return 0
