"""The JSON that the controller answers with, as types. Members may be added, never change meaning.

The names and meanings are those of `/v1/openapi.json`.
"""

from typing import Any, Literal, NotRequired, TypedDict

Document = dict[str, Any]
"""A droplet as it is registered: `droplet_id`, `ports`, `metadata`, perhaps `user_data_base64`."""

SwitchState = Literal["in-sync", "syncing", "disconnected", "refused", "standby"]
PortState = Literal["serving", "unregistered", "binding", "error"]


class Page(TypedDict):
    """Some droplets in id order, and the id to ask on from; None at the end."""

    droplets: list[Document]
    next: int | None


class BatchCounts(TypedDict):
    """What a batch did: droplets in it, of which so many were new."""

    droplets: int
    created: int
    replaced: int


class Drift(TypedDict):
    """What others did to our flows: flows mended, and of the last time why and when (RFC 3339)."""

    repaired: int
    last_reason: str | None
    last_at: str | None


class Switch(TypedDict):
    """A switch that is or was connected. `flows` counts ours; `serving`, `binding` and `errors`
    count the ports in these states."""

    dpid: str
    connected: bool
    state: SwitchState
    reason: str | None
    warnings: list[str]
    drift: Drift
    ports: int
    serving: int
    binding: int
    errors: int
    flows: int
    hv_local_subnet: str


class SwitchPort(TypedDict):
    """A switch port; `hv_local_ip` is the source address the metadata server sees for it."""

    ofport: int
    name: str
    hv_local_ip: str | None
    droplet_id: int | None
    state: PortState
    reason: str | None


class SwitchPorts(TypedDict):
    """Ports of a switch in ofport order, as of a revision; with a `limit` also the ofport to ask on
    from, None at the end."""

    revision: int
    ports: list[SwitchPort]
    next: NotRequired[int | None]


class PortFlow(TypedDict):
    """A flow on a port's way, and what the switch counted of it in `age_s` seconds."""

    name: str
    table: int
    priority: int
    state: str
    packets: int
    bytes: int
    age_s: float


class PortFlows(TypedDict):
    """A port's flows in the order of a request's way; `cookie` in hex."""

    dpid: str
    ofport: int
    droplet_id: int | None
    cookie: str | None
    flows: list[PortFlow]


class StandingPort(TypedDict):
    """A port that a droplet claims, and where it is; `dpid` and `ofport` None where it is not."""

    name: str
    mac: str
    dpid: str | None
    ofport: int | None
    hv_local_ip: str | None
    state: str
    reason: str | None


class Standing(TypedDict):
    """Whether a droplet gets its metadata, and why not."""

    droplet_id: int
    hostname: str
    region: str
    tags: list[str]
    state: str
    reason: str | None
    ports: list[StandingPort]


class StandingPage(TypedDict):
    """Some droplets in id order with the id to ask on from; of all that are `registered`,
    `unserved` claim a port in vain."""

    droplets: list[Standing]
    next: int | None
    registered: int
    unserved: int


class RequestServer(TypedDict):
    """A metadata server that counts requests: seconds since it was heard of, and the age of its
    view of the switch."""

    server: str
    age_s: float
    view_age_s: float | None


class DropletRequests(TypedDict):
    """What a switch's metadata servers counted for a droplet on a port since they started.

    `errors` are answers of 400 or above other than 429, which `rate_limited` counts; `unsure` are
    requests that were answered 503 because it was not certain whose they are; `without_token` would
    be refused if the droplet had to show a session token; `last_request_s` is seconds ago.
    """

    droplet_id: int
    ofport: int
    requests: int
    errors: int
    rate_limited: int
    unsure: int
    without_token: int
    last_status: int
    last_request_s: float


class SwitchRequests(TypedDict):
    """The requests of the droplets on a switch, in id order, and who counted them."""

    dpid: str
    servers: list[RequestServer]
    droplets: list[DropletRequests]


class WatchedDroplet(TypedDict):
    """What a metadata server serves of a droplet."""

    revision: int
    metadata: dict[str, Any]
    user_data_base64: str | None
    formats: list[str] | None
    metadata_options: dict[str, Any]
    maintenance_event: str | None


class WatchedPort(SwitchPort):
    """A port of the watch stream; `binding` changes whenever the port gets a droplet anew."""

    binding: int | None
    droplet: WatchedDroplet | None


class Waiting(TypedDict):
    """The switch is not in sync yet: keep the view you have."""

    event: Literal["waiting"]
    dpid: str


class Snapshot(TypedDict):
    """A full view begins. `lease` is the seconds that a follower may be silent."""

    event: Literal["snapshot"]
    dpid: str
    revision: int
    hv_local_subnet: str
    lease: float


class PortEvent(TypedDict):
    """This port is now so."""

    event: Literal["port"]
    revision: int
    port: WatchedPort


class Gone(TypedDict):
    """This ofport is no more."""

    event: Literal["gone"]
    revision: int
    ofport: int


class InSync(TypedDict):
    """The full view, or what was missed, is complete."""

    event: Literal["in-sync"]
    revision: int


class Heartbeat(TypedDict):
    """Nothing happened for a while."""

    event: Literal["heartbeat"]
    revision: int


WatchEvent = Waiting | Snapshot | PortEvent | Gone | InSync | Heartbeat
"""One line of the watch stream, told apart by `event`. Pass over one you do not know."""


class Fault(TypedDict):
    """One fault of what was sent. `pointer` is a JSON pointer as a URI fragment, `element` the
    index in a batch from 0, `line` its line of NDJSON from 1."""

    detail: str
    pointer: NotRequired[str]
    element: NotRequired[int]
    line: NotRequired[int]
    parameter: NotRequired[str]
    port_name: NotRequired[str]
    droplet_id: NotRequired[int]
    held_by: NotRequired[int]
