"""Every field of a log line: its name, how its value is spelled, what it means. Pure.

One spelling, so that a value found in one line is found in all: a dpid is 16 hex digits in each.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

MAX_TEXT = 2000
"""Characters of a value; of a longer one the rest is left out and counted."""
MAX_LISTED = 20
"""Members of a list; the others are counted."""

Plain = str | int | float | bool | None | list[Any]


def shortened(text: str, most: int = MAX_TEXT) -> str:
    """The text, or its beginning and how much is missing."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most} more)"


def _text(value: Any) -> str:
    return shortened(str(value))


def _whole(value: Any) -> int:
    return int(value)


def _seconds(value: Any) -> float | str:
    # JSON has no infinity.
    return round(float(value), 6) if math.isfinite(value) else str(value)


def _dpid(value: Any) -> str:
    return f"{value:016x}" if isinstance(value, int) else _text(value)


def _hexadecimal(value: Any) -> str:
    return f"{value:#x}"


def _mode(value: Any) -> str:
    return f"{value:o}"


def _listed(value: Iterable[Any]) -> list[Any]:
    members = list(value)
    told: list[Any] = [
        each if isinstance(each, int) else shortened(str(each), 200)
        for each in members[:MAX_LISTED]
    ]
    return [*told, f"{len(members) - MAX_LISTED} more"] if len(members) > MAX_LISTED else told


@dataclass(frozen=True, slots=True)
class Field:
    """How a value is spelled, and what it is."""

    spell: Callable[[Any], Plain]
    about: str


FIELDS = {
    "action": Field(_text, "what was asked of the registry"),
    "added": Field(_whole, "flows added"),
    "address": Field(_text, "address of ours: HOST:PORT"),
    "bindings": Field(_whole, "bindings of which every flow was deleted"),
    "bridge": Field(_text, "name of a bridge"),
    "changed": Field(_listed, "names of what a write changed, never values"),
    "connections": Field(_whole, "open connections"),
    "cookie": Field(_hexadecimal, "a flow's cookie, hexadecimal"),
    "count": Field(_whole, "how many"),
    "created": Field(_whole, "droplets that were not registered before"),
    "deleted": Field(_whole, "flows deleted"),
    "dpid": Field(_dpid, "a switch's, 16 hex digits"),
    "droplet_id": Field(_whole, "a droplet's id"),
    "droplet_ids": Field(_listed, f"ids of droplets, the first {MAX_LISTED}"),
    "droplets": Field(_whole, "how many droplets"),
    "ended": Field(_whole, "connections ended"),
    "fail_mode": Field(_text, "a bridge's, as it was"),
    "file": Field(_text, "path of a file"),
    "flows": Field(_whole, "how many flows"),
    "former_dpid": Field(_dpid, "the bridge's before, 16 hex digits"),
    "mebibytes": Field(_whole, "size of the process in memory"),
    "mebibytes_before": Field(_whole, "the same before"),
    "method": Field(_text, "an HTTP request's method"),
    "mode": Field(_mode, "a file's permissions, octal"),
    "more": Field(_whole, "lines like this one that were held back before it"),
    "ofport": Field(_whole, "an OpenFlow port number"),
    "ofports": Field(_listed, f"OpenFlow port numbers, the first {MAX_LISTED}"),
    "outcome": Field(_text, "done, unchanged, refused, failed or partly"),
    "path": Field(_text, "an HTTP request's path, without its query"),
    "peer": Field(_text, "address a connection or request comes from"),
    "port_names": Field(_listed, f"names of ports, the first {MAX_LISTED}"),
    "ports": Field(_whole, "how many ports"),
    "reason": Field(_text, "why, in words"),
    "registry": Field(_text, "registry_url"),
    "revision": Field(_whole, "revision of the record or view now"),
    "revision_before": Field(_whole, "revision of the record before"),
    "role": Field(_text, "the token's role"),
    "seconds": Field(_seconds, "a duration"),
    "server": Field(_text, "name of a metadata server"),
    "source": Field(_text, "where the words come from"),
    "status": Field(_whole, "the answer's status"),
    "term": Field(_whole, "a leader's term"),
    "token": Field(_text, "which token of tokens_file: its line's number, never its text"),
    "url": Field(_text, "a controller's or database's"),
    "who": Field(_text, "the caller, as far as it is known"),
    "workers": Field(_whole, "processes that answer"),
    "xid": Field(_hexadecimal, "an OpenFlow message's id, hexadecimal"),
    "zones": Field(_whole, "ct zones flushed"),
}


def spelled(values: dict[str, Any]) -> dict[str, Plain]:
    """The fields as they are written; one that is None is left out. Raises KeyError for others."""
    return {name: FIELDS[name].spell(value) for name, value in values.items() if value is not None}
