"""What a call is handed: the request, who asks, and the things there is one of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import webob

from ryu_apps.northbound.problems import bad_parameter
from ryu_apps.northbound.registry import Registry
from ryu_apps.northbound.tokens import Caller
from ryu_apps.northbound.watch import Switchboard, Watchers
from ryu_apps.registry.search import MAX_TEXT, needle

if TYPE_CHECKING:
    from ryu_apps.northbound.audit import Trail
    from ryu_apps.northbound.metrics import Metrics


MAX_REVISION = 2**63 - 1
"""The greatest revision there can be: they are the registry's 64-bit integers."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the interface. Sizes in bytes, times in seconds."""

    document: int = 512 << 10
    """One droplet: 64 KiB of user data fit however they are escaped; etcd's bound is 1.5 MiB."""
    batch: int = 64 << 20
    batch_droplets: int = 100_000
    body_seconds: float = 60
    batch_seconds: float = 600
    page: int = 1000
    page_bytes: int = 8 << 20
    watchers: int = 2000
    watchers_per_switch: int = 64
    batches: int = 4
    """At a time; each holds the documents that were read of it until the last is."""


class Places:
    """How many calls of a kind may be under way at a time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def begin(self) -> bool:
        """Begin one; False where there are as many as there may be."""
        if self.taken >= self.limit:
            return False
        self.taken += 1
        return True

    def end(self) -> None:
        """One is over, however it ended."""
        self.taken -= 1


@dataclass(frozen=True, slots=True)
class Context:
    """The things there is one of."""

    registry: Registry
    switchboard: Switchboard
    watchers: Watchers
    metrics: "Metrics"
    limits: Limits
    ready: Callable[[], Iterable[str]]
    batches: Places
    backups: Places = field(default_factory=lambda: Places(1))


@dataclass(frozen=True, slots=True)
class Call:
    """One request, routed. `path` holds the values of the path's segments."""

    request: webob.Request
    path: dict[str, str]
    caller: Caller | None
    context: Context
    trail: "Trail"

    def parameters(self, *known: str) -> dict[str, str]:
        """The query parameters. Raises `Problem` 400 for an unknown or repeated one."""
        given: dict[str, str] = {}
        try:
            items = list(self.request.GET.items())
        except UnicodeDecodeError:
            raise bad_parameter("(some)", "is not UTF-8") from None
        for name, value in items:
            if name not in known:
                raise bad_parameter(name, f"is not known here; there is {', '.join(known)}")
            if name in given:
                raise bad_parameter(name, "is given twice")
            given[name] = value
        return given


def whole_number(parameters: dict[str, str], name: str, default: int, bounds: range) -> int:
    """The number a query parameter gives. Raises `Problem` 400 where it is none in `bounds`."""
    text = parameters.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) in bounds):
        raise bad_parameter(name, f"must be a number from {bounds.start} to {bounds.stop - 1}")
    return int(text)


def flag(parameters: dict[str, str], name: str) -> bool:
    """Whether a query parameter is true; absent it is not. Raises `Problem` 400."""
    value = parameters.get(name, "false")
    if value not in ("true", "false"):
        raise bad_parameter(name, "must be true or false")
    return value == "true"


def asked_text(given: dict[str, str]) -> str | None:
    """The text in `q` as it is looked for; None where none is. Raises `Problem` 400."""
    text = needle(given.get("q", ""))
    if len(text) > MAX_TEXT:
        raise bad_parameter("q", f"must have at most {MAX_TEXT} characters")
    return text or None
