"""Whether a droplet's request is answered at all: its metadata options and its session token.

Pure. The rules and names are EC2's (IMDSv2), with names of our own beside them. What a token is
made of is `session_tokens`'; here one is valid or not.

Source: Amazon EC2 user guide, "Use the Instance Metadata Service", "How Instance Metadata Service
Version 2 works".
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

TOKEN_HEADERS = ("x-metadata-token", "x-aws-ec2-metadata-token")
TTL_HEADERS = ("x-metadata-token-ttl-seconds", "x-aws-ec2-metadata-token-ttl-seconds")
LONGEST_TTL = 21600  # seconds

_TTL = re.compile(r"0*([1-9][0-9]{0,4})")
_TOKENS = {"optional": False, "required": True}
_ENDPOINT = {"enabled": True, "disabled": False}


@dataclass(frozen=True, slots=True)
class Options:
    """One droplet's metadata options, as far as they are the server's to keep."""

    token_required: bool = False
    endpoint_enabled: bool = True


DEFAULTS = Options()


def options(given: Any) -> Options:
    """The options that the controller tells; None stands for the defaults.

    Raises ValueError for what is not understood: guessing could open what was closed.
    """
    if given is None:
        return DEFAULTS
    if not isinstance(given, Mapping):
        raise ValueError("is no object")
    return Options(
        _one_of(_TOKENS, given, "http_tokens", "optional"),
        _one_of(_ENDPOINT, given, "http_endpoint", "enabled"),
    )


def told(options: Options) -> dict[str, str]:
    """The inverse of `options`."""
    return {
        "http_tokens": _name(_TOKENS, options.token_required),
        "http_endpoint": _name(_ENDPOINT, options.endpoint_enabled),
    }


def _name(choices: Mapping[str, bool], value: bool) -> str:
    return next(name for name, meant in choices.items() if meant == value)


def _one_of(choices: Mapping[str, bool], given: Mapping[str, Any], name: str, default: str) -> bool:
    value = given.get(name)
    value = default if value is None else value
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} is none of {', '.join(choices)}")
    return choices[value]


class Sessions(Protocol):
    """Makes session tokens and knows them again. `binding` is a `Caller.binding`."""

    def issue(self, binding: Hashable, ttl: int) -> str | None:
        """A token for `ttl` seconds; None where none can be made now."""

    def opens(self, token: str, binding: Hashable) -> bool:
        """Whether `token` was issued to this binding and is still good."""


class NoSessions:
    """Issues nothing, and so knows no token."""

    def issue(self, binding: Hashable, ttl: int) -> str | None:
        """None."""
        return None

    def opens(self, token: str, binding: Hashable) -> bool:
        """False."""
        return False


def has_token(headers: Mapping[str, str]) -> bool:
    """Whether a request carries a session token, whatever it is worth."""
    return any(name in headers for name in TOKEN_HEADERS)


def admits(
    options: Options, headers: Mapping[str, str], binding: Hashable, sessions: Sessions
) -> bool:
    """Whether a request with these headers may be answered.

    A token that is presented must be good, also where none is asked for: as EC2 does, so that a
    client learns of a token that died at its next request, whatever the options.
    """
    presented = [headers[name] for name in TOKEN_HEADERS if name in headers]
    if not presented:
        return not options.token_required
    return all(sessions.opens(token, binding) for token in presented)


def asked_ttl(headers: Mapping[str, str]) -> int | None:
    """The life in seconds that is asked for a new token; None if none of 1 to `LONGEST_TTL` is.

    Two names that do not say the same ask for nothing.
    """
    asked = {headers[name] for name in TTL_HEADERS if name in headers}
    found = _TTL.fullmatch(asked.pop()) if len(asked) == 1 else None
    if found is None or int(found[1]) > LONGEST_TTL:
        return None
    return int(found[1])
