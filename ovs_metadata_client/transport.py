"""One call to a controller on urllib3: what is tried again, and what each failure is.

Tried again, at most `retries` times: anything where nobody accepted the connection, since then
nothing was sent; what broke off or was answered 503, if doing it twice does no more than once: a
registry that had no quorum for a moment may have done it all the same. Waits are as long as the
controller's Retry-After says, up to LONGEST_WAIT (beyond it the refusal is raised at once), or grow
from BACKOFF; all have some chance in them, so that clients who were refused together do not come
back together.
"""

import json
import random
import ssl
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Self

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Retry, Timeout

from ovs_metadata_client.errors import KINDS, NotAController, Refused, Trouble, Unreachable
from ovs_metadata_client.tls import Tls

PROBLEM = "application/problem+json"

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
LONGEST_WAIT = 10
BACKOFF = 0.1
JITTER = 0.2

_CONNECTIONS = 8
"""Kept open: several threads, or a watch stream and calls beside it."""

_CONDITIONS = frozenset({"If-Match", "If-None-Match"})


class Again(Retry):
    """urllib3's Retry with some chance in the wait that the controller names, and no waiting at
    all where it names a long one."""

    RETRY_AFTER_STATUS_CODES = frozenset({503})
    """Not 413, which is refused again however long one waits."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Self:
        """As urllib3 has it. MaxRetryError makes it hand on the answer that it has."""
        if response is not None and (retry_after(response) or 0) > LONGEST_WAIT:
            raise MaxRetryError(_pool, url or "", error)
        return super().increment(method, url, response, error, _pool, _stacktrace)

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        """Seconds, with some chance in them."""
        seconds = retry_after(response)
        return None if seconds is None else seconds + random.uniform(0, JITTER)


class Transport:
    """Connections to one controller. May be shared by threads."""

    def __init__(
        self, url: str, token: str | None, retries: int, timeout: float, tls: Tls | None
    ) -> None:
        """Raises `BadTlsFile` for an https URL."""
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._retries = retries
        https: dict[str, Any] = {}
        if self.url.startswith("https:"):
            https["ssl_context"] = (tls or Tls()).context()
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS,
            timeout=Timeout(min(CONNECT_SECONDS, timeout), timeout),
            **https,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """One call; returns an answer of the 2xx kind.

        A body in pieces is sent as they come and must give them anew where it is tried again. With
        `silence` the answer is a stream, still to be read, broken once nothing came for so
        many seconds. Raises Unreachable, NotAController, Refused.
        """
        fields = {k: str(v) for k, v in (query or {}).items() if v is not None}
        words = {"Content-Type": content_type} if content_type else {}
        said = {**self._headers, **words, **(headers or {})}
        answer = self.ask(method, path, said, self._again(said), fields, body, silence)
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(answer)
        return answer

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        again: Retry | bool = False,
        fields: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        silence: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Whatever is answered. Raises Unreachable."""
        wait: dict[str, Any] = {}
        if silence is not None:
            wait = {"timeout": Timeout(CONNECT_SECONDS, silence), "preload_content": False}
        try:
            return self._pool.request(
                method,
                self.url + path,
                fields=dict(fields) if fields else None,
                headers=dict(headers),
                body=body,
                retries=again,
                **wait,
            )
        except (HTTPError, OSError) as error:
            raise self.unreachable(error) from error

    def pieces(self, answer: urllib3.BaseHTTPResponse, size: int) -> Iterator[bytes]:
        """The body of a stream as it comes; closes it in the end. Raises Unreachable."""
        try:
            yield from answer.stream(size)
        except (HTTPError, OSError) as error:
            raise self.unreachable(error) from error
        finally:
            answer.close()

    def json(self, answer: urllib3.BaseHTTPResponse) -> Any:
        """The answer's body. Raises NotAController."""
        return self.parse(answer.data, answer.status)

    def parse(self, text: bytes, status: int = HTTPStatus.OK) -> Any:
        """JSON that the controller said. Raises NotAController."""
        try:
            return json.loads(text)
        except ValueError as error:
            raise NotAController(self.url, f"HTTP {status}, no JSON: {error}") from error

    def unreachable(self, error: Exception) -> Unreachable:
        """What urllib3's error means."""
        inner = _innermost(error)
        why = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
        return Unreachable(self.url, why, _trouble(error, inner))

    def _again(self, headers: Mapping[str, str]) -> Retry:
        conditional = not _CONDITIONS.isdisjoint(headers)
        return Again(
            total=self._retries,
            # Done the first time, a conditional call would be refused the second.
            read=False if conditional else None,
            status=0 if conditional else None,
            redirect=False,
            # A batch too: repeated, it registers the same once more.
            allowed_methods=("GET", "PUT", "DELETE", "POST"),
            status_forcelist=(HTTPStatus.SERVICE_UNAVAILABLE,),
            backoff_factor=BACKOFF,
            backoff_jitter=JITTER,
            raise_on_status=False,
        )

    def _refusal(self, answer: urllib3.BaseHTTPResponse) -> Exception:
        kind = answer.headers.get("Content-Type", "no content type")
        if kind.partition(";")[0] != PROBLEM:
            return NotAController(self.url, f"HTTP {answer.status}, {kind}")
        told = self.json(answer)
        return KINDS.get(answer.status, Refused)(
            answer.status,
            told.get("title", ""),
            told.get("detail", ""),
            told.get("errors", ()),
            retry_after=retry_after(answer),
            repeated=_was_sent_before(answer),
        )


def retry_after(answer: urllib3.BaseHTTPResponse) -> float | None:
    """The seconds of the answer's Retry-After; None without one that can be read."""
    try:
        return Retry().get_retry_after(answer)
    except InvalidHeader:
        return None


def _was_sent_before(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether an earlier try may have been carried out: it broke off, or was answered 503."""
    history = answer.retries.history if answer.retries is not None else ()
    never_sent = (NewConnectionError, ConnectTimeoutError)
    return any(not isinstance(each.error, never_sent) for each in history)


def _innermost(error: BaseException) -> BaseException:
    """The innermost error that says something: urllib3 wraps the kernel's several times."""
    while True:
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = error.__cause__
        if inner is None:
            inner = next((each for each in error.args if isinstance(each, OSError)), None)
        if inner is None:
            return error
        error = inner


def _trouble(error: BaseException, inner: BaseException) -> Trouble:
    """The kind of failure, from urllib3's error and the one at its root."""
    reason = getattr(error, "reason", None)
    outer = reason if isinstance(reason, BaseException) else error
    match inner:
        case ConnectionRefusedError():
            return Trouble.REFUSED
        case TimeoutError():
            return Trouble.NO_ANSWER
        case ssl.SSLCertVerificationError():
            return Trouble.UNTRUSTED
        case ssl.SSLEOFError() | ConnectionError():
            return Trouble.BROKEN
        case ssl.SSLError():
            return _tls_trouble(inner)
    match outer:
        case NameResolutionError():
            return Trouble.NAME
        case NewConnectionError():  # One of the kinds of the next, to urllib3.
            return Trouble.OTHER
        case ConnectTimeoutError() | ReadTimeoutError():
            return Trouble.NO_ANSWER
        case ProtocolError() | SSLError():
            return Trouble.BROKEN
    return Trouble.OTHER


def _tls_trouble(error: ssl.SSLError) -> Trouble:
    words = f"{error.reason} {error}".upper()
    if "WRONG_VERSION_NUMBER" in words or "RECORD_LAYER_FAILURE" in words:
        return Trouble.NO_TLS
    if ("ALERT" in words and "CERTIFICATE" in words) or "ALERT_UNKNOWN_CA" in words:
        return Trouble.CLIENT_CERTIFICATE
    return Trouble.OTHER
