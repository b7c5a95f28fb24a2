"""Ethernet addresses as this package writes them: six lower-case hex octets with colons."""

import re

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def checked_mac(value: str) -> str:
    """Return `value` if it is a MAC in canonical form; raise ValueError where it is not."""
    if not _MAC.fullmatch(value):
        raise ValueError(f"{value!r} is not a MAC address in lower case with colons")
    return value


def mac_to_int(value: str) -> int:
    """The 48-bit number of a MAC, as `load` actions carry it."""
    return int(checked_mac(value).replace(":", ""), 16)


def mac_from_int(value: int) -> str:
    """The MAC of a 48-bit number; the inverse of `mac_to_int`."""
    return value.to_bytes(6, "big").hex(":")
