"""What the metadata servers of one bridge counted for each droplet: the last word of each of them.

Pure; times are arguments, in seconds of any monotonic clock. A server is believed only for droplets
that are on the ports of its own bridge, and only as long as they are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ryu_apps.binding.views import PortView

MAX_PORTS = 1000
"""Ports in what a server tells at once; one that has more to tell comes again."""

COUNTS = ("requests", "errors", "rate_limited", "unsure", "without_token")

MAX_COUNT = 2**53 - 1
"""The greatest count there can be: whole in every reader's JSON."""

MAX_SECONDS = 10**9

PortOf = Callable[[int], PortView | None]
"""From an ofport to the newest view of it."""


@dataclass(frozen=True, slots=True)
class PortCounts:
    """What was asked on one port by the droplet there, since its server's start.

    `errors` are answers from 400 on but 429 (`rate_limited`), `unsure` those of them that were 503;
    `without_token` would be refused if the droplet had to show one; `last_request_s` is how many
    seconds ago the last request was, when this was told.
    """

    ofport: int
    droplet_id: int
    requests: int
    errors: int
    rate_limited: int
    unsure: int
    without_token: int
    last_status: int
    last_request_s: float

    def plus(self, other: "PortCounts") -> "PortCounts":
        """Both servers' counts of one droplet on one port."""
        last = min(self, other, key=lambda counts: counts.last_request_s)
        sums = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        return replace(last, **{name: min(value, MAX_COUNT) for name, value in sums.items()})


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server that told its counts `age` seconds ago, when its view was `view_age` old.

    `view_age` is None where nobody has vouched for its view yet.
    """

    server: str
    age: float
    view_age: float | None


@dataclass(slots=True)
class _Told:
    at: float
    view_age: float | None
    # ofport -> the binding that was meant, when it was told, and what.
    ports: dict[int, tuple[int | None, float, PortCounts]] = field(default_factory=dict)


class RequestCounts:
    """The counts of one bridge, by server; who calls sees to it that only its servers tell any."""

    def __init__(self) -> None:
        self._servers: dict[str, _Told] = {}

    def tell(
        self,
        server: str,
        counts: Iterable[PortCounts],
        view_age: float | None,
        port_of: PortOf,
        now: float,
    ) -> None:
        """`server` counted so much; ports it does not name are as it told them before."""
        told = self._servers.setdefault(server, _Told(now, view_age))
        told.at, told.view_age = now, view_age
        for each in counts:
            port = port_of(each.ofport)
            if port is not None and port.droplet_id == each.droplet_id:
                told.ports[each.ofport] = (port.binding, now, each)
        told.ports = {
            ofport: entry for ofport, entry in told.ports.items() if _is_there(entry, port_of)
        }

    def forget(self, server: str) -> None:
        """This server has stopped, or begins to count anew."""
        self._servers.pop(server, None)

    def servers(self, now: float) -> list[ServerView]:
        """Who told anything, in the order of their names."""
        return [
            ServerView(name, now - told.at, told.view_age)
            for name, told in sorted(self._servers.items())
        ]

    def droplets(self, port_of: PortOf, now: float) -> list[PortCounts]:
        """What all servers together counted for the droplets that are there, in their order."""
        found: dict[int, PortCounts] = {}
        for told in self._servers.values():
            for ofport, entry in told.ports.items():
                if not _is_there(entry, port_of):
                    continue
                _, at, counts = entry
                aged = replace(counts, last_request_s=counts.last_request_s + now - at)
                found[ofport] = found[ofport].plus(aged) if ofport in found else aged
        return sorted(found.values(), key=lambda counts: (counts.droplet_id, counts.ofport))


def _is_there(entry: tuple[int | None, float, PortCounts], port_of: PortOf) -> bool:
    """Whether the droplet that was meant has been on its port ever since."""
    binding, _, counts = entry
    port = port_of(counts.ofport)
    return port is not None and (port.droplet_id, port.binding) == (counts.droplet_id, binding)
