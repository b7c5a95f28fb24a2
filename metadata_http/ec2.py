"""The droplet's document as EC2's instance metadata tells it.

Pure: the document as served in, the tree of paths out. What there is follows what cloud-init's
Ec2 datasource and the common scripts ask for; a path that is listed in no index does not exist.
All dated versions are one tree, that of `latest`.

Sources: Amazon EC2 user guide, "Instance metadata categories"; cloud-init, DataSourceEc2.py.
"""

from collections.abc import Mapping
from ipaddress import IPv4Interface
from typing import Any

from metadata_http.document import JSON, Node, interfaces_of, json_line, leaf, lines

# The versions cloud-init asks for: the least it takes, then those it prefers.
VERSIONS = ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
TOKEN_PATH = "/latest/api/token"

# A branch of the tree in index order; bytes are leaves.
_Branch = dict[str, "_Branch | bytes"]
Document = Mapping[str, Any]


def canonical(path: str) -> str:
    """`path` with `latest` in place of a dated version."""
    _, _, rest = path.partition("/")
    version, slash, below = rest.partition("/")
    return f"/latest{slash}{below}" if version in VERSIONS else path


def instance_id(droplet_id: int) -> str:
    """`i-` and eight hex digits, the form that scripts look for."""
    return f"i-{droplet_id:08x}"


def tree(whole: Document, user_data: bytes) -> dict[str, Node]:
    """Every path below `/` in its `latest` version. `whole` comes from `document.served`.

    An index is there with and without its slash, as EC2 answers both.
    """
    latest: _Branch = {"dynamic": _dynamic(whole), "meta-data": _meta_data(whole)}
    if user_data:
        latest["user-data"] = user_data  # without any, EC2 answers 404
    nodes = {"/": Node(lines(VERSIONS))}
    _flatten("/latest", latest, nodes)
    document = nodes.get("/latest/dynamic/instance-identity/document")
    if document is not None:
        nodes["/latest/dynamic/instance-identity/document"] = Node(document.body, JSON)
    keys = whole["public_keys"]
    if keys:
        # EC2 names the keys in this one index and nowhere else.
        index = Node(lines(f"{n}=key-{n}" for n, _ in enumerate(keys)))
        nodes["/latest/meta-data/public-keys"] = nodes["/latest/meta-data/public-keys/"] = index
    return nodes


def _meta_data(whole: Document) -> _Branch:
    found = interfaces_of(whole)
    hostname = leaf(whole.get("hostname", ""))
    branch: _Branch = {
        "ami-launch-index": b"0",
        "hostname": hostname,
        "instance-id": leaf(instance_id(whole["droplet_id"])),
        "local-hostname": hostname,
    }
    local, public = _address(found, "private", "public"), _address(found, "public")
    if local is not None:
        branch["local-ipv4"] = leaf(local)
    if found:
        branch["mac"] = leaf(found[0][1].get("mac", ""))
        branch["network"] = {"interfaces": {"macs": _macs(whole, found)}}
    branch["placement"] = _placement(whole)
    if public is not None:
        branch["public-ipv4"] = leaf(public)
    keys = [leaf(key.rstrip("\r\n")) for key in whole["public_keys"]]
    if keys:
        branch["public-keys"] = {str(n): {"openssh-key": key} for n, key in enumerate(keys)}
    return dict(sorted(branch.items()))


def _placement(whole: Document) -> _Branch:
    region = whole.get("region", "")
    return {"availability-zone": leaf(zone(region)), "region": leaf(region)}


def zone(region: str) -> str:
    """The availability zone: clients take the region to be this without its last letter."""
    return f"{region}a"


def _address(found: list[tuple[str, Document]], *kinds: str) -> str | None:
    """The first IPv4 address of an interface of the first of `kinds` that has one."""
    for kind in kinds:
        for each, interface in found:
            if each == kind and "ipv4" in interface:
                return interface["ipv4"]["ip_address"]
    return None


def _macs(whole: Document, found: list[tuple[str, Document]]) -> _Branch:
    """Interfaces by MAC. IPv6 addresses stand in none: for them cloud-init would ask DHCPv6."""
    branch: _Branch = {}
    for number, (kind, interface) in enumerate(found):
        if "mac" not in interface:
            continue
        below: _Branch = {
            "device-number": leaf(number),
            "local-hostname": leaf(whole.get("hostname", "")),
            "mac": leaf(interface["mac"]),
            # Without one cloud-init takes the instance for EC2-Classic and brings up no network.
            "vpc-id": leaf("vpc-0"),
        }
        if "ipv4" in interface:
            address = leaf(interface["ipv4"]["ip_address"])
            below["local-ipv4s"] = address
            if kind == "public":
                below["public-ipv4s"] = address
            network = _network(interface["ipv4"])
            if network is not None:
                below["subnet-ipv4-cidr-block"] = leaf(network)
        branch[interface["mac"]] = below
    return branch


def _network(ipv4: Document) -> str | None:
    """The network in CIDR form; None for a netmask that has none (255.0.255.0)."""
    try:
        return str(IPv4Interface(f"{ipv4['ip_address']}/{ipv4['netmask']}").network)
    except ValueError:
        return None


def _dynamic(whole: Document) -> _Branch:
    region = whole.get("region", "")
    found = interfaces_of(whole)
    identity = {
        "availabilityZone": zone(region),
        "instanceId": instance_id(whole["droplet_id"]),
        "privateIp": _address(found, "private", "public"),
        "region": region,
        "version": "2017-09-30",
    }
    return {"instance-identity": {"document": json_line(identity)}}


def _flatten(path: str, branch: _Branch, nodes: dict[str, Node]) -> None:
    index = Node(lines(n if isinstance(b, bytes) else f"{n}/" for n, b in branch.items()))
    nodes[path] = nodes[f"{path}/"] = index
    for name, below in branch.items():
        if isinstance(below, bytes):
            nodes[f"{path}/{name}"] = Node(below)
        else:
            _flatten(f"{path}/{name}", below, nodes)
