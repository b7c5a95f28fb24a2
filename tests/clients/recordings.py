"""Exchanges of the clients that cannot be had here, as data: what each asks and what it demands.

A file of `recorded/` is one client, read from its source: its requests in their order with the
headers it sends, for each the statuses it goes on with, and what its parser demands of the body.
`schemas/` are the documents its JSON parser takes. In an exchange's `body`:

- `text_of`, `number_of`, `lines_of` name the value in the droplet's document (RFC 6901) that it
  has to be, as text, as a number in decimal, or one entry a line;
- `schema` names what v1.json is parsed by, `same` the values that have to be the document's, and
  `eventually` the values some writes of the client have brought;
- `any` is free text on why the body does not matter.

`absent` says what the client takes instead where the document has no such value.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).with_name("recorded")


@dataclass(frozen=True, slots=True)
class Absent:
    """What a client takes where a droplet has no such value."""

    status: tuple[int, ...]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and what the client demands of the answer."""

    method: str
    path: str
    headers: Mapping[str, str]
    sends: bytes
    status: tuple[int, ...]
    body: Mapping[str, Any] = field(default_factory=dict)
    absent: Absent | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """A client. `closes`: it has a connection for each request; `writes`: it changes something."""

    name: str
    client: str
    version: str
    source: str
    exchanges: tuple[Exchange, ...]
    closes: bool
    writes: bool
    note: str

    def __str__(self) -> str:
        return self.name


def recordings() -> list[Recording]:
    """All of them, by name."""
    return [_recording(path) for path in sorted(_FOLDER.glob("*.json"))]


def schema(name: str) -> Mapping[str, Any]:
    """What a client's JSON parser takes, as JSON Schema."""
    return json.loads((_FOLDER / "schemas" / f"{name}.json").read_text())


def _recording(path: Path) -> Recording:
    data = json.loads(path.read_text())
    return Recording(
        name=path.stem,
        client=data["client"],
        version=data["version"],
        source=data["source"],
        exchanges=tuple(_exchange(entry, data["headers"]) for entry in data["exchanges"]),
        closes=data["connection"] == "close",
        writes=data.get("writes", False),
        note=data.get("note", ""),
    )


def _exchange(entry: Mapping[str, Any], headers: Mapping[str, str]) -> Exchange:
    method, path = entry["request"].split(" ")
    absent = entry.get("absent")
    return Exchange(
        method=method,
        path=path,
        headers={**headers, **entry.get("headers", {})},
        # One character a byte: what is no text stands in JSON as well.
        sends=entry.get("sends", "").encode("latin-1"),
        status=tuple(entry["status"]),
        body=entry.get("body", {}),
        absent=Absent(tuple(absent["status"]), absent.get("text")) if absent else None,
    )
