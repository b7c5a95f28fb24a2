"""The droplet's document as OpenStack's metadata service tells it.

Pure: the document as served in, the tree of paths out. What there is follows what cloud-init's
OpenStack datasource asks for. All dated versions are one tree, that of `latest`: a newer version
only adds keys.

Sources: OpenStack Nova user guide, "Metadata service", network_data.json's schema; cloud-init,
sources/helpers/openstack.py.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from metadata_http.document import JSON, Node, interfaces_of, json_line, lines

VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "latest",
)
_ROOT = "/openstack"
_LATEST = f"{_ROOT}/latest"

Document = Mapping[str, Any]


def canonical(path: str) -> str:
    """`path` with `latest` in place of a dated version."""
    version, slash, below = path.removeprefix(f"{_ROOT}/").partition("/")
    return f"{_LATEST}{slash}{below}" if version in VERSIONS else path


def uuid(droplet_id: int) -> str:
    """The instance's UUID: the droplet id in its last twelve digits.

    The one to give the machine's firmware: cloud-init compares them at each boot.
    """
    return f"00000000-0000-4000-8000-{droplet_id:012x}"


def tree(whole: Document, user_data: bytes) -> dict[str, Node]:
    """Every path below `/openstack` in its `latest` version. `whole` is `document.served`'s.

    An index is there with and without its slash, as OpenStack answers both.
    """
    vendor_data = whole.get("vendor_data")
    bodies: dict[str, Node] = {
        "meta_data.json": _json(_meta_data(whole)),
        "network_data.json": _json(_network_data(whole)),
        "vendor_data.json": _json({"cloud-init": vendor_data} if vendor_data else {}),
        "vendor_data2.json": _json({}),
    }
    if user_data:
        bodies["user_data"] = Node(user_data)  # without any, OpenStack answers 404
    nodes = {f"{_LATEST}/{name}": node for name, node in bodies.items()}
    nodes[_ROOT] = nodes[f"{_ROOT}/"] = Node(lines(VERSIONS))
    nodes[_LATEST] = nodes[f"{_LATEST}/"] = Node(lines(sorted(bodies)))
    return nodes


def _json(value: Any) -> Node:
    return Node(json_line(value), JSON)


def _meta_data(whole: Document) -> dict[str, Any]:
    hostname = whole.get("hostname", "")
    keys = {f"key-{n}": key.rstrip("\r\n") for n, key in enumerate(whole["public_keys"])}
    return {
        "uuid": uuid(whole["droplet_id"]),
        "name": hostname,
        "hostname": hostname,
        "launch_index": 0,
        "availability_zone": whole.get("region", ""),
        "public_keys": keys,
        "keys": [{"name": name, "type": "ssh", "data": key} for name, key in keys.items()],
        "meta": {},
        "devices": [],
    }


def _network_data(whole: Document) -> dict[str, Any]:
    links, networks = [], []
    default = _default_kind(whole)
    for number, (kind, interface) in enumerate(interfaces_of(whole)):
        if "mac" not in interface:
            continue
        link = f"link{number}"
        links.append({"id": link, "type": "phy", "ethernet_mac_address": interface["mac"]})
        for network in _networks(interface, routed=kind == default):
            where = f"network{len(networks)}"
            networks.append({"id": where, "network_id": where, "link": link, **network})
        default = None if kind == default else default  # one default route a family
    services = [{"type": "dns", "address": each} for each in whole["dns"]["nameservers"]]
    return {"links": links, "networks": networks, "services": services}


def _default_kind(whole: Document) -> str | None:
    """The default route is the public interface's, as on DigitalOcean, or else the private's."""
    return next((kind for kind in ("public", "private") if whole["interfaces"].get(kind)), None)


def _networks(interface: Document, *, routed: bool) -> Iterator[dict[str, Any]]:
    for family in ("ipv4", "anchor_ipv4"):
        if family in interface:
            given = interface[family]
            network = {"type": "ipv4", "ip_address": given["ip_address"]}
            network |= {"netmask": given["netmask"], "routes": []}
            if routed and family == "ipv4":
                network["routes"] = _default_route(given.get("gateway"), "0.0.0.0")
            yield network
    if "ipv6" in interface:
        given = interface["ipv6"]
        netmask = IPv6Network(f"::/{given['cidr']}").netmask
        network = {"type": "ipv6", "ip_address": str(IPv6Address(given["ip_address"]))}
        network |= {"netmask": str(netmask), "routes": []}
        if routed:
            network["routes"] = _default_route(given.get("gateway"), "::")
        yield network


def _default_route(gateway: str | None, anywhere: str) -> list[dict[str, str]]:
    if not gateway:
        return []
    address: IPv4Address | IPv6Address = ip_address(gateway)
    if address.is_unspecified:  # DigitalOcean's way to say that there is none
        return []
    return [{"network": anywhere, "netmask": anywhere, "gateway": str(address)}]
