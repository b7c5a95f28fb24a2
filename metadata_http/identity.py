"""Who asks: the socket's peer address and the view of the bridge -> a caller.

Pure. The peer address is the only evidence: the switch rewrote it to the hv-local address of the
port the packet came in by. No header, path or body can change what is decided here. What the
controller says of that port counts only while the switch's own database does not contradict it.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import AddressValueError, IPv4Address
from math import inf

from metadata_http.view import Droplet, Port, View


class Verdict(Enum):
    """What may be done for a caller."""

    KNOWN = "known"  # a droplet: gets its own data
    REFUSED = "refused"  # no droplet's address: gets nothing
    WAIT = "wait"  # not known yet, or no longer for sure: try again
    NO_DROPLET = "no-droplet"  # a port that has had no droplet for too long to wait on


@dataclass(frozen=True, slots=True)
class Caller:
    """The verdict on a peer address, the reason for the log, and the port where it is known."""

    verdict: Verdict
    reason: str = ""
    port: Port | None = None

    @property
    def droplet(self) -> Droplet | None:
        """The droplet bound to the port, of a caller that is known."""
        return None if self.port is None else self.port.droplet

    @property
    def binding(self) -> Hashable:
        """Equal as long as the same droplet has been on the same port without a break."""
        return None if self.port is None or self.port.droplet is None else self.port.holder


@dataclass(frozen=True, slots=True)
class Sight:
    """Which port is at which ofport, as the switch's own database says it: names by ofport.

    Worth something before the time `until` only; from `fresh` on one should look again first.
    Without `ports` there is nobody to ask, and the controller's word is all there is.
    """

    ports: Mapping[int, str] | None = None
    until: float = inf
    fresh: float = inf

    def confirms(self, port: Port, now: float) -> bool:
        """Whether the controller's `port` is the one that is at its ofport at the time `now`."""
        ports = self.ports
        return ports is None or (ports.get(port.ofport) == port.name and now < self.until)


UNCHECKED = Sight()
"""Where there is no database of the switch."""


def identify(
    view: View | None,
    peer: str,
    *,
    certain: bool,
    now: float,
    grace: float,
    sight: Sight = UNCHECKED,
) -> Caller:
    """Who is behind the address `peer`?

    `certain` tells whether `view` may be served at the time `now`; `grace` is how many seconds a
    port may be without a droplet before its caller is told to stop waiting. An ofport alone is
    nobody: the switch gives a freed one to the next port, hence `sight`.
    """
    if view is None:
        return Caller(Verdict.WAIT, "no view of the bridge yet")
    if not _inside(peer, view):
        return Caller(Verdict.REFUSED, f"outside {view.hv_local_subnet}")
    if not certain:
        return Caller(Verdict.WAIT, f"view of revision {view.revision} is uncertain")
    port = view.by_address.get(peer)
    if port is None:
        return Caller(Verdict.WAIT, "no such port")
    if not sight.confirms(port, now):
        return Caller(Verdict.WAIT, f"port {port.name} may not be at ofport {port.ofport} now")
    if port.droplet is not None:
        return Caller(Verdict.KNOWN, f"port {port.name}", port)
    if port.fault is not None:
        return Caller(Verdict.WAIT, f"port {port.name}: {port.fault}")
    if port.unbound_since is not None and now - port.unbound_since > grace:
        return Caller(Verdict.NO_DROPLET, f"port {port.name} has no droplet")
    return Caller(Verdict.WAIT, f"port {port.name} has no droplet yet")


def _inside(peer: str, view: View) -> bool:
    try:
        return IPv4Address(peer) in view.hv_local_subnet
    except AddressValueError:
        return False
