"""Checks that more than one part of a document needs: addresses, lines of text, arrays."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from ryu_apps.registry.faults import Place, json_type, shown

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", re.ASCII)

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
"""What `ipaddress` takes for an IPv4 address, found ten times as fast."""


_NETMASKS = frozenset(str(ipaddress.IPv4Network((0, length)).netmask) for length in range(33))
"""All there are: an IPv4 address has one spelling here."""


def check_mac(value: Any, place: Place) -> str | None:
    """The MAC in lower case; None, and reported, where it is none a NIC can have."""
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        given = "is missing" if value is None else f"{shown(value)} is no MAC"
        place.fault(f"{given}; one is written a6:a4:8e:4a:e8:70")
        return None
    if int(value[:2], 16) & 1:
        place.fault(f"{shown(value)} is a multicast MAC, which no NIC can have")
        return None
    if not int(value.replace(":", ""), 16):
        place.fault(f"{shown(value)} is the zero MAC, which no NIC can have")
        return None
    return value.lower()


def check_address(value: Any, version: int, place: Place) -> bool:
    """Whether `value` spells an IP address of this version (0: any); reports where it does not."""
    if version != 6 and isinstance(value, str) and _IPV4.fullmatch(value):
        return True
    try:
        if isinstance(value, str) and "%" not in value:
            address = ipaddress.ip_address(value)
            if version in (0, address.version):
                return True
    except ValueError:
        pass  # Reported below, in our words.
    family = f"IPv{version}" if version else "IP"
    place.fault(f"{shown(value)} is no {family} address")
    return False


def check_netmask(value: Any, place: Place) -> None:
    """Report where `value` is no dotted IPv4 netmask such as 255.255.240.0."""
    if isinstance(value, str) and value in _NETMASKS:
        return
    if check_address(value, 4, place):
        place.fault(f"{shown(value)} is no netmask: its ones are not all on the left")


def check_line(value: Any, place: Place) -> Any:
    """One line of text: it is served as one, and a line break would make it two."""
    if not isinstance(value, str):
        place.fault(f"must be a string, not {json_type(value)}")
    elif not is_line(value):
        place.fault("must be one line of text, without control characters")
    return value


def is_line(text: str) -> bool:
    """Whether `text` has nothing in it that a reader may take for the end of a line."""
    return text.isprintable() or not any(c < " " or c in "\x7f\x85\u2028\u2029" for c in text)


def check_items(value: Any, place: Place, rule: Callable[[Any, Place], Any]) -> Any:
    """Each item of the array `value` as `rule` gives it."""
    if not isinstance(value, list):
        place.fault(f"must be an array, not {json_type(value)}")
        return value
    return [rule(item, place / index) for index, item in enumerate(value)]
