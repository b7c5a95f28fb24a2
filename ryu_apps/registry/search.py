"""What a droplet is found by: the words that a text is looked for in. Pure.

The same words are in every store's index, so what is found does not depend on the store. Lower
case, one a line: a text that is looked for cannot reach over the end of one.
"""

from collections.abc import Iterable
from typing import Any

from ryu_apps.registry.droplet import Droplet

MAX_TEXT = 253
"""The longest text that is looked for: a hostname has no more."""


def needle(text: str) -> str:
    """The text in the form in which it is looked for; empty where it names nothing."""
    return text.strip().lower()


def words(droplet: Droplet) -> str:
    """The droplet's id, hostname, port names, MACs and addresses."""
    found = [str(droplet.droplet_id), droplet.hostname]
    for port in droplet.ports:
        found += (port.name, port.mac)
    _add_addresses(droplet.metadata, found)
    return "\n".join(found).lower()


def _add_addresses(value: dict[str, Any] | list[Any], found: list[str]) -> None:
    """Add every address that metadata names, wherever in it."""
    inner: Iterable[Any] = value
    if isinstance(value, dict):
        address = value.get("ip_address")
        if isinstance(address, str):
            found.append(address)
        inner = value.values()
    for each in inner:
        if isinstance(each, (dict, list)):
            _add_addresses(each, found)
