"""The web page's files, as they are: no token, no templates, nothing of a caller's in them.

All of them are read once, at the start, and found by their names alone, so that no path leads
anywhere else. What the page shows it asks for with the token its user gave it (docs/web-page.md).
"""

from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from importlib import resources

import webob

from ryu_apps.northbound.context import Call
from ryu_apps.northbound.problems import Problem

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""What the page may do: read its own files and ask its own server, and nothing else."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept, and asked for each time whether it is still the one: an upgrade shows at once.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    content_type: str
    body: bytes
    tag: str


def _read() -> dict[str, _File]:
    files = {}
    for entry in resources.files("ryu_apps.northbound").joinpath("page").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in _TYPES:
            body = entry.read_bytes()
            files[entry.name] = _File(_TYPES[suffix], body, sha256(body).hexdigest()[:32])
    return files


FILES = _read()


def index(call: Call) -> webob.Response:
    """GET /: the page."""
    return _answer(call, FILES["index.html"])


def file(call: Call) -> webob.Response:
    """GET /page/{file}: a part of it."""
    found = FILES.get(call.path["file"])
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "there is nothing at this path")
    return _answer(call, found)


def _answer(call: Call, found: _File) -> webob.Response:
    answer = webob.Response(body=found.body)
    answer.headers["Content-Type"] = found.content_type
    answer.headers.update(_HEADERS)
    answer.etag = found.tag
    if found.tag in call.request.if_none_match:
        answer.status_int = int(HTTPStatus.NOT_MODIFIED)
        answer.body = b""
        del answer.headers["Content-Type"]
    return answer
