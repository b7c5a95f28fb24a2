"""The JSON that the controller answers with, as types. Members may be added, never change meaning.

The names and meanings are those of `/v1/openapi.json`.
"""

from typing import Any, Literal, NotRequired, TypedDict

Document = dict[str, Any]
"""A droplet as it is registered: `droplet_id`, `ports`, `metadata`, perhaps `user_data_base64`."""


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
    """A switch that is or was connected. `flows` counts ours, `serving` the ports served."""

    dpid: str
    connected: bool
    state: Literal["in-sync", "syncing", "disconnected", "refused"]
    reason: str | None
    warnings: list[str]
    drift: Drift
    ports: int
    serving: int
    flows: int
    hv_local_subnet: str


class SwitchPort(TypedDict):
    """A switch port; `hv_local_ip` is the source address the metadata server sees for it."""

    ofport: int
    name: str
    hv_local_ip: str | None
    droplet_id: int | None
    state: Literal["serving", "unregistered", "binding", "error"]
    reason: str | None


class SwitchPorts(TypedDict):
    """All ports of a switch in ofport order, as of a revision."""

    revision: int
    ports: list[SwitchPort]


class WatchEvent(TypedDict):
    """One line of the watch stream; which members there are depends on `event`."""

    event: Literal["waiting", "snapshot", "port", "in-sync", "gone", "heartbeat"]
    revision: NotRequired[int]
    dpid: NotRequired[str]
    port: NotRequired[dict[str, Any]]
    ofport: NotRequired[int]
    hv_local_subnet: NotRequired[str]
    lease: NotRequired[int]


class Fault(TypedDict):
    """One fault of what was sent. `pointer` is a JSON pointer as a URI fragment."""

    detail: str
    pointer: NotRequired[str]
    element: NotRequired[int]
    line: NotRequired[int]
