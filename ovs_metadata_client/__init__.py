"""The controller's REST interface for Python programs; `dropletctl` is one of them.

    from ovs_metadata_client import Client

    with Client("http://127.0.0.1:8080", token) as controller:
        controller.put_droplet(7889371, document)

The names in `__all__` are public: they grow, and keep their meaning while the interface is `/v1`.
docs/client.md is the guide. Needs urllib3 and nothing else of what the controller needs.
"""

from typing import TYPE_CHECKING, Any

from ovs_metadata_client.errors import (
    BadTlsFile,
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    Misdirected,
    NotAController,
    NotFound,
    PreconditionFailed,
    Refused,
    StorageFull,
    TooLarge,
    Trouble,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from ovs_metadata_client.tls import Tls
from ovs_metadata_client.view import PortsView
from ovs_metadata_client.wire import (
    BatchCounts,
    Document,
    DropletRequests,
    Fault,
    Page,
    PortFlow,
    PortFlows,
    RequestServer,
    Standing,
    StandingPage,
    StandingPort,
    Switch,
    SwitchPort,
    SwitchPorts,
    SwitchRequests,
    WatchedDroplet,
    WatchedPort,
    WatchEvent,
)

if TYPE_CHECKING:
    from ovs_metadata_client.client import Client, Registered

__all__ = [
    "BadTlsFile",
    "BatchCounts",
    "Client",
    "ClientError",
    "Conflict",
    "Document",
    "DropletRequests",
    "Fault",
    "Forbidden",
    "Invalid",
    "Misdirected",
    "NotAController",
    "NotFound",
    "Page",
    "PortFlow",
    "PortFlows",
    "PortsView",
    "PreconditionFailed",
    "Refused",
    "Registered",
    "RequestServer",
    "Standing",
    "StandingPage",
    "StandingPort",
    "StorageFull",
    "Switch",
    "SwitchPort",
    "SwitchPorts",
    "SwitchRequests",
    "Tls",
    "TooLarge",
    "Trouble",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "WatchEvent",
    "WatchedDroplet",
    "WatchedPort",
]


def __getattr__(name: str) -> Any:
    """Client and Registered when they are first asked for: urllib3 is slow to import, and who
    catches an error or names a type need not pay for it."""
    if name in ("Client", "Registered"):
        from ovs_metadata_client import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
