"""What a droplet's document looks like when served: the tree of paths and v1.json.

Pure. One registered document goes in; `served` makes it the object that DigitalOcean's clients
expect, and both forms, the tree and v1.json, are derived from that one object. Only names, order
and bytes live here; methods, statuses and headers are `respond`'s.

Source: DigitalOcean Droplet Metadata API 0.1.9 (OpenAPI), its how-to, and what its clients need.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """One path's body. The path of an index ends in a slash, that of a leaf does not."""

    body: bytes
    content_type: str = TEXT


@dataclass(frozen=True, slots=True)
class _List:
    """An index whose entries are plain names with nothing below them (tags)."""

    entries: tuple[str, ...]


# A branch of the tree: its items in index order; bytes are leaves.
_Branch = dict[str, "_Branch | _List | bytes"]

# Order of captures (a Go struct); keys unknown here follow in the order they were given.
_KEY_ORDER = (
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
_INACTIVE = {"ipv4": {"active": False}}
_TYPES = ("public", "private")
_FAMILIES = ("ipv4", "ipv6", "anchor_ipv4", "anchor_ipv6")
# An entry with any other character could not be asked for as it stands in the index.
_PATH_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")


def served(document: Document, droplet_id: int, user_data: bytes | None = None) -> dict[str, Any]:
    """The v1.json object: `document` without anything that is known to break a client.

    `user_data`, where given, are the bytes registered instead of the document's `user_data`.
    Cloud-init raises on an empty interface list and an upper-case MAC, afterburn on absent
    `public_keys`, `dns` or an empty family; go-metadata and cloud-detect on an id that is a string.
    """
    whole = {key: value for key, value in document.items() if value is not None or key == "tags"}
    whole["droplet_id"] = droplet_id
    if user_data is not None:
        # Bytes that are no UTF-8 cannot be in JSON; Go's encoder puts U+FFFD as well.
        whole["user_data"] = user_data.decode("utf-8", "replace")
        if not user_data:
            del whole["user_data"]
    whole["public_keys"] = list(whole.get("public_keys", ()))
    whole["interfaces"] = _interfaces(whole.get("interfaces", {}))
    whole.setdefault("floating_ip", _INACTIVE)
    whole.setdefault("reserved_ip", _INACTIVE)
    dns = whole.get("dns", {})
    whole["dns"] = {**dns, "nameservers": list(dns.get("nameservers") or ())}
    whole.setdefault("tags", None)
    ordered = [key for key in _KEY_ORDER if key in whole]
    return {key: whole[key] for key in [*ordered, *(key for key in whole if key not in ordered)]}


def _interfaces(by_type: Document) -> dict[str, Any]:
    return {
        kind: [_interface(interface) for interface in interfaces]
        for kind, interfaces in by_type.items()
        if interfaces
    }


def _interface(interface: Document) -> dict[str, Any]:
    kept = {k: v for k, v in interface.items() if v or k not in _FAMILIES}
    if isinstance(kept.get("mac"), str):
        kept["mac"] = kept["mac"].lower()
    return kept


def v1_json(whole: Document) -> bytes:
    """The body of /metadata/v1.json. `whole` comes from `served`."""
    return json_line(whole)


def json_line(value: Any) -> bytes:
    """JSON on one line, without spaces, in UTF-8."""
    return _utf8(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def tree(
    document: Document,
    droplet_id: int,
    user_data: bytes | None = None,
    maintenance_event: str | None = None,
) -> dict[str, Node]:
    """Every path that can be asked for and its body.

    Raises AttributeError, KeyError or TypeError on a document that no registry would take.
    """
    whole = served(document, droplet_id, user_data)
    nodes = {"/metadata/v1.json": Node(v1_json(whole), JSON)}
    nodes["/metadata/"] = _index(["v1/", "v1.json"])
    _flatten("/metadata/v1/", _v1(whole, user_data), nodes)
    if whole.get("auth_key"):
        # Exists, but stands in no index (go-metadata's AuthToken and do-agent ask for it).
        nodes["/metadata/v1/auth-token"] = Node(leaf(whole["auth_key"]))
    # Beside the tree, in no index: what is planned for the droplet, nothing as a rule.
    nodes["/v1/maintenance_event"] = Node(leaf(maintenance_event))
    return nodes


def user_data_bytes(whole: Document, user_data: bytes | None) -> bytes:
    """The user data as registered: the bytes where they were given, else the document's text."""
    return leaf(whole.get("user_data", "")) if user_data is None else user_data


def interfaces_of(whole: Document) -> list[tuple[str, Document]]:
    """All interfaces with their type, in the order of a droplet's NICs: public before private."""
    by_type = whole["interfaces"]
    return [(kind, each) for kind in _TYPES for each in by_type.get(kind, ())]


def _v1(whole: Document, user_data: bytes | None) -> _Branch:
    return {
        "id": leaf(whole["droplet_id"]),
        "hostname": leaf(whole.get("hostname", "")),
        "user-data": user_data_bytes(whole, user_data),
        "vendor-data": leaf(whole.get("vendor_data", "")),
        "public-keys": lines(key.rstrip("\r\n") for key in whole["public_keys"]),
        "region": leaf(whole.get("region", "")),
        "interfaces": _interface_types(whole["interfaces"]),
        "dns": {"nameservers": lines(whole["dns"]["nameservers"])},
        "floating_ip": {"ipv4": _reserved(whole["floating_ip"].get("ipv4"))},
        "reserved_ip": {
            "ipv4": _reserved(whole["reserved_ip"].get("ipv4")),
            "ipv6": _reserved(whole["reserved_ip"].get("ipv6")),
        },
        "tags": _List(tuple(whole["tags"] or ())),
        "features": {
            name: leaf(value)
            for name, value in whole.get("features", {}).items()
            if _PATH_SEGMENT.fullmatch(name)
        },
    }


def _interface_types(by_type: Document) -> _Branch:
    return {
        kind: {str(n): _interface_branch(each) for n, each in enumerate(by_type[kind])}
        for kind in _TYPES
        if kind in by_type
    }


def _interface_branch(interface: Document) -> _Branch:
    """One interface: only what exists; the tree says `address` where JSON says `ip_address`."""
    branch: _Branch = {key: leaf(interface[key]) for key in ("mac", "type") if key in interface}
    families = (
        ("ipv4", ("ip_address", "netmask", "gateway")),
        ("ipv6", ("ip_address", "cidr", "gateway")),
        ("anchor_ipv4", ("ip_address", "netmask", "gateway")),
    )
    for family, keys in families:
        if family in interface:
            branch[family] = {
                "address" if key == "ip_address" else key: leaf(interface[family][key])
                for key in keys
                if key in interface[family]
            }
    return branch


def _reserved(address: Document | None) -> _Branch:
    """A floating or reserved address; an inactive one has no `ip_address`."""
    if not address or not address.get("active"):
        return {"active": b"false"}
    return {"active": b"true", "ip_address": leaf(address.get("ip_address", ""))}


def _flatten(path: str, branch: _Branch, nodes: dict[str, Node]) -> None:
    nodes[path] = _index(
        name if isinstance(below, bytes) else f"{name}/" for name, below in branch.items()
    )
    for name, below in branch.items():
        if isinstance(below, bytes):
            nodes[path + name] = Node(below)
        elif isinstance(below, _List):
            nodes[f"{path}{name}/"] = _index(below.entries)
        else:
            _flatten(f"{path}{name}/", below, nodes)


def _index(entries: Iterable[str]) -> Node:
    return Node(lines(entries))


def lines(entries: Iterable[str]) -> bytes:
    """One entry a line and none after the last: a walker never sees an empty entry."""
    return _utf8("\n".join(entries))


def leaf(value: Any) -> bytes:
    """The bare value with no newline after it: go-metadata compares and never trims."""
    if isinstance(value, str):
        return _utf8(value)
    return _utf8("" if value is None else json.dumps(value))


def _utf8(text: str) -> bytes:
    """UTF-8; a lone surrogate, which JSON can spell and UTF-8 cannot, becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
