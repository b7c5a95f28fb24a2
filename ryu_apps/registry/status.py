"""A droplet's status: what is kept of it beside its document, and how that changes.

The document is the operator's. The status is what others say of the droplet, under keys of their
own: its `agent` (dotty_status, ssh_info), and a `maintenance_event` announced to it. It is a JSON
object in which only what there is has a key; it changes by merge patches (RFC 7396) alone.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ryu_apps.registry import jsontext
from ryu_apps.registry.agent import check_dotty_status, read_ssh_info
from ryu_apps.registry.faults import Findings, Place, json_type, shown

Status = Mapping[str, Any]
Patch = Mapping[str, Any]

NO_STATUS: Status = MappingProxyType({})

MAINTENANCE_EVENTS = ("live_migrate",)
"""The events that droplets know: DigitalOcean's."""

_AGENT_KEYS = ("dotty_status", "ssh_info")
_SSH_INFO_KEYS = ("port", "host_keys")


def read_agent_report(document: Any) -> Patch:
    """The change that a report of droplet-agent, a merge patch, makes to the status.

    Raises `InvalidDocument` with every fault.
    """
    findings = Findings()
    place = Place(findings)
    if not isinstance(document, dict):
        place.fault(f"a report is an object, not {json_type(document)}")
        findings.raise_if_any()
    _refuse_others(document, _AGENT_KEYS, "an agent reports", place)
    if document.get("dotty_status") is not None:
        check_dotty_status(document["dotty_status"], place / "dotty_status")
    if document.get("ssh_info") is not None:
        _check_ssh_info(document["ssh_info"], place / "ssh_info")
    findings.raise_if_any()
    return {"agent": document}


def _check_ssh_info(value: Any, place: Place) -> None:
    if isinstance(read_ssh_info(value, place), dict):
        _refuse_others(value, _SSH_INFO_KEYS, "an agent reports", place)
        if "port" not in value:
            (place / "port").fault("required: the TCP port of sshd")


def read_maintenance(document: Any) -> Patch:
    """The change that announcing `{"event": ...}` makes. Raises `InvalidDocument`."""
    findings = Findings()
    place = Place(findings)
    if not isinstance(document, dict):
        place.fault(f'must be {{"event": ...}}, not {json_type(document)}')
        findings.raise_if_any()
    _refuse_others(document, ("event",), "maintenance has", place)
    event = document.get("event")
    if event not in MAINTENANCE_EVENTS:
        (place / "event").fault(f"{shown(event)} is none of {', '.join(MAINTENANCE_EVENTS)}")
    findings.raise_if_any()
    return {"maintenance_event": event}


NO_MAINTENANCE: Patch = {"maintenance_event": None}
"""The change that ends what `read_maintenance` announced."""


def registering(metadata: Mapping[str, Any]) -> Patch:
    """The change that registering this document makes: what it says itself stands."""
    said = {key: None for key in _AGENT_KEYS if key in metadata}
    return {"agent": said} if said else _NO_CHANGE


_NO_CHANGE: Patch = MappingProxyType({})


def patched(status: Status, patch: Patch) -> Status:
    """`status` after `patch`."""
    merged = _merged(status, patch)
    return {key: value for key, value in merged.items() if value != {}}


def encode(status: Status) -> bytes | None:
    """The status as it is stored; None where there is nothing to store."""
    return jsontext.encode(status) if status else None


def decode(data: bytes | None) -> Status:
    """The status that `encode` wrote."""
    return NO_STATUS if data is None else jsontext.decode_trusted(data)


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _refuse_others(document: Any, known: tuple[str, ...], who: str, place: Place) -> None:
    for key in document:
        if key not in known:
            (place / key).fault(f"unknown key; {who} {' and '.join(known)}")
