"""The controller's REST interface as typed Python calls, on urllib3. Knows no files, no terminal.

Calls that only read are tried again when the connection breaks or the controller says 503; every
call is when nobody accepted the connection, since then nothing was sent.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import Retry, Timeout

from ryu_apps.dropletctl.errors import ClientError, NotAController, Unreachable, refusal
from ryu_apps.dropletctl.tls import Tls
from ryu_apps.dropletctl.wire import (
    BatchCounts,
    Document,
    Page,
    Switch,
    SwitchPorts,
    WatchEvent,
)

JSON = "application/json"
NDJSON = "application/x-ndjson"
PROBLEM = "application/problem+json"

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
SILENCE_SECONDS = 12.0
"""A watch stream has a heartbeat every 3 s; one that is silent for so long is broken."""

BACKUP_SECONDS = 900.0
"""A backup is made and checked before its first byte comes."""

_PAGE = 1000
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered droplet. `etag` names this very state of it; `created` is None after a GET."""

    droplet: Document
    etag: str
    created: bool | None = None


class Client:
    """A connection to one controller. Not for several threads at once.

    Every call raises Unreachable where nobody answers, NotAController where something else does,
    and Refused, or the kind of it that fits, where the controller refuses.
    """

    def __init__(
        self, url: str, token: str | None = None, *, retries: int = 2, tls: Tls | None = None
    ) -> None:
        """`url` is the controller's, such as http://127.0.0.1:8080; without a token only the
        health calls are allowed. `retries` is how often a call is tried again. Raises `BadTlsFile`
        for an https URL."""
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._again = Retry(
            total=retries,
            redirect=False,
            allowed_methods=("GET",),
            status_forcelist=(HTTPStatus.SERVICE_UNAVAILABLE,),
            backoff_factor=0.1,
            raise_on_status=False,
        )
        https = {}
        if self.url.startswith("https:"):
            https["ssl_context"] = (tls or Tls()).context()
        self._pool = urllib3.PoolManager(timeout=Timeout(CONNECT_SECONDS, READ_SECONDS), **https)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def put_droplet(
        self,
        droplet_id: int,
        document: Mapping[str, Any] | bytes,
        *,
        if_match: str | None = None,
        if_new: bool = False,
    ) -> Registered:
        """Register a droplet or replace its registration; durable once this returns.

        `document` may be JSON text, which is sent as it is. With `if_match`, an ETag, the droplet
        must still be in that state, and with `if_new` it must not be registered yet.
        """
        conditions = {
            **({"If-Match": if_match} if if_match else {}),
            **({"If-None-Match": "*"} if if_new else {}),
        }
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        answer = self._call(
            "PUT", f"/v1/droplets/{droplet_id}", body=body, content_type=JSON, headers=conditions
        )
        created = answer.status == HTTPStatus.CREATED
        return Registered(self._json(answer), answer.headers.get("ETag", ""), created)

    def get_droplet(self, droplet_id: int) -> Registered:
        """What was registered. Raises NotFound."""
        answer = self._call("GET", f"/v1/droplets/{droplet_id}")
        return Registered(self._json(answer), answer.headers.get("ETag", ""))

    def delete_droplet(self, droplet_id: int, *, if_match: str | None = None) -> None:
        """Remove a registration. Raises NotFound."""
        conditions = {"If-Match": if_match} if if_match else {}
        self._call("DELETE", f"/v1/droplets/{droplet_id}", headers=conditions)

    def maintenance(self, droplet_id: int) -> str | None:
        """The maintenance event announced to a droplet, None without one. Raises NotFound."""
        return self._json(self._call("GET", _maintenance(droplet_id)))["event"]

    def announce_maintenance(self, droplet_id: int, event: str) -> None:
        """Announce an event to a droplet; durable once this returns. Raises NotFound."""
        body = json.dumps({"event": event}).encode()
        self._call("PUT", _maintenance(droplet_id), body=body, content_type=JSON)

    def call_off_maintenance(self, droplet_id: int) -> None:
        """Announce none any more. Raises NotFound."""
        self._call("DELETE", _maintenance(droplet_id))

    def page(
        self,
        *,
        limit: int | None = None,
        after: int | None = None,
        tag: str | None = None,
        region: str | None = None,
    ) -> Page:
        """Some of the droplets in id order, those after `after`, with this tag and region."""
        query = {"limit": limit, "after": after, "tag": tag, "region": region}
        return self._json(self._call("GET", "/v1/droplets", query=query))

    def droplets(self, *, tag: str | None = None, region: str | None = None) -> Iterator[Document]:
        """Every droplet in id order, page by page."""
        after: int | None = None
        while True:
            page = self.page(limit=_PAGE, after=after, tag=tag, region=region)
            yield from page["droplets"]
            after = page["next"]
            if after is None:
                return

    def put_batch(self, documents: Iterable[bytes]) -> BatchCounts:
        """Register all of these, JSON texts without line breaks, or none of them.

        Raises Refused, its faults' `line` being the place in `documents` counted from 1.
        """
        body = b"".join(document + b"\n" for document in documents)
        return self._json(self._call("POST", "/v1/droplets", body=body, content_type=NDJSON))

    def backup(self, file: BinaryIO) -> None:
        """Write a copy of the whole registry, as of one moment, to `file`.

        Raises Unreachable also where the copy broke off before its end.
        """
        answer = self._call("GET", "/v1/backup", stream=True, silence=BACKUP_SECONDS)
        try:
            for piece in answer.stream(_PIECE):
                file.write(piece)
        except HTTPError as error:
            raise Unreachable(self.url, _reason(error)) from error
        finally:
            answer.close()

    def switches(self) -> list[Switch]:
        """The switches that are or were connected."""
        return self._json(self._call("GET", "/v1/switches"))["switches"]

    def ports(self, dpid: str) -> SwitchPorts:
        """The ports of one switch, `dpid` being 16 hex digits. Raises NotFound."""
        return self._json(self._call("GET", f"/v1/switches/{dpid}/ports"))

    def watch(self, dpid: str, *, since: int | None = None) -> Iterator[WatchEvent]:
        """The ports of a switch and each change as it happens, until the connection ends.

        With `since`, a revision the stream told, only what changed after it. Ends, or raises
        Unreachable, when the connection does; the caller may then come back with `since`.
        """
        query = {"watch": "true", "since": since}
        answer = self._call("GET", f"/v1/switches/{dpid}/ports", query=query, stream=True)
        try:
            for line in _lines(answer):
                yield cast("WatchEvent", json.loads(line))
        except (HTTPError, OSError) as error:
            raise Unreachable(self.url, _reason(error)) from error
        finally:
            answer.close()

    def readiness(self) -> tuple[list[str], datetime | None]:
        """Why the controller is not ready to work, nothing if it is; and its clock's time."""
        try:
            answer = self._pool.request("GET", f"{self.url}/readyz", retries=False)
        except (HTTPError, OSError) as error:
            raise Unreachable(self.url, _reason(error)) from error
        try:
            told = json.loads(answer.data)
            reasons = [] if answer.status == HTTPStatus.OK else told["reasons"]
        except (ValueError, KeyError, TypeError) as error:
            raise NotAController(self.url, f"HTTP {answer.status}: {error!r}") from error
        date = answer.headers.get("Date")
        return reasons, None if date is None else parsedate_to_datetime(date)

    def ready(self) -> bool:
        """Whether the controller is ready to work; False also where nobody answers."""
        try:
            reasons, _ = self.readiness()
        except ClientError:
            return False
        return not reasons

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        silence: float = SILENCE_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        """One call; returns an answer of the 2xx kind."""
        fields = {k: str(v) for k, v in (query or {}).items() if v is not None}
        words = {"Content-Type": content_type} if content_type else {}
        wait: dict[str, Any] = {"timeout": Timeout(CONNECT_SECONDS, silence)} if stream else {}
        try:
            answer = self._pool.request(
                method,
                self.url + path,
                fields=fields or None,
                headers={**self._headers, **words, **(headers or {})},
                body=body,
                retries=self._again,
                preload_content=not stream,
                **wait,
            )
        except (HTTPError, OSError) as error:
            raise Unreachable(self.url, _reason(error)) from error
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: urllib3.BaseHTTPResponse) -> Exception:
        kind = answer.headers.get("Content-Type", "no content type")
        if kind.partition(";")[0] != PROBLEM:
            return NotAController(self.url, f"HTTP {answer.status}, {kind}")
        told = self._json(answer)
        faults = told.get("errors", ())
        return refusal(answer.status, told.get("title", ""), told.get("detail", ""), faults)

    def _json(self, answer: urllib3.BaseHTTPResponse) -> Any:
        try:
            return json.loads(answer.data)
        except ValueError as error:
            raise NotAController(self.url, f"HTTP {answer.status}, no JSON: {error}") from error


def _maintenance(droplet_id: int) -> str:
    return f"/v1/droplets/{droplet_id}/maintenance"


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The whole lines of a body, each as soon as it has come."""
    rest = b""
    for piece in answer.stream(1 << 16):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole


def _reason(error: BaseException) -> str:
    """The words of the innermost error that has some: urllib3 wraps the kernel's several times."""
    while (inner := getattr(error, "reason", None) or error.__cause__) is not None:
        if not isinstance(inner, BaseException):
            break
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
