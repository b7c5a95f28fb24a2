"""From what metadata servers counted to what happens a second, droplet by droplet. Pure.

Counters run since a server's start and are reported now and then. A rate is what was added between
two reports, by the time between these, not by the time between two looks at them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ovs_metadata_client import DropletRequests, SwitchRequests

_SAME_REPORT = 0.05
"""Seconds: two looks whose newest reports seem less apart saw the same report."""


class Order(StrEnum):
    """What the rows are ordered by, the greatest first; the id and the last request ascending."""

    REQUESTS = "requests"
    ERRORS = "errors"
    RATE_LIMITED = "rate-limited"
    TOTAL = "total"
    LAST = "last"
    ID = "id"


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one droplet, a second."""

    requests: float
    errors: float
    rate_limited: float


@dataclass(frozen=True, slots=True)
class Row:
    """A droplet on a switch; `rates` None where nothing is known to compare with."""

    dpid: str
    counted: DropletRequests
    rates: Rates | None


class Meter:
    """The rates on one switch, from one look at its counters to the next."""

    def __init__(self) -> None:
        self._reported: float | None = None
        self._before: dict[_Place, DropletRequests] = {}
        self._rates: dict[_Place, Rates] = {}

    def look(self, told: SwitchRequests, now: float) -> list[Row]:
        """The droplets' rows as of `now`, seconds on any clock that does not jump."""
        ages = [server["age_s"] for server in told["servers"]]
        reported = now - min(ages, default=0.0)
        if self._reported is None or reported - self._reported > _SAME_REPORT:
            self._take(told, reported)
        return [
            Row(told["dpid"], counted, self._rates.get(_place(counted)))
            for counted in told["droplets"]
        ]

    def _take(self, told: SwitchRequests, reported: float) -> None:
        before, self._before = self._before, {_place(each): each for each in told["droplets"]}
        if self._reported is not None:
            seconds = reported - self._reported
            self._rates = {
                key: _rates(before[key], counted, seconds)
                for key, counted in self._before.items()
                if key in before
            }
        self._reported = reported


_Place = tuple[int, int]
"""A droplet at an ofport: it may be at several of a switch."""


def _place(counted: DropletRequests) -> _Place:
    return counted["droplet_id"], counted["ofport"]


def _rates(before: DropletRequests, now: DropletRequests, seconds: float) -> Rates:
    # A server that started anew counts from nothing.
    anew = now["requests"] < before["requests"]
    return Rates(
        *(
            max(0, now[name] - (0 if anew else before[name])) / seconds
            for name in ("requests", "errors", "rate_limited")
        )
    )


def ordered(rows: Iterable[Row], order: Order) -> list[Row]:
    """The rows in an order, those without a value last; the id decides between equals."""

    def key(row: Row) -> tuple[bool, float]:
        value = _value(row, order)
        return value is None, value or 0

    return sorted(rows, key=lambda row: (*key(row), *_place(row.counted), row.dpid))


def _value(row: Row, order: Order) -> float | None:
    """What to sort by, the smallest first."""
    match order:
        case Order.ID:
            return row.counted["droplet_id"]
        case Order.LAST:
            return row.counted["last_request_s"]
        case Order.TOTAL:
            return -row.counted["requests"]
    if row.rates is None:
        return None
    return -{
        Order.REQUESTS: row.rates.requests,
        Order.ERRORS: row.rates.errors,
        Order.RATE_LIMITED: row.rates.rate_limited,
    }[order]


def total(rows: Sequence[Row]) -> Rates:
    """All of it together, as far as it is known."""
    known = [row.rates for row in rows if row.rates is not None]
    return Rates(
        sum(rates.requests for rates in known),
        sum(rates.errors for rates in known),
        sum(rates.rate_limited for rates in known),
    )
