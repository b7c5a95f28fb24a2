"""The changes to a good document that are known to break a client, and who it is they break.

Found by trying them with the real clients. Each is a function of a document, which is the
function's own to change, and returns what is registered instead. `breaks` names recorded clients
and "cloud-init"; `refused` is where and why registration refuses it; where there is none, the
server makes something good of it, or is asked in vain for something bad.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change, whom it would break, and its refusal: the pointer and words of the reason."""

    name: str
    change: Change
    breaks: tuple[str, ...] = ()
    refused: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.name


def put(pointer: str, value: Any) -> Change:
    """Puts a value at a JSON pointer."""

    def change(document: Any) -> Any:
        parent, key = _parent(document, pointer)
        parent[key] = value
        return document

    return change


def drop(pointer: str) -> Change:
    """Takes the value at a JSON pointer away."""

    def change(document: Any) -> Any:
        parent, key = _parent(document, pointer)
        del parent[key]
        return document

    return change


def _parent(document: Any, pointer: str) -> tuple[Any, Any]:
    *above, last = pointer.split("/")[1:]
    for token in above:
        document = document[int(token) if isinstance(document, list) else token]
    return document, int(last) if isinstance(document, list) else last


def _uppercase_macs(document: Any) -> Any:
    for interfaces in document["interfaces"].values():
        interfaces[0]["mac"] = interfaces[0]["mac"].upper()
    return document


_GO = ("go-metadata", "opentelemetry-collector", "droplet-agent", "talos")
_ALL = ("cloud-init", *_GO, "afterburn", "coreos-cloudinit", "beats")
_PUBLIC, _PRIVATE = "/interfaces/public/0", "/interfaces/private/0"
_NO_GATEWAY = "required: afterburn fails without one"

MUTATIONS = (
    Mutation("a document in an array", lambda document: [document], _ALL,
             ("", "must be an object, not an array")),
    Mutation("droplet_id a string", lambda document: put(
        "/droplet_id", str(document["droplet_id"]))(document), (*_GO, "beats"),
             ("/droplet_id", "must be a number, not a string")),
    Mutation("droplet_id another droplet's", put("/droplet_id", 1), (),
             ("/droplet_id", "differs from the droplet's id")),
    # A leaf that ends in a line break.
    Mutation("hostname ends a line", put("/hostname", "web\n"), (),
             ("/hostname", "is no host name")),
    Mutation("region ends a line", put("/region", "nyc3\n"), (),
             ("/region", "is no region's slug")),
    Mutation("a MAC ends a line", put(f"{_PUBLIC}/mac", "a6:a4:8e:00:00:01\n"), (),
             (f"{_PUBLIC}/mac", "is no MAC")),
    Mutation("an address ends a line", put(f"{_PUBLIC}/ipv4/ip_address", "203.0.113.9\n"),
             ("afterburn", "talos"), (f"{_PUBLIC}/ipv4/ip_address", "is no IPv4 address")),
    Mutation("auth_key ends a line", put("/auth_key", "token\n"), (),
             ("/auth_key", "must be one line")),
    Mutation("active as text", put("/floating_ip/ipv4/active", "true\n"), ("go-metadata",),
             ("/floating_ip/ipv4/active", "must be true or false")),
    Mutation("a key ends a line", put("/public_keys/0", "ssh-ed25519 AAAA a@example.com\n"),
             ("afterburn",)),
    Mutation("a key of two lines", put("/public_keys/0", "ssh-ed25519 AAAA\nssh-rsa AAAA"),
             ("afterburn",), ("/public_keys/0", "one line of authorized_keys")),
    Mutation("public_keys null", put("/public_keys", None), ("afterburn",)),
    Mutation("public_keys absent", drop("/public_keys"), ("afterburn",)),
    Mutation("region empty", put("/region", ""), (), ("/region", "is no region's slug")),
    # Lists of interfaces that are empty.
    Mutation("interfaces.private empty", put("/interfaces/private", []), ("cloud-init",)),
    Mutation("interfaces.private null", put("/interfaces/private", None), ("cloud-init",)),
    Mutation("a further type, empty", put("/interfaces/vpc", []), ("cloud-init",)),
    Mutation("a further type, null", put("/interfaces/vpc", None), ("cloud-init",)),
    Mutation("interfaces.public an object", put("/interfaces/public", {}),
             ("cloud-init", *_GO[:2], "talos", "afterburn", "coreos-cloudinit"),
             ("/interfaces/public", "must be an array of interfaces")),
    # Families that are not whole.
    Mutation("ipv6 empty", put(f"{_PUBLIC}/ipv6", {}), ("afterburn",)),
    Mutation("anchor without gateway", drop(f"{_PUBLIC}/anchor_ipv4/gateway"), ("afterburn",),
             (f"{_PUBLIC}/anchor_ipv4/gateway", _NO_GATEWAY)),
    Mutation("anchor with an empty gateway", put(f"{_PUBLIC}/anchor_ipv4/gateway", ""),
             ("afterburn",), (f"{_PUBLIC}/anchor_ipv4/gateway", _NO_GATEWAY)),
    Mutation("private with an empty gateway", put(f"{_PRIVATE}/ipv4/gateway", ""),
             ("afterburn",), (f"{_PRIVATE}/ipv4/gateway", _NO_GATEWAY)),
    Mutation("ipv6 with an empty gateway", put(f"{_PUBLIC}/ipv6/gateway", ""),
             ("afterburn",), (f"{_PUBLIC}/ipv6/gateway", _NO_GATEWAY)),
    Mutation("cidr a string", put(f"{_PUBLIC}/ipv6/cidr", "64"),
             ("go-metadata", "opentelemetry-collector", "talos", "afterburn", "coreos-cloudinit"),
             (f"{_PUBLIC}/ipv6/cidr", "must be a number, not a string")),
    Mutation("MACs in upper case", _uppercase_macs, ("cloud-init",)),
    Mutation("dns absent", drop("/dns"), ("cloud-init", "afterburn")),
    Mutation("dns null", put("/dns", None), ("cloud-init", "afterburn")),
    Mutation("nameservers null", put("/dns/nameservers", None), ("afterburn",)),
    Mutation("nameservers absent", drop("/dns/nameservers"), ("cloud-init", "afterburn")),
    Mutation("a dotty key that is no string", put("/dotty_keys", [{"ttl": 1}]),
             ("droplet-agent",), ("/dotty_keys/0", "must be a string that holds a JSON object")),
    # What breaks nobody, and so is not to be refused.
    Mutation("tags null", put("/tags", None)),
    Mutation("tags empty", put("/tags", [])),
    Mutation("user_data null", put("/user_data", None)),
    Mutation("user_data empty", put("/user_data", "")),
    Mutation("user_data absent", drop("/user_data")),
    Mutation("vendor_data absent", drop("/vendor_data")),
    Mutation("ipv6 null", put(f"{_PUBLIC}/ipv6", None)),
    Mutation("ipv6 absent", drop(f"{_PUBLIC}/ipv6")),
    Mutation("a gateway of 0.0.0.0", put(f"{_PRIVATE}/ipv4/gateway", "0.0.0.0")),
    Mutation("unknown keys", put("/something_new", {"of": [1, None, "text"]})),
    Mutation("unknown keys of an interface", put(f"{_PUBLIC}/speed", 10_000)),
    Mutation("no floating_ip", drop("/floating_ip")),
    Mutation("no reserved_ip", drop("/reserved_ip")),
    Mutation("no features", drop("/features")),
    Mutation("no public interface", drop("/interfaces/public")),
    Mutation("no private interface", drop("/interfaces/private")),
    Mutation("no auth_key", drop("/auth_key")),
)  # fmt: skip
