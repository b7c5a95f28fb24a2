"""What this process counts, in the form of `metric_table`, for prometheus_client.

Shell. Counting is on the way of every answer: plain adds to cells that are there already, no lock
and no look-up of a label's child. CPython changes threads between calls and at jumps back, neither
of which is within `cell.count += 1`, so nothing is lost; `collect` reads while others count.
"""

import platform
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from math import inf, nan
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family

from metadata_http import metric_table
from metadata_http.identity import Caller, Verdict
from metadata_http.metric_table import BUCKETS, METRICS, PREFIX
from metadata_http.tally import UNSURE
from metadata_http.view import Port
from ovs_metadata_logs import lines_dropped

Report = Callable[[], Mapping[str, Any]]

# What stands for a number that is not there: an age of nothing is endless.
_ABSENT = {"view_age_seconds": inf, "ovsdb_age_seconds": inf}


class _Cell:
    """One number that many threads add to."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Metrics:
    """Everything one process counts; a collector for prometheus_client.

    `report` is what /readyz says: its numbers are the gauges.
    """

    def __init__(self) -> None:
        self.report: Report = dict
        self._answers: dict[tuple[int, str], _Cell] = {}
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._over_rate, self._without_token, self._unsure = _Cell(), _Cell(), _Cell()
        self._ended = {reason: _Cell() for reason in ("crowding", "rebound")}
        self._unknown = {reason: _Cell() for reason in metric_table.UNKNOWN}

    # -- on the way of answers -------------------------------------------------------------------

    def count(self, status: int, path_kind: str, seconds: float | None) -> None:
        """One more answer; `seconds` is what it took, None where it came later."""
        cell = self._answers.get((status, path_kind))
        if cell is None:
            cell = self._answers.setdefault((status, path_kind), _Cell())
        cell.count += 1
        if seconds is not None:
            self._buckets[bisect_left(BUCKETS, seconds)] += 1
            self._seconds += seconds

    def without_token(self) -> None:
        """One more request that would be refused were a token required."""
        self._without_token.count += 1

    def over_rate(self) -> None:
        """One more request over its droplet's rate."""
        self._over_rate.count += 1

    def odd(self, caller: Caller, port: Port | None, status: int) -> None:
        """An answer to nobody who is known for certain; `port` is whose the address is."""
        if port is not None and port.droplet is not None:
            if status == UNSURE:
                self._unsure.count += 1
        elif caller.verdict is Verdict.REFUSED:
            self._unknown["outside"].count += 1
        else:
            reason = "no-port" if port is None else "no-droplet"
            self._unknown[reason].count += 1

    def crowding(self, ended: int) -> None:
        """So many connections were ended, for their droplet had too many."""
        self._ended["crowding"].count += ended

    def rebound(self, ended: int) -> None:
        """So many connections were ended with their droplet's binding."""
        self._ended["rebound"].count += ended

    # -- for prometheus_client -------------------------------------------------------------------

    def collect(self) -> Iterator[Family]:
        """As prometheus_client asks for it: all of the table, and nothing that is not in it."""
        report, counters = self.report(), self._counters()
        for metric in METRICS:
            name, labels = PREFIX + metric.name, list(metric.labels)
            if metric.kind == "histogram":
                histogram = HistogramMetricFamily(name, metric.text)
                histogram.add_metric([], *self._histogram())
                yield histogram
            elif metric.kind == "counter":
                counter = CounterMetricFamily(name, metric.text, labels=labels)
                for values, count in counters[metric.name].items():
                    counter.add_metric(values, count)
                yield counter
            else:
                gauge = GaugeMetricFamily(name, metric.text, labels=labels)
                if metric.name == "build_info":
                    gauge.add_metric([version("ovs-metadata"), platform.python_version()], 1)
                else:
                    gauge.add_metric([], _number(metric.name, report.get(metric.name)))
                yield gauge

    def _counters(self) -> dict[str, Mapping[tuple[str, ...], int]]:
        answers: Counter[tuple[str, ...]] = Counter()
        for (status, kind), cell in list(self._answers.items()):
            answers[(str(status), kind)] += cell.count
        return {
            "answers": answers,
            "over_rate": {(): self._over_rate.count},
            "connections_ended": {(reason,): cell.count for reason, cell in self._ended.items()},
            "requests_without_token": {(): self._without_token.count},
            "unknown_sources": {(reason,): cell.count for reason, cell in self._unknown.items()},
            "unsure": {(): self._unsure.count},
            "log_lines_dropped": {(): sum(lines_dropped().values())},
        }

    def _histogram(self) -> tuple[list[tuple[str, float]], float]:
        edges = [*map(str, BUCKETS), "+Inf"]
        return list(zip(edges, accumulate(self._buckets), strict=True)), self._seconds


def _number(name: str, value: Any) -> float:
    return float(value) if isinstance(value, bool | int | float) else _ABSENT.get(name, nan)


def path_kind(path: str) -> str:
    """Which of PATH_KINDS a path is, whatever the client made of it."""
    if path == "/metadata/v1.json":
        return "v1.json"
    if path in ("/metadata/v1/user-data", "/latest/user-data"):
        return "user-data"
    if path in ("/metadata/v1/token", "/latest/api/token"):
        return "token"
    if path.startswith("/metadata/v1"):
        return "v1"
    if path == "/v1/maintenance_event":
        return "maintenance"
    if path.startswith("/openstack"):
        return "openstack"
    if path.startswith(("/latest/", "/20")):
        return "ec2"
    return "other"
