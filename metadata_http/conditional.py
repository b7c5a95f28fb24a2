"""Entity tags, conditional requests and change notices: what a client knows and waits for.

Pure. The notice is GCE's convention: `?wait_for_change=true&last_etag=E&timeout_sec=N` on any
node. Who waits, how many and for how long is `waits`'s.

Sources: RFC 9110, 8.8.3 (ETag), 13.1.2 (If-None-Match); Compute Engine's "Query VM metadata".
"""

import hashlib
import math
import re
from dataclasses import dataclass
from urllib.parse import parse_qs

_TAG = re.compile(r'(?:W/)?("[^"]*")')
_DIGEST = 16  # bytes


class BadWish(ValueError):
    """The query asks to wait in a way that cannot be meant; the text says which."""


@dataclass(frozen=True, slots=True)
class Wish:
    """To be answered once the value is another than that of `last_etag` (None: than now).

    `timeout` is in seconds; None leaves it to the server.
    """

    last_etag: str | None
    timeout: float | None


def etag(body: bytes) -> str:
    """The strong entity tag of a body, with its quotes: equal where, and only where, bodies are."""
    return f'"{hashlib.blake2b(body, digest_size=_DIGEST).hexdigest()}"'


def none_match(condition: str, tag: str) -> bool:
    """Whether `If-None-Match: condition` is false for a node that exists and has `tag`: 304.

    Tags are compared weakly, `*` stands for any.
    """
    return condition.strip() == "*" or tag in _TAG.findall(condition)


def wish(query: str) -> Wish | None:
    """What `query` wants to wait for; None if it does not want to wait. Raises BadWish."""
    if "wait_for_change" not in query:
        return None
    try:
        given = parse_qs(query, keep_blank_values=True, max_num_fields=64)
    except ValueError as fault:
        raise BadWish(str(fault)) from fault
    if given.get("wait_for_change", [""])[-1].lower() != "true":
        return None
    last = given.get("last_etag", [""])[-1]
    return Wish(_with_quotes(last) if last else None, _seconds(given))


def _with_quotes(tag: str) -> str:
    """As the header has it; a client may leave out the quotes (GCE's own tags have none)."""
    found = _TAG.fullmatch(tag)
    return found[1] if found else f'"{tag}"'


def _seconds(given: dict[str, list[str]]) -> float | None:
    text = given.get("timeout_sec", [""])[-1]
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadWish(f"timeout_sec={text[:40]} is no number of seconds")
    return seconds
