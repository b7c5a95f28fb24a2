"""What droplet-agent may say about its droplet: the body of PATCH /metadata/v1.json.

Pure. Of that body only `dotty_status` and `ssh_info` are taken; all else in it changes nothing,
for a droplet must not write its own metadata.

Source: digitalocean/droplet-agent, internal/metadata and .../updater/updater.go.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

KEYS = ("dotty_status", "ssh_info")
_MEDIA_TYPE = "application/json"
# installed, running, stopped; agents to come may know more.
_STATUS = re.compile(r"[A-Za-z0-9._-]{1,32}")
_MOST_HOST_KEYS = 16
_LONGEST_HOST_KEY = 1024


class BadReport(ValueError):
    """The body is no report; the text says why without repeating it."""


def is_json(content_type: str) -> bool:
    """Whether `content_type` is JSON in UTF-8, the only encoding JSON has."""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [each.partition("=")[2].strip('"') for each in parameters if "charset" in each]
    return media_type == _MEDIA_TYPE and set(charsets) <= {"utf-8", "utf8"}


def report(body: bytes) -> dict[str, Any]:
    """What the agent reports: `dotty_status`, `ssh_info`, both or none. Raises BadReport."""
    try:
        whole = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as fault:
        raise BadReport("no JSON in UTF-8") from fault
    if not isinstance(whole, dict):
        raise BadReport("no JSON object")
    # The agent leaves out what it does not know (Go's omitempty), so null says nothing.
    given = {key: whole[key] for key in KEYS if whole.get(key) is not None}
    if "dotty_status" in given and not _is_status(given["dotty_status"]):
        raise BadReport("dotty_status is no word of 1 to 32 letters, digits, '.', '-', '_'")
    if "ssh_info" in given:
        given["ssh_info"] = _ssh_info(given["ssh_info"])
    return given


def _is_status(value: Any) -> bool:
    return isinstance(value, str) and _STATUS.fullmatch(value) is not None


def _ssh_info(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadReport("ssh_info is no object")
    port = value.get("port")
    if type(port) is not int or not 0 < port < 65536:
        raise BadReport("ssh_info.port is no TCP port")
    kept: dict[str, Any] = {"port": port}
    if value.get("host_keys") is not None:
        kept["host_keys"] = _host_keys(value["host_keys"])
    return kept


def _host_keys(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > _MOST_HOST_KEYS:
        raise BadReport(f"ssh_info.host_keys is no array of at most {_MOST_HOST_KEYS}")
    for key in value:
        if not isinstance(key, str) or len(key) > _LONGEST_HOST_KEY or not key.isprintable():
            raise BadReport("ssh_info.host_keys has an entry that is no key on one line")
    return value


def says_nothing_new(reported: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether merging `reported` (RFC 7396) into `document` would leave it as it is."""
    for key, value in reported.items():
        known = document.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            if any(known.get(name) != inner for name, inner in value.items()):
                return False
        elif known != value:
            return False
    return True
