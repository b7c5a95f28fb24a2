"""What the core counts of its work with switches, for whoever looks: numbers, no behaviour.

Pure; the southbound counts, the northbound exports. Keys are taken from lists that end, so that
nothing a switch says can make these grow.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

# Seconds: from a port that is there at once to a switch of thousands of ports on a busy machine.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

PORT_EVENTS = ("add", "delete", "modify")
REFUSED = ("flow", "bundle", "meter", "question", "other")
CONNECTIONS = ("connected", "disconnected", "refused")

MAX_RELEASES = 16
"""Releases of Open vSwitch told apart; a fleet has one or two, and a switch may say anything."""

OTHER = "other"
_RELEASE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,31}", re.ASCII)


@dataclass(slots=True)
class Durations:
    """How long something took, in seconds, by how many times it took no longer than each bound."""

    bounds: tuple[float, ...] = BUCKETS
    total: float = 0.0
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """It took so long once more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """As Prometheus counts: those up to each bound, the last of them all."""
        edges = [*map(str, self.bounds), "+Inf"]
        return list(zip(edges, accumulate(self.counts), strict=True))


@dataclass(slots=True)
class Figures:
    """What one controller counted since its start.

    `in_sync`: from a switch's connection until it has all its flows; `serving`: from the news of a
    new port until its droplet is served. `releases` are those of the switches connected now.
    """

    in_sync: Durations = field(default_factory=Durations)
    serving: Durations = field(default_factory=Durations)
    port_events: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    connections: Counter[str] = field(default_factory=Counter)
    releases: dict[int, str] = field(default_factory=dict)

    def release(self, dpid: int, told: str) -> None:
        """A switch says which release of its software it is."""
        release = told if _RELEASE.fullmatch(told) else OTHER
        known = set(self.releases.values())
        if release not in known and len(known) >= MAX_RELEASES:
            release = OTHER
        self.releases[dpid] = release

    def by_release(self) -> Mapping[str, int]:
        """How many switches run each release."""
        return Counter(self.releases.values())
