"""What a client demands of an answer, checked strictly. Pure: bytes in, complaints out."""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

from tests.clients.recordings import Exchange, schema

Document = Mapping[str, Any]

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came: header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def complaints(exchange: Exchange, reply: Reply, document: Document) -> list[str]:
    """What the client does not take of a reply, where `document` is the droplet's own."""
    wanted = next((exchange.body[k] for k in _VALUES if k in exchange.body), None)
    value = _MISSING if wanted is None else at(document, wanted)
    if wanted is not None and value in (_MISSING, None) and exchange.absent is not None:
        found = _absent(exchange, reply)
    elif reply.status not in exchange.status:
        found = [f"status {reply.status}, not {exchange.status}"]
    else:
        found = [*_framing(reply), *_body(exchange.body, reply, value, document)]
    return [f"{exchange.method} {exchange.path}: {complaint}" for complaint in found]


def at(document: Document, pointer: str) -> Any:
    """The value at a JSON pointer; a mark of its own where there is none."""
    value: Any = document
    for token in pointer.split("/")[1:]:
        try:
            value = value[int(token) if isinstance(value, list) else token]
        except (KeyError, IndexError, TypeError, ValueError):
            return _MISSING
    return value


def _absent(exchange: Exchange, reply: Reply) -> list[str]:
    absent = exchange.absent
    assert absent is not None
    if reply.status not in absent.status:
        return [f"status {reply.status} for what there is not, not {absent.status}"]
    if reply.status == 200 and absent.text is not None and reply.body != absent.text.encode():
        return [f"{reply.body!r} for what there is not, not {absent.text!r}"]
    return []


def _framing(reply: Reply) -> Iterator[str]:
    """The small parsers know nothing but a length."""
    if "transfer-encoding" in reply.headers:
        yield "the body is chunked"
    if "content-encoding" in reply.headers:
        yield "the body is encoded"
    if reply.status != 204 and "content-length" not in reply.headers:
        yield "no Content-Length"


def _body(demand: Document, reply: Reply, value: Any, document: Document) -> Iterator[str]:
    match demand:
        case {"text_of": _}:
            yield from _differs(reply.body, as_text(value).encode())
        case {"number_of": _}:
            # fmt.Fscanf("%d") and strconv: digits and nothing else.
            if not re.fullmatch(rb"[0-9]+", reply.body) or int(reply.body) != value:
                yield f"{reply.body!r} is not the number {value}"
        case {"lines_of": _}:
            entries = () if value in (None, _MISSING) else value
            yield from _differs(reply.body, "\n".join(entries).encode())
        case {"schema": name}:
            yield from _document(demand, name, reply, document)


def _document(demand: Document, name: str, reply: Reply, document: Document) -> Iterator[str]:
    if reply.headers.get("content-type") != "application/json":
        yield f"Content-Type {reply.headers.get('content-type')}"
    try:
        parsed = json.loads(reply.body)
    except ValueError as error:
        yield f"no JSON: {error}"
        return
    for fault in _validator(name).iter_errors(parsed):
        yield f"{fault.json_path}: {fault.message}"
    for pointer in demand["same"]:
        value = at(document, pointer)
        if value is not _MISSING and at(parsed, pointer) != value:
            yield f"{pointer} is {at(parsed, pointer)!r}, not {value!r}"
    for pointer, value in demand.get("eventually", {}).items():
        if at(parsed, pointer) != value:
            yield f"{pointer} is not {value!r} yet"


def as_text(value: Any) -> str:
    """A value as a leaf of the tree has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _differs(body: bytes, wanted: bytes) -> list[str]:
    return [] if body == wanted else [f"{body[:200]!r} is not {wanted[:200]!r}"]


def _validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(schema(name), format_checker=_FORMATS)


_VALUES = ("text_of", "number_of", "lines_of")


def _is_netmask(text: str) -> bool:
    """Dotted, its ones on the left."""
    return text.count(".") == 3 and bool(ipaddress.IPv4Network(f"0.0.0.0/{text}"))


def _is_mac(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", text))


def _is_authorized_key(text: str) -> bool:
    return bool(re.fullmatch(r"\S+ [A-Za-z0-9+/.]+=*( \S.*)?", text))


def _is_dotty_key(text: str) -> bool:
    """droplet-agent's: JSON in a string; the key on one line, its time to live positive."""
    key = json.loads(text)
    return key["ttl"] > 0 and "\n" not in key["ssh_key"] and "%0A" not in key["ssh_key"]


def _formats() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(("ipv4", "ipv6"))
    own = {
        "netmask": _is_netmask,
        "mac": _is_mac,
        "authorized-key": _is_authorized_key,
        "dotty-key": _is_dotty_key,
    }
    for name, holds in own.items():
        # A format is about strings; the type is the schema's to name.
        checker.checks(name, (KeyError, TypeError, ValueError))(
            lambda value, holds=holds: not isinstance(value, str) or holds(value)
        )
    return checker


_FORMATS = _formats()
