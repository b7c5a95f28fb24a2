"""Faults of a document: where they are and what is wrong. No rule about any document lives here.

Strategy: a check never raises at the first fault. It is handed a `Place` (a JSON pointer into
the document and the list all faults go to), reports there and goes on with what it can.
Whoever began the check raises one `InvalidDocument` with all of them at the end.

Reasons are shown to people and end up in logs: name addresses and names, never secrets
(user data, keys, tokens).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

MAX_FAULTS = 100
"""Faults kept of one document; what is beyond is only counted, so that answers stay bounded."""

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: an RFC 6901 pointer into the document, and the reason.

    `element` is the 0-based index of the document in a batch and `line` its 1-based line where
    the batch had lines; both None outside a batch.
    """

    pointer: str
    reason: str
    element: int | None = None
    line: int | None = None


class InvalidDocument(Exception):
    """The sender's fault: a document with these faults cannot be accepted."""

    def __init__(self, faults: Sequence[Fault], *, omitted: int = 0) -> None:
        self.faults = tuple(faults)
        self.omitted = omitted
        super().__init__("; ".join(f"{f.pointer or '(document)'}: {f.reason}" for f in self.faults))


@dataclass(slots=True)
class Findings:
    """All faults found so far, at most `MAX_FAULTS` of them kept."""

    faults: list[Fault] = field(default_factory=list)
    omitted: int = 0

    def add(self, fault: Fault) -> None:
        """Keep `fault`, or count it where the list is full."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
        else:
            self.omitted += 1

    def add_invalid(self, error: InvalidDocument, *, element: int, line: int | None) -> None:
        """Take over the faults of one document of a batch, marked with its place in it."""
        for fault in error.faults:
            self.add(replace(fault, element=element, line=line))
        self.omitted += error.omitted

    def raise_if_any(self) -> None:
        """Raise `InvalidDocument` with what was found; do nothing where all is well."""
        if self.faults:
            raise InvalidDocument(self.faults, omitted=self.omitted)


class Place:
    """A value's place in the document that is being checked.

    Every value gets one and hardly any is ever told, so the pointer is put together when it is.
    """

    __slots__ = ("_key", "_parent", "findings")

    def __init__(
        self, findings: Findings, parent: "Place | None" = None, key: str | int = ""
    ) -> None:
        self.findings = findings
        self._parent = parent
        self._key = key

    @property
    def pointer(self) -> str:
        """The JSON pointer (RFC 6901)."""
        if self._parent is None:
            return ""
        token = str(self._key).replace("~", "~0").replace("/", "~1")
        return f"{self._parent.pointer}/{token}"

    def __truediv__(self, key: str | int) -> "Place":
        return Place(self.findings, self, key)

    def fault(self, reason: str) -> None:
        """Report that the value here is wrong because of `reason`."""
        self.findings.add(Fault(self.pointer, reason))


def json_type(value: object) -> str:
    """What JSON calls the type of `value`, with its article: `a string`."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "a number"
        case float():
            return "a number with a fraction or exponent"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def shown(value: object) -> str:
    """`value` as JSON, cut to a length that fits in a message. Not for secrets."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
