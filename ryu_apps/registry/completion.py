"""From a registered droplet to the document that is served: fills in what nobody need write.

`complete` is pure and total for every droplet that `read_droplet` lets through.
"""

import base64
from dataclasses import dataclass
from typing import Any

from ryu_apps.registry.droplet import Droplet
from ryu_apps.registry.metadata_options import MetadataOptions
from ryu_apps.registry.status import NO_STATUS, Status

_ORDER = (
    "droplet_id",
    "hostname",
    "user_data",
    "vendor_data",
    "public_keys",
    "auth_key",
    "region",
    "interfaces",
    "floating_ip",
    "reserved_ip",
    "dns",
    "tags",
    "features",
    "modify_index",
    "managed_keys_enabled",
    "dotty_keys",
    "dotty_status",
    "ssh_info",
    "troubleshooting_agent",
)
"""The order of DigitalOcean's documents, as captures show it; unknown keys follow."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What stands in for what a document does not say.

    `region` is taken at registration (None: a document must give one), `nameservers` and
    `formats`, those of `droplet.FORMATS` in which metadata is served, whenever it is served. With
    `formats` None the metadata server has its own default.
    """

    region: str | None = None
    nameservers: tuple[str, ...] = ()
    formats: tuple[str, ...] | None = None


def complete(droplet: Droplet, defaults: Defaults, status: Status = NO_STATUS) -> dict[str, Any]:
    """The droplet's whole v1.json, its keys in DigitalOcean's order.

    What the droplet's agent said stands before what was registered: registering takes out of the
    status what it names itself, so what is there is newer.
    """
    registered = {**droplet.metadata, **status.get("agent", {})}
    document: dict[str, Any] = {
        "hostname": droplet.hostname,
        "public_keys": [],
        "interfaces": {},
        "tags": None,
        **registered,
        "droplet_id": droplet.droplet_id,
        "floating_ip": {"ipv4": {"active": False}, **registered.get("floating_ip", {})},
        "reserved_ip": {"ipv4": {"active": False}, **registered.get("reserved_ip", {})},
        "dns": {"nameservers": list(defaults.nameservers), **registered.get("dns", {})},
        "features": {"dhcp_enabled": False, **registered.get("features", {})},
    }
    if droplet.user_data_base64:
        document["user_data"] = _as_text(base64.b64decode(droplet.user_data_base64))
    known = {key: document[key] for key in _ORDER if key in document}
    return known | document


def served(droplet: Droplet, defaults: Defaults, status: Status = NO_STATUS) -> dict[str, Any]:
    """What a metadata server needs of the droplet: the `droplet` of the watch stream."""
    formats = droplet.formats or defaults.formats
    return {
        "metadata": complete(droplet, defaults, status),
        "user_data_base64": droplet.user_data_base64,
        "formats": list(formats) if formats else None,
        "metadata_options": (droplet.metadata_options or MetadataOptions()).document(),
        "maintenance_event": status.get("maintenance_event"),
    }


def _as_text(data: bytes) -> str:
    """Bytes as JSON can carry them: each byte that is no UTF-8 becomes U+FFFD, as in Go."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join("�" if "\udc80" <= c <= "\udcff" else c for c in text)
