"""Who asks: the socket's peer address and the view of the bridge -> a caller.

Pure. The peer address is the only evidence: the switch rewrote it to the hv-local address of the
port the packet came in by. No header, path or body can change what is decided here.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import AddressValueError, IPv4Address

from metadata_http.view import Droplet, View


class Verdict(Enum):
    """What may be done for a caller."""

    KNOWN = "known"  # a droplet: gets its own data
    REFUSED = "refused"  # no droplet's address: gets nothing
    WAIT = "wait"  # not known yet, or no longer for sure: try again
    NO_DROPLET = "no-droplet"  # a port that has had no droplet for too long to wait on


@dataclass(frozen=True, slots=True)
class Caller:
    """The verdict on a peer address, the droplet where it is known, and the reason for the log."""

    verdict: Verdict
    reason: str = ""
    droplet: Droplet | None = None


def identify(view: View | None, peer: str, *, certain: bool, now: float, grace: float) -> Caller:
    """Who is behind the address `peer`?

    `certain` tells whether `view` may be served at the time `now`; `grace` is how many seconds a
    port may be without a droplet before its caller is told to stop waiting.
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
    if port.droplet is not None:
        return Caller(Verdict.KNOWN, f"port {port.name}", port.droplet)
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
