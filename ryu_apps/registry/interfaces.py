"""The rules for `interfaces` of v1.json.

cloud-init takes the first interface of *every* type there is, known or not, and afterburn
decodes each family strictly: so every type is held to the same rules, an empty one is left
out, and a family is complete or absent.
"""

from typing import Any

from ryu_apps.registry.checks import check_address, check_mac, check_netmask
from ryu_apps.registry.faults import Place, json_type, shown

_TYPE_ORDER = ("private", "public")
_KEY_ORDER = ("ipv4", "ipv6", "anchor_ipv4", "anchor_ipv6", "mac", "type")
_FAMILY_ORDER = ("ip_address", "netmask", "cidr", "gateway")
_FAMILIES = {"ipv4": 4, "ipv6": 6, "anchor_ipv4": 4, "anchor_ipv6": 6}


def read_interfaces(value: Any, place: Place) -> Any:
    """The normalised interfaces, in the order of DigitalOcean's documents."""
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}")
        return value
    return {
        kind: _read_type(value[kind], kind, place / kind)
        for kind in _ordered(value, _TYPE_ORDER)
        if value[kind] not in (None, [])  # An empty list makes cloud-init raise.
    }


def _read_type(value: Any, kind: str, place: Place) -> Any:
    if not isinstance(value, list):
        place.fault(f"must be an array of interfaces, not {json_type(value)}: cloud-init fails")
        return value
    return [_read_interface(item, kind, place / index) for index, item in enumerate(value)]


def _read_interface(value: Any, kind: str, place: Place) -> Any:
    if not isinstance(value, dict):
        place.fault(f"an interface is an object, not {json_type(value)}")
        return value
    interface = {"type": kind, **value}
    interface["mac"] = check_mac(value.get("mac"), place / "mac")
    if interface["type"] != kind:
        (place / "type").fault(f"{shown(interface['type'])} stands under {shown(kind)}")
    for family, version in _FAMILIES.items():
        if interface.get(family, {}) in (None, {}):  # Afterburn fails on an empty family.
            interface.pop(family, None)
        else:
            interface[family] = _read_family(interface[family], version, place / family)
    return {key: interface[key] for key in _ordered(interface, _KEY_ORDER)}


def _read_family(value: Any, version: int, place: Place) -> Any:
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}")
        return value
    check_address(value.get("ip_address"), version, place / "ip_address")
    if version == 4:
        check_netmask(value.get("netmask"), place / "netmask")
    else:
        _check_cidr(value.get("cidr"), place / "cidr")
    gateway = value.get("gateway")
    if gateway in (None, ""):
        (place / "gateway").fault("required: afterburn fails without one (0.0.0.0 is taken)")
    else:
        check_address(gateway, version, place / "gateway")
    return {key: value[key] for key in _ordered(value, _FAMILY_ORDER)}


def _check_cidr(value: Any, place: Place) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        place.fault(f"must be a number, not {json_type(value)}: go-metadata and afterburn fail")
    elif not 0 <= value <= 128:
        place.fault(f"{value} is no length of an IPv6 prefix: 0 to 128")


def _ordered(value: dict[str, Any], order: tuple[str, ...]) -> list[str]:
    """The keys of `value`: those of `order` in that order, then the others as they are."""
    return [key for key in order if key in value] + [key for key in value if key not in order]
