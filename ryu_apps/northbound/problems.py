"""Refusals of a request: one exception that knows its status and renders itself (RFC 9457).

Refusing is the same path as answering: whoever finds the reason raises `Problem`.
"""

from http import HTTPStatus
from typing import Any

import webob

from ryu_apps.northbound.answers import json_answer
from ryu_apps.registry import jsontext
from ryu_apps.registry.faults import Fault, InvalidDocument
from ryu_apps.store.interface import BrokenOff, PortNamesTaken


class Problem(Exception):
    """The request cannot be served; `detail` says why and whose fault it is, without secrets."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.extensions = extensions

    def response(self) -> webob.Response:
        """The answer that says so. The type is about:blank: the status says what kind it is."""
        body = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            **self.extensions,
        }
        return json_answer(
            jsontext.encode(body),
            status=self.status,
            content_type="application/problem+json",
            headers=self.headers,
        )


def invalid_document(error: InvalidDocument) -> Problem:
    """400 with every fault of the document."""
    total = len(error.faults) + error.omitted
    detail = f"the document has {total} fault{'s' if total > 1 else ''}"
    if error.omitted:
        detail += f", the first {len(error.faults)} of them listed"
    return Problem(HTTPStatus.BAD_REQUEST, detail, errors=[_fault(f) for f in error.faults])


def port_names_taken(error: PortNamesTaken) -> Problem:
    """409 with every name and the droplet that holds it."""
    errors = [
        {
            "detail": f"{conflict.port_name} belongs to droplet {conflict.holder}",
            "port_name": conflict.port_name,
            "droplet_id": conflict.droplet_id,
            "held_by": conflict.holder,
        }
        for conflict in error.conflicts
    ]
    detail = "; ".join(entry["detail"] for entry in errors[:10])
    return Problem(HTTPStatus.CONFLICT, detail, errors=errors[:100])


def broken_off(error: BrokenOff, cause: Problem) -> Problem:
    """A batch that is stored in part: why no further, and how far."""
    detail = f"{error.stored} droplets of the batch are stored, then: {cause.detail}"
    return Problem(cause.status, detail, **{**cause.extensions, "stored": error.stored})


def bad_parameter(name: str, reason: str) -> Problem:
    """400 for a query parameter."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        f"query parameter {name}: {reason}",
        errors=[{"detail": reason, "parameter": name}],
    )


def _fault(fault: Fault) -> dict[str, Any]:
    """The fault as in RFC 9457's own example: the pointer as a URI fragment."""
    entry: dict[str, Any] = {"detail": fault.reason, "pointer": "#" + fault.pointer}
    if fault.element is not None:
        entry["element"] = fault.element
    if fault.line is not None:
        entry["line"] = fault.line
    return entry
