"""The whole HTTP semantics: (who asks, what is asked, its trees, its sessions) -> response.

Pure. Errors are responses too, so refusing and answering are one path. Nothing here reads a
clock, a socket or a log; identity was decided before, by the peer address alone. Requests that
need more than the trees (a body, waiting) are told apart here and carried out elsewhere.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from math import ceil
from urllib.parse import quote

from metadata_http import access, ec2, formats
from metadata_http.access import NoSessions, Sessions
from metadata_http.conditional import etag, none_match
from metadata_http.document import TEXT, Node
from metadata_http.identity import Caller, Verdict

# A client behind a proxy in the droplet is an SSRF until proven otherwise. None of these headers
# is ever read for anything else.
FORWARDING_HEADERS = ("x-forwarded-for", "forwarded", "via")
METHODS = ("GET", "HEAD")
RETRY_AFTER = 2  # seconds: the pause between cloud-init's tries
REPORT_PATH = "/metadata/v1.json"
TOKEN_PATH = "/metadata/v1/token"
# RFC 9112, 3.2: one, and of this form. Without the comma that a name may have: it is what servers
# join the values of several lines by.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(:[0-9]*)?")
_CLOSE = ("Connection", "close")
# Services beside the metadata API at the same address (do-agent, droplet-agent): not offered.
_NO_SERVICES = ("/v1/appkey/", "/v1/metrics/", "/v1/sre-agents/")


@dataclass(frozen=True, slots=True)
class Request:
    """What the answer may depend on. `path` is percent-decoded, without the query string.

    `headers` are named in lower case; `version` is as the server names it, `HTTP/1.1`.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""
    version: str = ""


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

    @property
    def etag(self) -> str | None:
        """The entity tag of the node that was asked for, if there is such a node."""
        return next((value for name, value in self.headers if name == "ETag"), None)


# Format -> its tree, for those formats the droplet is served in.
Trees = Mapping[str, Callable[[], Mapping[str, Node]]]


NO_SESSIONS = NoSessions()


def respond(
    caller: Caller, request: Request, trees: Trees, sessions: Sessions = NO_SESSIONS
) -> Response:
    """Answer `request`; a tree is asked for only where it is needed."""
    response = _refusal(caller, request, trees, sessions)
    if response is None and request.method == "PUT":
        response = _session(caller, request, sessions)
    elif response is None:
        response = _from_trees(trees, request)
    return replace(response, body=b"") if request.method == "HEAD" else response


def is_report(
    caller: Caller, request: Request, trees: Trees, sessions: Sessions = NO_SESSIONS
) -> bool:
    """Whether this is a droplet's report about itself, whose body must be read (`reports`)."""
    return request.method == "PATCH" and _refusal(caller, request, trees, sessions) is None


def lacks_token(caller: Caller, request: Request, trees: Trees) -> bool:
    """Whether `request` is answered, but would be refused if its droplet required a token."""
    return (
        caller.droplet is not None
        and not caller.droplet.options.token_required
        and not access.has_token(request.headers)
        and not _asks_session(request)
        and _refusal_of_any(caller, request, trees) is None
    )


def _refusal(caller: Caller, request: Request, trees: Trees, sessions: Sessions) -> Response | None:
    """Why `request` gets nothing, or None."""
    refusal = _refusal_of_any(caller, request, trees)
    if refusal is not None:
        return refusal
    options = access.DEFAULTS if caller.droplet is None else caller.droplet.options
    # A new token needs no old one: a client whose token died has no other way.
    if not _asks_session(request) and not access.admits(
        options, request.headers, caller.binding, sessions
    ):
        return plain(HTTPStatus.UNAUTHORIZED)
    if caller.verdict is Verdict.NO_DROPLET or request.path.startswith(_NO_SERVICES):
        return plain(HTTPStatus.NOT_FOUND)
    return None


def _refusal_of_any(caller: Caller, request: Request, trees: Trees) -> Response | None:
    """Why `request` gets nothing, with a token or without, or None."""
    end = (_CLOSE,) if _is_doubtful(request) else ()
    if caller.verdict is Verdict.REFUSED:
        return plain(HTTPStatus.FORBIDDEN, *end)
    if caller.droplet is not None and not caller.droplet.options.endpoint_enabled:
        return plain(HTTPStatus.FORBIDDEN, *end)
    if any(name in request.headers for name in FORWARDING_HEADERS):
        return plain(HTTPStatus.FORBIDDEN, *end)
    if end and request.method != "CONNECT":
        return plain(HTTPStatus.BAD_REQUEST, *end)
    allowed = _allowed(request.path, trees)
    service = request.path.startswith(_NO_SERVICES)
    if end or not (service or request.method in allowed):
        return plain(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", ", ".join(allowed)), *end)
    if caller.verdict is Verdict.WAIT:
        return unavailable()
    return None


def _is_doubtful(request: Request) -> bool:
    """Whether the head leaves it open where this request ends, or whom and what it asks.

    The answer to such a one is the last on its connection.
    """
    if "transfer-encoding" in request.headers:
        # No client sends a chunked body; with a Content-Length beside it the framing would be in
        # doubt (RFC 9112, 6.1).
        return True
    if request.method == "CONNECT":
        return True  # what follows might be meant for the tunnel
    if request.method != "OPTIONS" and not request.path.startswith("/"):
        return True  # "*" and authority-form are for OPTIONS and CONNECT
    host = request.headers.get("host", "")
    return not is_host(host) and bool(host or request.version == "HTTP/1.1")


def is_host(value: str) -> bool:
    """Whether this is the value of one Host header, naming somebody."""
    return _HOST.fullmatch(value) is not None


def _allowed(path: str, trees: Trees) -> tuple[str, ...]:
    if path == REPORT_PATH and (not trees or formats.DIGITALOCEAN in trees):
        return (*METHODS, "PATCH")
    if path == TOKEN_PATH and (not trees or formats.DIGITALOCEAN in trees):
        return ("PUT",)
    if path == ec2.TOKEN_PATH and formats.EC2 in trees:
        return ("PUT",)
    return METHODS


def _asks_session(request: Request) -> bool:
    return request.method == "PUT" and request.path in (TOKEN_PATH, ec2.TOKEN_PATH)


def _from_trees(trees: Trees, request: Request) -> Response:
    name, path = formats.locate(request.path)
    tree = trees[name]() if name in trees else {}
    node = tree.get(path)
    if node is not None:
        tag = etag(node.body)
        condition = request.headers.get("if-none-match")
        if condition is not None and none_match(condition, tag):
            return Response(HTTPStatus.NOT_MODIFIED, (("ETag", tag),), b"")
        return _response(HTTPStatus.OK, node.body, node.content_type, ("ETag", tag))
    index = tree.get(f"{path}/")
    if index is not None:
        # The listing is the body too: scripts that follow no redirect show it all the same. The
        # query goes along, or who waits for a change would be answered at once for ever.
        query = f"?{quote(request.query, safe='=&%+,:;/?~')}" if request.query else ""
        location = ("Location", f"{path}/{query}")
        return _response(HTTPStatus.MOVED_PERMANENTLY, index.body, TEXT, location)
    return plain(HTTPStatus.NOT_FOUND)


def _session(caller: Caller, request: Request, sessions: Sessions) -> Response:
    ttl = access.asked_ttl(request.headers)
    if ttl is None:
        return plain(HTTPStatus.BAD_REQUEST)
    token = sessions.issue(caller.binding, ttl)
    if token is None:
        return unavailable()
    # By the names that it was asked by.
    life = [(name, str(ttl)) for name in access.TTL_HEADERS if name in request.headers]
    return _response(HTTPStatus.OK, token.encode("ascii"), TEXT, *life)


def unavailable(retry_after: int = RETRY_AFTER) -> Response:
    """503: not now; the connection is freed meanwhile."""
    retry = ("Retry-After", str(retry_after))
    return plain(HTTPStatus.SERVICE_UNAVAILABLE, retry, _CLOSE)


def over_quota(seconds: float) -> Response:
    """429: too often. The next try costs a connection, which costs its packets."""
    retry = ("Retry-After", str(max(1, ceil(seconds))))
    return plain(HTTPStatus.TOO_MANY_REQUESTS, retry, ("Connection", "close"))


def plain(status: HTTPStatus, *headers: tuple[str, str]) -> Response:
    """An answer that says no more than its status."""
    return _response(status, f"{status.value} {status.phrase}".encode(), TEXT, *headers)


def _response(
    status: HTTPStatus, body: bytes, content_type: str, *headers: tuple[str, str]
) -> Response:
    length = ("Content-Length", str(len(body)))
    return Response(status, (("Content-Type", content_type), length, *headers), body)


# For a document that no tree can be made of: a fault of ours or of the registry's, never of the
# droplet's.
FAULT = plain(HTTPStatus.INTERNAL_SERVER_ERROR)
