"""What a live table of ports shows: which rows, in which order, and the lines above. Pure."""

from ovs_metadata_client import PortsView, WatchedPort, WatchEvent

_AMISS = {"error": 0, "binding": 1}
"""States to be seen first, and in which order."""

COLUMNS = ("ofport", "port", "hv-local", "droplet", "hostname", "state", "changed", "reason")
"""Of a row; `changed` is in seconds ago, None before any change was seen."""


class PortBoard:
    """A switch's ports as they are followed. Times are of any clock that does not jump."""

    def __init__(self, dpid: str) -> None:
        self.dpid = dpid
        self.view = PortsView()
        self._changed: dict[int, float] = {}
        self._lost: str | None = None

    def take(self, told: WatchEvent, now: float) -> None:
        """Take in an event that came at `now`."""
        self._lost = None
        whole = self.view.known
        before = dict(self.view.ports) if told["event"] == "in-sync" else None
        port = told["port"] if told["event"] == "port" else None
        self.view.take(told)
        if port is not None and self.view.ports.get(port["ofport"]) is port:
            self._changed[port["ofport"]] = now
        if before is not None and whole:
            self._changed |= {
                ofport: now for ofport, new in self.view.ports.items() if before.get(ofport) != new
            }

    def lost(self, why: str) -> None:
        """The stream broke; what is shown is what was last known."""
        self._lost = why

    def rows(self, now: float, most: int) -> list[tuple[object, ...]]:
        """At most so many, as COLUMNS says: what is amiss first, then what changed last, then by
        ofport."""
        ports = sorted(self.view.ports.values(), key=self._place)
        return [self._row(port, now) for port in ports[:most]]

    def head(self, shown: int) -> str:
        """Two lines above the table."""
        ports = self.view.ports
        counts = (
            f"{sum(port['state'] == state for port in ports.values())} {state}"
            for state in ("serving", "unregistered", "binding", "error")
        )
        some = "" if shown == len(ports) else f", {shown} shown"
        return f"{self.dpid}  {self._state()}\n{len(ports)} ports{some}: {', '.join(counts)}"

    def _state(self) -> str:
        if self._lost is not None:
            return f"as last known, trying again: {self._lost}"
        if not self.view.known:
            return "not in sync yet"
        if self.view.waiting:
            return "as last known: the switch is not in sync"
        return f"in sync at revision {self.view.revision}, {self.view.hv_local_subnet}"

    def _place(self, port: WatchedPort) -> tuple[float, ...]:
        amiss = _AMISS.get(port["state"], len(_AMISS))
        return amiss, -self._changed.get(port["ofport"], float("-inf")), port["ofport"]

    def _row(self, port: WatchedPort, now: float) -> tuple[object, ...]:
        changed = self._changed.get(port["ofport"])
        droplet = port["droplet"]
        return (
            *(port["ofport"], port["name"], port["hv_local_ip"], port["droplet_id"]),
            None if droplet is None else droplet["metadata"].get("hostname"),
            port["state"],
            None if changed is None else now - changed,
            port["reason"] or "",
        )
