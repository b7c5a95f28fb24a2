"""The rules for what droplet-agent reads from a document and reports about itself.

The agent decodes its keys strictly (Go): one of another type and it takes nothing of the whole
document. So what it reads is held to its types here, whoever wrote it.

Source: droplet-agent's internal/metadata, internal/sysaccess and internal/troubleshooting.
"""

import json
import re
from typing import Any

from ryu_apps.registry.checks import check_items, check_line, is_line
from ryu_apps.registry.faults import Place, json_type, shown

DOTTY_STATUSES = ("installed", "running", "stopped")
"""What the agent reports of itself."""

MAX_HOST_KEYS = 16
"""Host keys of one droplet; sshd has four kinds of them."""

MAX_HOST_KEY = 4096
"""Characters of a host key; an RSA key of 16384 bits has some 2800."""

_RFC3339 = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?"
    r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


def check_dotty_status(value: Any, place: Place) -> None:
    """Report where `value` is nothing the agent says of itself."""
    if value not in DOTTY_STATUSES:
        place.fault(f"{shown(value)} is none of {', '.join(DOTTY_STATUSES)}")


def read_ssh_info(value: Any, place: Place) -> Any:
    """How the droplet's sshd is reached: `port`, perhaps `host_keys`, and what else there is."""
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}")
        return value
    if "port" in value:
        _check_port(value["port"], place / "port")
    if value.get("host_keys") is not None:
        _check_host_keys(value["host_keys"], place / "host_keys")
    return value


def _check_port(value: Any, place: Place) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        place.fault(f"must be a number, not {json_type(value)}: droplet-agent fails otherwise")
    elif not 1 <= value <= 65535:
        place.fault(f"{shown(value)} is no TCP port: 1 to 65535")


def _check_host_keys(value: Any, place: Place) -> None:
    if isinstance(value, list) and len(value) > MAX_HOST_KEYS:
        place.fault(f"{len(value)} host keys; a droplet has at most {MAX_HOST_KEYS}")
    else:
        check_items(value, place, _host_key)


def _host_key(value: Any, place: Place) -> Any:
    if isinstance(check_line(value, place), str) and not 1 <= len(value) <= MAX_HOST_KEY:
        place.fault(f"must have 1 to {MAX_HOST_KEY} characters")
    return value


def read_dotty_keys(value: Any, place: Place) -> Any:
    """Keys for a short time; each is a string that is itself JSON."""
    return check_items(value, place, _dotty_key)


def _dotty_key(value: Any, place: Place) -> Any:
    try:
        key = json.loads(value)
    except (TypeError, ValueError, RecursionError):
        key = None
    if not isinstance(key, dict):
        place.fault("must be a string that holds a JSON object: droplet-agent decodes it")
        return value
    ssh_key = key.get("ssh_key", "")
    if not isinstance(ssh_key, str) or not is_line(ssh_key) or "%0a" in ssh_key.lower():
        place.fault("its ssh_key must be one line of text, without %0A: droplet-agent refuses it")
    ttl = key.get("ttl", 1)
    if isinstance(ttl, bool) or not isinstance(ttl, int) or ttl < 1:
        place.fault("its ttl must be a number of seconds above 0: droplet-agent refuses it")
    return value


def read_troubleshooting_agent(value: Any, place: Place) -> Any:
    """What the agent is asked to send of the droplet's logs."""
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}")
        return value
    if "investigation_uuid" in value:
        check_line(value["investigation_uuid"], place / "investigation_uuid")
    triggered = value.get("triggered_at", "2020-01-01T00:00:00Z")
    if not isinstance(triggered, str) or not _RFC3339.fullmatch(triggered):
        (place / "triggered_at").fault("must be a time as in RFC 3339, 2020-01-31T23:59:59Z")
    if value.get("requesting") is not None:
        check_items(value["requesting"], place / "requesting", check_line)
    return value
