"""The formats a droplet's document is served in, and which of them a path belongs to.

Pure. A format is a name, the paths that are its own, and a function from the droplet's document to
its tree. A path that belongs to a format the droplet has not is not there.
"""

from collections.abc import Mapping
from typing import Any

from metadata_http import document, ec2, openstack
from metadata_http.document import Node

DIGITALOCEAN = "digitalocean"
EC2 = "ec2"
OPENSTACK = "openstack"
FORMATS = (DIGITALOCEAN, EC2, OPENSTACK)


def locate(path: str) -> tuple[str, str]:
    """The format that `path` belongs to, and the path by which its tree has the same node."""
    if path.startswith(("/metadata/", "/v1/")) or path == "/metadata":
        return DIGITALOCEAN, path
    if path.startswith("/openstack/") or path == "/openstack":
        return OPENSTACK, openstack.canonical(path)
    return EC2, ec2.canonical(path)


def tree(
    name: str,
    given: Mapping[str, Any],
    droplet_id: int,
    user_data: bytes | None,
    maintenance_event: str | None,
) -> dict[str, Node]:
    """The nodes of format `name` for the document `given`.

    Raises AttributeError, KeyError, TypeError or ValueError on one that no registry would take.
    """
    if name == DIGITALOCEAN:
        return document.tree(given, droplet_id, user_data, maintenance_event)
    whole = document.served(given, droplet_id, user_data)
    raw = document.user_data_bytes(whole, user_data)
    return ec2.tree(whole, raw) if name == EC2 else openstack.tree(whole, raw)
