"""The rules for a droplet's v1.json: what would break one of its clients is refused here.

Each rule names in its reason which client breaks. What is harmless is normalised instead:
"nothing" said as null becomes the form clients take, and MACs become lower case. Unknown keys
are kept. The rules for `interfaces` are in `interfaces.py`, those for what droplet-agent reads in
`agent.py`; which client needs what is written down in docs/rest.md.
"""

import re
from collections.abc import Callable
from typing import Any

from ryu_apps.registry.agent import (
    read_dotty_keys,
    read_ssh_info,
    read_troubleshooting_agent,
)
from ryu_apps.registry.checks import check_address, check_items, check_line, is_line
from ryu_apps.registry.faults import Place, json_type, shown
from ryu_apps.registry.interfaces import read_interfaces

_HOSTNAME = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
_SLUG = re.compile(r"[!-~]{1,63}", re.ASCII)
_SEGMENT = re.compile(r"[!-.0-~]{1,63}", re.ASCII)


def read_metadata(
    value: Any, droplet_id: int, place: Place, *, default_region: str | None
) -> dict[str, Any]:
    """The normalised v1.json of droplet `droplet_id`, or what could be read of it.

    None stands for an empty document. Faults are reported at `place`.
    """
    if value is None:
        value = {}
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}: every client reads an object")
        return {}
    metadata = {key: item for key, item in value.items() if item is not None or key not in _ABSENT}
    if "droplet_id" in value:
        _check_same_id(value["droplet_id"], droplet_id, place / "droplet_id")
    if default_region is not None:
        metadata.setdefault("region", default_region)
    if "region" not in metadata:
        (place / "region").fault("required: nomad takes an empty region for another cloud")
    for key, rule in _RULES.items():
        if key in metadata:
            metadata[key] = rule(metadata[key], place / key)
    metadata.setdefault("public_keys", [])
    return {key: item for key, item in metadata.items() if item is not _NOTHING}


_NOTHING: Any = object()
"""What a rule returns for a value that says "none": the key is left out."""


def _check_same_id(value: Any, droplet_id: int, place: Place) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        place.fault(f"must be a number, not {json_type(value)}: go-metadata fails otherwise")
    elif value != droplet_id:
        place.fault(f"{value} differs from the droplet's id, {droplet_id}")


def _text(value: Any, place: Place) -> Any:
    if not isinstance(value, str):
        place.fault(f"must be a string, not {json_type(value)}")
    return value


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[Any, Place], Any]:
    def rule(value: Any, place: Place) -> Any:
        if isinstance(_text(value, place), str) and not pattern.fullmatch(value):
            place.fault(f"{shown(value)} is no {what}")
        return value

    return rule


def _typed(kind: type, name: str) -> Callable[[Any, Place], Any]:
    def rule(value: Any, place: Place) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            place.fault(f"must be {name}, not {json_type(value)}")
        return value

    return rule


def _public_keys(value: Any, place: Place) -> Any:
    return check_items(value, place, _public_key)


def _public_key(value: Any, place: Place) -> Any:
    if not isinstance(value, str):
        place.fault(f"must be a string, not {json_type(value)}")
        return value
    key = value.strip()  # The line break of a key read from its file.
    if not key or not is_line(key):
        place.fault("must be one line of authorized_keys: the keys are served one a line")
    return key


def _tags(value: Any, place: Place) -> Any:
    if value is None:
        return None
    return check_items(value, place, _tag)


def _tag(value: Any, place: Place) -> Any:
    if isinstance(check_line(value, place), str) and not value.strip():
        place.fault("is an empty tag")
    return value


def _dns(value: Any, place: Place) -> Any:
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}: cloud-init and afterburn fail")
        return value
    if value.get("nameservers") is None:
        rest = {key: item for key, item in value.items() if key != "nameservers"}
        return rest or _NOTHING  # The default name servers are filled in when it is served.
    nameservers = check_items(value["nameservers"], place / "nameservers", _any_address)
    return {**value, "nameservers": nameservers}


def _any_address(value: Any, place: Place) -> Any:
    check_address(value, 0, place)
    return value


def _features(value: Any, place: Place) -> Any:
    if not isinstance(value, dict):
        place.fault(f"must be an object of booleans, not {json_type(value)}")
        return value
    for name, on in value.items():
        if not _SEGMENT.fullmatch(name):
            (place / name).fault("is no name of a feature: it is served as part of a path")
        if not isinstance(on, bool):
            (place / name).fault(f"must be a boolean, not {json_type(on)}")
    return value


def _mapped_ip(value: Any, place: Place) -> Any:
    """floating_ip and reserved_ip: an object of families, each with `active`."""
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}")
        return value
    families = {
        family: _mapped_family(entry, family, place / family)
        for family, entry in value.items()
        if entry not in (None, {})
    }
    return families or _NOTHING


def _mapped_family(value: Any, family: str, place: Place) -> Any:
    version = {"ipv4": 4, "ipv6": 6}.get(family)
    if version is None:
        return value
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}")
        return value
    active = value.get("active")
    if not isinstance(active, bool):
        (place / "active").fault(f"must be true or false, not {json_type(active)}")
    value = {key: item for key, item in value.items() if item is not None}
    if "ip_address" in value:
        check_address(value["ip_address"], version, place / "ip_address")
    elif active is True:
        (place / "ip_address").fault("required where active is true")
    return value


_RULES: dict[str, Callable[[Any, Place], Any]] = {
    "hostname": _matching(_HOSTNAME, "host name (letters, digits, '.', '-', '_', at most 253)"),
    "user_data": _text,
    "vendor_data": _text,
    "public_keys": _public_keys,
    "auth_key": check_line,
    "region": _matching(_SLUG, "region's slug such as nyc3"),
    "interfaces": read_interfaces,
    "floating_ip": _mapped_ip,
    "reserved_ip": _mapped_ip,
    "dns": _dns,
    "tags": _tags,
    "features": _features,
    "modify_index": _typed(int, "a number"),
    "managed_keys_enabled": _typed(bool, "a boolean"),
    "dotty_keys": read_dotty_keys,
    "dotty_status": check_line,
    "ssh_info": read_ssh_info,
    "troubleshooting_agent": read_troubleshooting_agent,
}

_ABSENT = _RULES.keys() - {"tags"}
"""Keys that are left out when null: clients want them absent then. Only tags are served null."""
