"""The bridge as this server knows it, built from the controller's watch events.

Pure. A `View` is a value: applying events gives a new one and leaves the old one whole, so a
request that holds the old one sees all of it or nothing. Which ofport has which hv-local address
is the controller's to say; nothing here computes an address.
"""

import base64
import binascii
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType
from typing import Any

from metadata_http import access
from metadata_http.tally import Tally

Event = Mapping[str, Any]


class EventError(ValueError):
    """The controller's stream said something that cannot be: its fault, or the line was cut."""


@dataclass(frozen=True, slots=True, eq=False)
class Droplet:
    """What one binding of a droplet serves; `document` is its v1.json as registered, in JSON.

    Kept as text because most droplets ask rarely: parsed documents take several times the room.
    `maintenance_event` is what is planned for it, if anything; `formats` those it is served in,
    None for this server's own default; `options` whether it is served at all.
    `prepared` holds what was asked already; it dies with the binding, so nothing outlives it.
    `tally` counts what was asked, and is handed on to the droplet's next record on the same port.
    """

    droplet_id: int
    document: str
    user_data: bytes | None
    maintenance_event: str | None = None
    formats: tuple[str, ...] | None = None
    options: access.Options = access.DEFAULTS
    prepared: dict[str, Any] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def same_as(self, other: "Droplet | None") -> bool:
        """Whether both serve the same answers."""
        return other is not None and self._served() == other._served()

    def _served(self) -> tuple[Any, ...]:
        whose = (self.droplet_id, self.formats, self.options, self.maintenance_event)
        return (*whose, self.document, self.user_data)


@dataclass(frozen=True, slots=True)
class Port:
    """One switch port. `hv_local_ip` is the address its droplet's requests come from, if any.

    `unbound_since` is when (seconds, the caller's clock) it was first seen without a droplet.
    `fault` is why the droplet's data cannot be served, if so: one bad record must not keep the
    whole bridge from its view.
    """

    ofport: int
    name: str
    hv_local_ip: str | None
    binding: int | None
    droplet: Droplet | None
    unbound_since: float | None
    fault: str | None = None

    @property
    def tenant(self) -> Hashable:
        """Equal where the same droplet, or none, is on the same port."""
        return (self.ofport, self.name, None if self.droplet is None else self.droplet.droplet_id)

    @property
    def holder(self) -> Hashable:
        """Equal as long as the same droplet, or none, has been on the same port without a break."""
        return (self.tenant, self.binding)


@dataclass(frozen=True, slots=True)
class View:
    """All ports of one bridge as of `revision`. `lease` is in seconds.

    `clashing` tells whether an address is nobody's, for two ports claim it.
    """

    dpid: str
    hv_local_subnet: IPv4Network
    lease: float
    revision: int
    ports: Mapping[int, Port] = field(default_factory=dict)
    by_address: Mapping[str, Port] = field(default_factory=dict)
    clashing: bool = False


@dataclass(frozen=True, slots=True)
class Following:
    """Where the stream has come to: the view in force and the full view still coming in.

    `in_sync` tells whether the controller has vouched for the view on this connection.
    """

    view: View | None = None
    incoming: View | None = None
    in_sync: bool = False

    def disconnected(self) -> "Following":
        """The connection is gone, and a half-received full view with it."""
        return Following(view=self.view)


def advance(following: Following, events: Iterable[Event], now: float) -> Following:
    """Apply `events` in order. Unknown events are passed over: the stream may grow.

    Raises EventError; `following` is untouched then.
    """
    fold = _Fold(following, now)
    for event in events:
        try:
            fold.apply(event)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise EventError(f"cannot apply {_named(event)}: {_reason(fault)}") from fault
    return fold.result()


def _named(event: Event) -> str:
    """Which event it is, by what can be no secret: the droplet's data is in there, too."""
    if not isinstance(event, Mapping):
        return f"an event that is a {type(event).__name__}"
    port = event.get("port")
    told = event | port if isinstance(port, Mapping) else event
    numbers = ", ".join(
        f"{name} {told[name]}" for name in ("revision", "ofport") if isinstance(told.get(name), int)
    )
    kind = event.get("event")
    return f"event {kind if kind in _KINDS else '(unknown)'} ({numbers or 'no numbers'})"


def _reason(fault: Exception) -> str:
    """Why, without the value at fault: Python's own words may have it in them."""
    if isinstance(fault, EventError):
        return str(fault)
    key = f" {fault.args[0]!r}" if isinstance(fault, KeyError) else ""
    return f"{type(fault).__name__}{key}"


_KINDS = ("snapshot", "port", "gone", "in-sync", "heartbeat", "waiting")


class _Fold:
    """A batch of events being applied: the ports are copied once a batch, not once an event."""

    def __init__(self, following: Following, now: float) -> None:
        self._following = following
        self._now = now
        self._base: View | None = following.incoming or following.view
        self._ports: dict[int, Port] | None = None
        self._touched: set[int] = set()  # ofports that may be another's than in the base

    def apply(self, event: Event) -> None:
        kind = event["event"]
        if kind == "snapshot":
            self._begin(event)
        elif kind == "port":
            port = self._port(event["port"])
            self._changeable(event)[port.ofport] = port
            self._touched.add(port.ofport)
        elif kind == "gone":
            self._changeable(event).pop(int(event["ofport"]), None)
            self._touched.add(int(event["ofport"]))
        elif kind == "in-sync":
            self._complete(event)
        elif kind == "heartbeat" and self._base is not None:
            self._base = replace(self._base, revision=int(event["revision"]))
        elif kind == "waiting":
            self._following = replace(self._following, in_sync=False)

    def result(self) -> Following:
        base = self._settle()
        if self._following.incoming is not None:
            return replace(self._following, incoming=base)
        return replace(self._following, view=base)

    def _begin(self, event: Event) -> None:
        self._base = View(
            dpid=str(event["dpid"]),
            hv_local_subnet=IPv4Network(event["hv_local_subnet"]),
            lease=float(event["lease"]),
            revision=int(event["revision"]),
        )
        self._ports = {}
        self._following = replace(self._following, incoming=self._base, in_sync=False)

    def _complete(self, event: Event) -> None:
        base = self._settle()
        if base is None:
            raise EventError("in-sync without a view")
        self._base = replace(base, revision=int(event["revision"]))
        self._following = Following(view=self._base, in_sync=True)

    def _changeable(self, event: Event) -> dict[int, Port]:
        if self._base is None:
            raise EventError("a change without a view to change")
        if self._ports is None:
            self._ports = _copied(self._base.ports)
        self._base = replace(self._base, revision=int(event["revision"]))
        return self._ports

    def _settle(self) -> View | None:
        if self._base is not None and self._ports is not None:
            found = _changed_by_address(self._base, self._ports, self._touched)
            clashing = False
            if found is None:
                found = _by_address(self._ports.values())
                addressed = sum(port.hv_local_ip is not None for port in self._ports.values())
                clashing = len(found) < addressed
            self._base = replace(
                self._base,
                ports=MappingProxyType(self._ports),
                by_address=MappingProxyType(found),
                clashing=clashing,
            )
            self._ports, self._touched = None, set()
        return self._base

    def _port(self, port: Mapping[str, Any]) -> Port:
        address = port["hv_local_ip"]
        if address is not None and IPv4Address(address) not in self._subnet():
            raise EventError(f"{address} is outside {self._subnet()}")
        droplet, fault = None, None
        if port.get("droplet") is not None:
            try:
                droplet = _droplet(int(port["droplet_id"]), port["droplet"])
            except EventError as bad:
                fault = str(bad)
        made = Port(
            ofport=int(port["ofport"]),
            name=str(port["name"]),
            hv_local_ip=address,
            binding=port.get("binding"),
            droplet=droplet,
            unbound_since=None if droplet is not None or fault is not None else self._now,
            fault=fault,
        )
        return _carry_over(self._known(made), made)

    def _subnet(self) -> IPv4Network:
        if self._base is None:
            raise EventError("a port without a view to hold it")
        return self._base.hv_local_subnet

    def _known(self, port: Port) -> Port | None:
        """The same port as last known, also from the view that a fresh snapshot replaces."""
        known = (self._ports or {}).get(port.ofport)
        if known is None and self._following.view is not None:
            known = self._following.view.ports.get(port.ofport)
        return known if known is not None and known.name == port.name else None


def _carry_over(known: Port | None, port: Port) -> Port:
    """`port` with what it keeps of the `known` one: waiting time, prepared answers, counts."""
    if known is None:
        return port
    if port.droplet is not None:
        if known.droplet is None or known.tenant != port.tenant:
            return port
        if known.binding == port.binding and port.droplet.same_as(known.droplet):
            return replace(port, droplet=known.droplet)
        return replace(port, droplet=replace(port.droplet, tally=known.droplet.tally))
    if port.unbound_since is not None and known.unbound_since is not None:
        return replace(port, unbound_since=known.unbound_since)
    return port


def _droplet(droplet_id: int, given: Mapping[str, Any]) -> Droplet:
    encoded = given.get("user_data_base64")
    try:
        user_data = None if encoded is None else base64.b64decode(encoded, validate=True)
    except binascii.Error as fault:
        raise EventError(f"user_data_base64 of droplet {droplet_id}: {fault}") from fault
    document = given["metadata"]
    if not isinstance(document, Mapping):
        raise EventError(f"metadata of droplet {droplet_id} is no object")
    # ASCII, so that the string takes one byte a character in memory.
    text = json.dumps(document, separators=(",", ":"))
    event = given.get("maintenance_event")
    if event is not None and not isinstance(event, str):
        raise EventError(f"maintenance_event of droplet {droplet_id} is no string")
    try:
        options = access.options(given.get("metadata_options"))
    except ValueError as fault:
        raise EventError(f"metadata_options of droplet {droplet_id}: {fault}") from fault
    return Droplet(droplet_id, text, user_data, event or None, _formats(droplet_id, given), options)


def _formats(droplet_id: int, given: Mapping[str, Any]) -> tuple[str, ...] | None:
    formats = given.get("formats")
    if formats is None:
        return None
    if not isinstance(formats, list) or not all(isinstance(each, str) for each in formats):
        raise EventError(f"formats of droplet {droplet_id} is no array of names")
    return tuple(formats)


def _copied(mapping: Mapping[Any, Port]) -> dict[Any, Port]:
    # `dict` asks a proxy for one key after the other; the proxy itself copies the table.
    return mapping.copy() if isinstance(mapping, MappingProxyType) else dict(mapping)


def _changed_by_address(
    before: View, ports: Mapping[int, Port], touched: Iterable[int]
) -> dict[str, Port] | None:
    """`_by_address` of `ports`, which differ from `before` at `touched` alone; None: not told so.

    A copy of a mapping is a hundred times cheaper than looking at each port. Where two claim an
    address, or did, all must be looked at.
    """
    if before.clashing:
        return None
    found = _copied(before.by_address)
    for ofport in touched:
        known = before.ports.get(ofport)
        if known is not None and known.hv_local_ip is not None:
            if found.get(known.hv_local_ip) is not known:
                return None
            del found[known.hv_local_ip]
    for ofport in touched:
        port = ports.get(ofport)
        if port is None or port.hv_local_ip is None:
            continue
        if port.hv_local_ip in found:
            return None
        found[port.hv_local_ip] = port
    return found


def _by_address(ports: Iterable[Port]) -> dict[str, Port]:
    """Ports by hv-local address. Two claiming one address both lose it: in doubt, neither."""
    found: dict[str, Port] = {}
    clashes = set()
    for port in ports:
        if port.hv_local_ip is not None and found.setdefault(port.hv_local_ip, port) is not port:
            clashes.add(port.hv_local_ip)
    for address in clashes:
        del found[address]
    return found


def taken_away(before: View | None, after: View | None) -> frozenset[str]:
    """The addresses that the droplet which had them in `before` has no longer in `after`.

    A new binding of the same droplet to the same port takes nothing away: a restarted controller
    numbers all bindings anew, and what is under way is that droplet's own.
    """
    if before is None or before is after:
        return frozenset()
    now: Mapping[str, Port] = {} if after is None else after.by_address
    if now is before.by_address:
        return frozenset()
    return frozenset(
        address
        for address, port in before.by_address.items()
        if (then := now.get(address)) is not port and (then is None or then.tenant != port.tenant)
    )


def snapshot(view: View) -> Iterator[dict[str, Any]]:
    """The events from which `advance` rebuilds `view`, waiting times apart.

    One after the other: all documents taken apart at once are several times the view.
    """
    yield {
        "event": "snapshot",
        "dpid": view.dpid,
        "revision": view.revision,
        "hv_local_subnet": str(view.hv_local_subnet),
        "lease": view.lease,
    }
    for port in view.ports.values():
        yield {"event": "port", "revision": view.revision, "port": _port_event(port)}
    yield {"event": "in-sync", "revision": view.revision}


def _port_event(port: Port) -> dict[str, Any]:
    droplet = port.droplet
    return {
        "ofport": port.ofport,
        "name": port.name,
        "hv_local_ip": port.hv_local_ip,
        "binding": port.binding,
        "droplet_id": None if droplet is None else droplet.droplet_id,
        "droplet": None
        if droplet is None
        else {
            "metadata": json.loads(droplet.document),
            "user_data_base64": None
            if droplet.user_data is None
            else base64.b64encode(droplet.user_data).decode("ascii"),
            "maintenance_event": droplet.maintenance_event,
            "formats": None if droplet.formats is None else list(droplet.formats),
            "metadata_options": access.told(droplet.options),
        },
    }
