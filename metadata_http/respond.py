"""The whole HTTP semantics: (who asks, what is asked, the droplet's tree) -> response.

Pure. Errors are responses too, so refusing and answering are one path. Nothing here reads a
clock, a socket or a log; identity was decided before, by the peer address alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from metadata_http.document import TEXT, Node
from metadata_http.identity import Caller, Verdict

# A client behind a proxy in the droplet is an SSRF until proven otherwise. None of these headers
# is ever read for anything else.
FORWARDING_HEADERS = ("x-forwarded-for", "forwarded", "via")
METHODS = ("GET", "HEAD")
RETRY_AFTER = 2  # seconds: the pause between cloud-init's tries


@dataclass(frozen=True, slots=True)
class Request:
    """What the answer may depend on. `path` is percent-decoded, without the query string.

    `headers` are named in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. Its Content-Length is that of GET's body, also where HEAD leaves it out."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status_line(self) -> str:
        """As WSGI wants it: `200 OK`."""
        return f"{self.status.value} {self.status.phrase}"


def respond(caller: Caller, request: Request, tree: Callable[[], Mapping[str, Node]]) -> Response:
    """Answer `request`; `tree` is asked for the caller's own tree only where it is needed."""
    response = _refusal(caller, request)
    if response is None:
        response = _from_tree(tree(), request.path)
    if request.method == "HEAD":
        return Response(response.status, response.headers, b"")
    return response


def _refusal(caller: Caller, request: Request) -> Response | None:
    """Why `request` gets nothing from the tree, or None."""
    if caller.verdict is Verdict.REFUSED:
        return _error(HTTPStatus.FORBIDDEN)
    if any(name in request.headers for name in FORWARDING_HEADERS):
        return _error(HTTPStatus.FORBIDDEN)
    if "transfer-encoding" in request.headers:
        # No client sends a chunked body with GET; with a Content-Length beside it the framing
        # would be in doubt (RFC 9112, 6.1), so the connection ends here.
        return _error(HTTPStatus.BAD_REQUEST, ("Connection", "close"))
    if request.method not in METHODS:
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", ", ".join(METHODS)))
    if caller.verdict is Verdict.WAIT:
        retry = ("Retry-After", str(RETRY_AFTER))
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, retry, ("Connection", "close"))
    if caller.verdict is Verdict.NO_DROPLET:
        return _error(HTTPStatus.NOT_FOUND)
    return None


def _from_tree(tree: Mapping[str, Node], path: str) -> Response:
    node = tree.get(path)
    if node is not None:
        return _response(HTTPStatus.OK, node.body, node.content_type)
    index = tree.get(f"{path}/")
    if index is not None:
        # The listing is the body too: scripts that follow no redirect show it all the same.
        location = ("Location", f"{path}/")
        return _response(HTTPStatus.MOVED_PERMANENTLY, index.body, TEXT, location)
    return _error(HTTPStatus.NOT_FOUND)


def _error(status: HTTPStatus, *headers: tuple[str, str]) -> Response:
    return _response(status, f"{status.value} {status.phrase}".encode(), TEXT, *headers)


def _response(
    status: HTTPStatus, body: bytes, content_type: str, *headers: tuple[str, str]
) -> Response:
    length = ("Content-Length", str(len(body)))
    return Response(status, (("Content-Type", content_type), length, *headers), body)


# For a document that no tree can be made of: a fault of ours or of the registry's, never of the
# droplet's.
FAULT = _error(HTTPStatus.INTERNAL_SERVER_ERROR)
