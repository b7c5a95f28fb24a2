"""docs/scale.md: the region on paper, from the slopes that the bench `region` measured.

Pure but for reading files.

What is measured stands in docs/benchmarks/region.json, what is assumed in the constants here, the
words in docs/scale.in.md. No figure is copied by hand: the template has none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.report import FOLDER, Report, number

STORM = "Empty tables to all flows"
"""The curve of `region` that has how many switches there were."""

PAGE = FOLDER.parent / "scale.md"
TEMPLATE = FOLDER.parent / "scale.in.md"

HYPERVISORS = 20_000
CENTRES = 13
DROPLETS = 50
"""On a hypervisor."""
DOCUMENT = 4096
"""Bytes of a droplet's."""
CONTROLLERS = 3
"""That share a registry."""
WRITES_A_DAY = 4
"""Of each droplet: made, reported, changed, gone."""
HISTORY_H = 1
"""Hours of history that etcd keeps (--auto-compaction-retention)."""

QUOTA = 2 << 30
"""Bytes that etcd's file may have by default (--quota-backend-bytes)."""
MOST = 8 << 30
"""Bytes that etcd's own documentation advises not to exceed."""
STORM_S = 60
"""Seconds within which every switch should be led after a power failure."""
MEMORY = 4 << 30
"""Bytes for a controller."""

_HEAD = "<!-- Written by `python -m bench` from docs/scale.in.md: change that, not this. -->\n\n"


@dataclass(frozen=True, slots=True)
class Slopes:
    """What `region` found, by the names that it has there; in bytes, seconds and each one more."""

    file: float
    member: float
    held: float
    nothing: float
    switch: float
    writes: float
    news: float
    history: float
    wall: float
    lead: float
    lease: float
    lost: float
    imported: float

    @classmethod
    def of(cls, report: Report) -> "Slopes":
        """Those of a report. Raises KeyError where one is missing."""
        found = {figure.name: figure.value for figure in report.figures}
        return cls(
            file=found["etcd's file, a droplet"],
            member=found["memory of a member of etcd, a droplet"],
            held=found["memory of a controller, a droplet"],
            nothing=found["memory of a controller with no droplet"] * 2**20,
            switch=found["memory of a controller, a switch"] * 1e3,
            writes=found["registry writes"],
            news=found["news of a write to each controller"],
            history=found["etcd's file, a write until compaction"],
            wall=found["all have their flows, a switch"] / 1e3,
            lead=found["processor of all controllers to lead a switch"] / 1e3,
            lease=found["a leader dies: the first of its switches led again"],
            lost=found["a leader dies: every switch more"] / 1e3,
            imported=found["import at three controllers"],
        )


@dataclass(frozen=True, slots=True)
class Paper:
    """A registry with so many switches, worked out."""

    slopes: Slopes
    switches: float

    @property
    def droplets(self) -> float:
        """All of them."""
        return self.switches * DROPLETS

    @property
    def write_rate(self) -> float:
        """Writes a second."""
        return self.droplets * WRITES_A_DAY / 86_400

    @property
    def file(self) -> float:
        """Bytes of etcd's file: the droplets, and the history that is not compacted yet."""
        kept = self.write_rate * 3600 * HISTORY_H * self.slopes.history
        return self.droplets * self.slopes.file + kept

    @property
    def memory(self) -> float:
        """Bytes of each controller: the index, and the switches that it knows."""
        held = self.droplets * self.slopes.held + self.switches * self.slopes.switch
        return self.slopes.nothing + held

    @property
    def storm(self) -> float:
        """Seconds in which controllers with a core each lead all switches that connect at once."""
        return self.switches * self.slopes.lead / CONTROLLERS

    @property
    def lost(self) -> float:
        """Seconds from a controller's death until the others lead its switches."""
        return self.slopes.lease + self.switches / CONTROLLERS * self.slopes.lost

    def shares(self) -> dict[str, float]:
        """How much of each limit it takes: 1 is all of it."""
        return {
            "etcd's file, of its default quota": self.file / QUOTA,
            "etcd's file, of what is advised at most": self.file / MOST,
            f"a power failure, of {STORM_S} s": self.storm / STORM_S,
            "memory of a controller, of 4 GiB": self.memory / MEMORY,
            "registry writes, of what was measured": self.write_rate / self.slopes.writes,
        }


def page(report: Report) -> str:
    """docs/scale.md. Raises KeyError for a figure that is missing, measured or asked for."""
    template = TEMPLATE.read_text(encoding="utf-8")
    return _HEAD + template.format_map(values(report))


def pages() -> dict[Path, str]:
    """The page, once there is a report to make it of."""
    reports = Report.load_all(["region"])
    return {PAGE: page(*reports)} if reports else {}


def values(report: Report) -> Mapping[str, str]:
    """What the template may name."""
    slopes = Slopes.of(report)
    whole, centre = Paper(slopes, HYPERVISORS), Paper(slopes, math.ceil(HYPERVISORS / CENTRES))
    # Everything but a controller's and a lease's fixed share grows with the switches.
    reach = {name: HYPERVISORS / share for name, share in whole.shares().items()}
    first = min(reach, key=lambda name: reach[name])
    (storm,) = (each for each in report.curves if each.title == STORM)
    count, _ = storm.lines["all"][-1]
    return {
        "machine": report.machine,
        "date": report.date,
        "load": f"{report.load[0]} before and {report.load[1]} after",
        "hypervisors": number(HYPERVISORS),
        "centres": number(CENTRES),
        "a_centre": number(centre.switches),
        "droplets": number(DROPLETS),
        "controllers": number(CONTROLLERS),
        "writes_a_day": number(WRITES_A_DAY),
        "history": number(HISTORY_H),
        "measured": number(count),
        "times": number(HYPERVISORS / count),
        "centre_times": number(centre.switches / count),
        "storm_limit": number(STORM_S),
        "storm_controllers": number(math.ceil(HYPERVISORS * slopes.lead / STORM_S)),
        "centre_wall": number(centre.switches * slopes.wall),
        "document": number(DOCUMENT),
        "file_each": number(slopes.file),
        "first": first,
        "first_at": number(reach[first]),
        "figures": _figures(report),
        "table": _table(whole, centre),
        "limits": _limits(whole, centre, reach),
    }


def _figures(report: Report) -> str:
    rows = (
        f"| {each.name} | {number(each.value)} {each.unit} | {each.note} |"
        for each in report.figures
    )
    return "\n".join(["| measured | | |", "|---|---:|---|", *rows])


def _table(whole: Paper, centre: Paper) -> str:
    rows = [("", "all in one", "one data centre")]
    rows += [
        (name, *(tell(paper) for paper in (whole, centre)))
        for name, tell in (
            ("switches", lambda p: number(p.switches)),
            ("droplets", lambda p: number(p.droplets)),
            ("etcd's file, with the history", lambda p: _size(p.file)),
            ("memory of a member of etcd", lambda p: _size(p.droplets * p.slopes.member)),
            ("memory of each controller", lambda p: _size(p.memory)),
            ("writes a second", lambda p: number(p.write_rate)),
            ("news to each controller, a second", lambda p: _size(p.write_rate * p.slopes.news)),
            ("all reconnect, a core a controller", lambda p: f"{number(p.storm)} s"),
            ("a controller dies: all led again", lambda p: f"{number(p.lost)} s"),
            ("import of all", lambda p: f"{number(p.droplets / p.slopes.imported / 60)} min"),
        )
    ]
    lines = [" | ".join(("", *row, "")).strip() for row in rows]
    return "\n".join([lines[0], "|---|---:|---:|", *lines[1:]])


def _limits(whole: Paper, centre: Paper, reach: Mapping[str, float]) -> str:
    rows = [
        f"| {name} | {share:.0%} | {centre.shares()[name]:.0%} | {number(reach[name])} |"
        for name, share in whole.shares().items()
    ]
    head = "| limit | all in one | one data centre | reached at, switches |"
    return "\n".join([head, "|---|---:|---:|---:|", *rows])


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{number(size)} {unit}"
        size /= 1024
    return f"{number(size)} GiB"
