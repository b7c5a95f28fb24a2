"""How the metadata service treats one droplet: `metadata_options` of its document.

Names and values are those of EC2's instance metadata options, which operators and their tools know.

Source: Amazon EC2 API reference, InstanceMetadataOptionsRequest.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from ryu_apps.registry.faults import Place, json_type, shown

MAX_HOP_LIMIT = 64


class HttpTokens(StrEnum):
    """Whether a request must carry a session token."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class HttpEndpoint(StrEnum):
    """Whether the droplet is answered at all."""

    ENABLED = "enabled"
    DISABLED = "disabled"


_Choice = TypeVar("_Choice", HttpTokens, HttpEndpoint)
_KEYS = ("http_tokens", "http_endpoint", "http_put_response_hop_limit")


@dataclass(frozen=True, slots=True)
class MetadataOptions:
    """The options of one droplet; unset ones have their defaults.

    `http_put_response_hop_limit` is the TTL with which replies enter the droplet, 1 to
    `MAX_HOP_LIMIT`; None leaves it as the server's host sent it.
    """

    http_tokens: HttpTokens = HttpTokens.OPTIONAL
    http_endpoint: HttpEndpoint = HttpEndpoint.ENABLED
    http_put_response_hop_limit: int | None = None

    def document(self) -> dict[str, Any]:
        """As JSON values; a hop limit that is not set is left out."""
        document: dict[str, Any] = {
            "http_tokens": self.http_tokens,
            "http_endpoint": self.http_endpoint,
        }
        if self.http_put_response_hop_limit is not None:
            document["http_put_response_hop_limit"] = self.http_put_response_hop_limit
        return document


def read_metadata_options(value: Any, place: Place) -> MetadataOptions | None:
    """The options that `value` gives, None where it gives none; reports every fault."""
    if value is None:
        return None
    if not isinstance(value, dict):
        place.fault(f"must be an object, not {json_type(value)}")
        return None
    for key in value:
        if key not in _KEYS:
            (place / key).fault(f"unknown key; there are {', '.join(_KEYS)}")
    return MetadataOptions(
        _choice(HttpTokens.OPTIONAL, value.get("http_tokens"), place / "http_tokens"),
        _choice(HttpEndpoint.ENABLED, value.get("http_endpoint"), place / "http_endpoint"),
        _hop_limit(value.get("http_put_response_hop_limit"), place / "http_put_response_hop_limit"),
    )


def stored_metadata_options(document: dict[str, Any]) -> MetadataOptions:
    """The options that `MetadataOptions.document` wrote."""
    return MetadataOptions(
        HttpTokens(document["http_tokens"]),
        HttpEndpoint(document["http_endpoint"]),
        document.get("http_put_response_hop_limit"),
    )


def _choice(default: _Choice, value: Any, place: Place) -> _Choice:
    """The value as one of the choices that `default` is one of."""
    if value is None:
        return default
    choices = type(default)
    if isinstance(value, str) and value in list(choices):
        return choices(value)
    place.fault(f"{shown(value)} is none of {', '.join(choices)}")
    return default


def _hop_limit(value: Any, place: Place) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        place.fault(f"must be a whole number, not {shown(value)}")
        return None
    if not 1 <= value <= MAX_HOP_LIMIT:
        place.fault(f"{value} is out of range: 1 to {MAX_HOP_LIMIT}")
        return None
    return value
