"""The controller's calls, typed. Knows no files and no terminal; the HTTP is in `transport.py`."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from ovs_metadata_client.errors import (
    ClientError,
    NotAController,
    NotFound,
    PreconditionFailed,
)
from ovs_metadata_client.following import follow
from ovs_metadata_client.tls import Tls
from ovs_metadata_client.transport import READ_SECONDS, Transport
from ovs_metadata_client.wire import (
    BatchCounts,
    Document,
    Page,
    PortFlows,
    PortState,
    StandingPage,
    Switch,
    SwitchPorts,
    SwitchRequests,
    WatchEvent,
)

JSON = "application/json"
NDJSON = "application/x-ndjson"

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
    """A controller. May be shared by threads.

    Every call raises Unreachable where nobody answers, NotAController where something else does,
    and Refused, or the kind of it that fits, where the controller refuses. What is tried again
    first is told in `transport.py`.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        retries: int = 2,
        timeout: float = READ_SECONDS,
        tls: Tls | None = None,
    ) -> None:
        """`url` is the controller's, such as http://127.0.0.1:8080; without a token only the
        health calls are allowed. `retries` is how often a call is tried again, `timeout` the
        seconds that an answer may be silent. Raises `BadTlsFile` for an https URL."""
        self._http = Transport(url, token, retries, timeout, tls)
        self.url = self._http.url

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
        self._http.close()

    # -- droplets ----------------------------------------------------------------------------------

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
        must still be in that state, and with `if_new` it must not be registered yet: else
        PreconditionFailed. Raises Conflict where another droplet has a port's name, and Invalid
        with every fault of the document.
        """
        conditions = {
            **({"If-Match": if_match} if if_match else {}),
            **({"If-None-Match": "*"} if if_new else {}),
        }
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        answer = self._http.call(
            "PUT", _droplet(droplet_id), body=body, content_type=JSON, headers=conditions
        )
        created = answer.status == HTTPStatus.CREATED
        return Registered(self._http.json(answer), answer.headers.get("ETag", ""), created)

    def get_droplet(self, droplet_id: int) -> Registered:
        """What was registered. Raises NotFound."""
        answer = self._http.call("GET", _droplet(droplet_id))
        return Registered(self._http.json(answer), answer.headers.get("ETag", ""))

    def edit_droplet(
        self, droplet_id: int, change: Callable[[Document], Document], *, attempts: int = 5
    ) -> Registered:
        """Replace a registration by what `change` makes of it, and nobody's change in between.

        `change` may alter the document it is given, and is called again, with the new one, where
        another was quicker. Raises NotFound, and PreconditionFailed after so many attempts.
        """
        for attempt in range(1, attempts + 1):
            now = self.get_droplet(droplet_id)
            try:
                return self.put_droplet(droplet_id, change(now.droplet), if_match=now.etag)
            except PreconditionFailed:
                if attempt == attempts:
                    raise
        raise ValueError(f"attempts: {attempts} is not at least 1")

    def delete_droplet(self, droplet_id: int, *, if_match: str | None = None) -> None:
        """Remove a registration. Raises NotFound; with `if_match`, an ETag, PreconditionFailed."""
        conditions = {"If-Match": if_match} if if_match else {}
        try:
            self._http.call("DELETE", _droplet(droplet_id), headers=conditions)
        except NotFound as error:
            if not error.repeated:
                raise

    def page(
        self,
        *,
        limit: int | None = None,
        after: int | None = None,
        tag: str | None = None,
        region: str | None = None,
        q: str | None = None,
    ) -> Page:
        """Some of the droplets in id order, those after `after`, with this tag and region, in whose
        id, hostname, port names, MACs or addresses there is `q`."""
        query = {"limit": limit, "after": after, "tag": tag, "region": region, "q": q}
        return cast("Page", self._get("/v1/droplets", query))

    def droplets(
        self, *, tag: str | None = None, region: str | None = None, q: str | None = None
    ) -> Iterator[Document]:
        """Every droplet that `page` would have, in id order, page by page."""
        after: int | None = None
        while True:
            page = self.page(limit=_PAGE, after=after, tag=tag, region=region, q=q)
            yield from page["droplets"]
            after = page["next"]
            if after is None:
                return

    def standings(
        self,
        *,
        unserved: bool = False,
        q: str | None = None,
        limit: int | None = None,
        after: int | None = None,
    ) -> StandingPage:
        """Some of the droplets in id order, or of those that are not served, and why not."""
        served = "false" if unserved else None
        query = {"served": served, "q": q, "limit": limit, "after": after}
        return cast("StandingPage", self._get("/v1/standings", query))

    def put_batch(self, documents: Iterable[bytes | Mapping[str, Any]]) -> BatchCounts:
        """Register all of these, or none of them. JSON text must be without line breaks.

        Raises Invalid or Conflict, the faults' `line` being the place in `documents` from 1.
        """
        texts = (
            each if isinstance(each, bytes) else json.dumps(each).encode() for each in documents
        )
        return self._post_batch(_lines(texts))

    def put_batches(self, batches: Iterable[Iterable[bytes]]) -> Iterator[BatchCounts]:
        """Register batches of JSON texts, each whole or not at all, in order; tells of each.

        While one is being stored the next is on its way and looked at, but for its last document:
        where one is refused, or the caller stops, nothing of the next is registered. Raises as
        `put_batch`, when the turn of the batch concerned has come.
        """
        stopped = threading.Event()
        before: Future[BatchCounts] | None = None
        with ThreadPoolExecutor(max_workers=2) as threads:
            try:
                for batch in batches:
                    body = _InTurn(list(batch), before, stopped)
                    next_ = threads.submit(self._post_batch, body)
                    if before is not None:
                        yield before.result()
                    before = next_
                if before is not None:
                    yield before.result()
            finally:
                stopped.set()

    def _post_batch(self, body: bytes | Iterable[bytes]) -> BatchCounts:
        answer = self._http.call("POST", "/v1/droplets", body=body, content_type=NDJSON)
        return cast("BatchCounts", self._http.json(answer))

    def maintenance(self, droplet_id: int) -> str | None:
        """The maintenance event announced to a droplet, None without one. Raises NotFound."""
        return cast("str | None", self._get(_maintenance(droplet_id))["event"])

    def announce_maintenance(self, droplet_id: int, event: str) -> None:
        """Announce an event to a droplet; durable once this returns. Raises NotFound."""
        body = json.dumps({"event": event}).encode()
        self._http.call("PUT", _maintenance(droplet_id), body=body, content_type=JSON)

    def call_off_maintenance(self, droplet_id: int) -> None:
        """Announce none any more. Raises NotFound."""
        self._http.call("DELETE", _maintenance(droplet_id))

    def backup(self, file: BinaryIO) -> None:
        """Write a copy of the whole registry, as of one moment, to `file`.

        Raises Unreachable also where the copy broke off before its end.
        """
        answer = self._http.call("GET", "/v1/backup", silence=BACKUP_SECONDS)
        for piece in self._http.pieces(answer, _PIECE):
            file.write(piece)

    # -- switches ----------------------------------------------------------------------------------

    def switches(self) -> list[Switch]:
        """The switches that are or were connected."""
        return cast("list[Switch]", self._get("/v1/switches")["switches"])

    def ports(
        self,
        dpid: str,
        *,
        state: Iterable[PortState] = (),
        q: str | None = None,
        limit: int | None = None,
        after: int | None = None,
    ) -> SwitchPorts:
        """The ports of one switch, `dpid` being 16 hex digits; or of them those in one of these
        states, that `q` finds, at most so many, above this ofport. Raises NotFound."""
        query = {"state": ",".join(state) or None, "q": q, "limit": limit, "after": after}
        return cast("SwitchPorts", self._get(_ports(dpid), query))

    def port_flows(self, dpid: str, ofport: int) -> PortFlows:
        """A port's flows, read from the switch now. Raises NotFound; Unavailable where the switch
        is not connected."""
        return cast("PortFlows", self._get(f"{_ports(dpid)}/{ofport}/flows"))

    def requests(self, dpid: str, *, ofports: Iterable[int] = ()) -> SwitchRequests:
        """What the switch's metadata servers counted for each droplet, or for those at these
        ofports. Raises NotFound."""
        query = {"ofports": ",".join(map(str, ofports)) or None}
        return cast("SwitchRequests", self._get(f"/v1/switches/{dpid}/requests", query))

    def watch(self, dpid: str, *, since: int | None = None) -> Iterator[WatchEvent]:
        """The ports of a switch and each change as it happens, until the connection ends.

        With `since`, a revision the stream told, only what changed after it. Ends, or raises
        Unreachable, when the connection does; `follow` comes back by itself.
        """
        query = {"watch": "true", "since": since}
        answer = self._http.call("GET", _ports(dpid), query=query, silence=SILENCE_SECONDS)
        rest = b""
        for piece in self._http.pieces(answer, 1 << 16):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield cast("WatchEvent", self._http.parse(line))

    def follow(
        self, dpid: str, *, broken: Callable[[str], None] | None = None
    ) -> Iterator[WatchEvent]:
        """The events of a switch without end: a stream that breaks is taken up where it was.

        `broken` is told why, each time. The first stream must come about; from then on what may
        pass by itself (no controller, a switch that a new one does not know yet, 503) is waited
        out, and any other refusal raised. Feed the events to a `PortsView`, or take a snapshot
        that comes later for what it is: the view whole, anew.
        """
        return follow(lambda since: self.watch(dpid, since=since), broken)

    # -- the service -------------------------------------------------------------------------------

    def readiness(self) -> tuple[list[str], datetime | None]:
        """Why the controller is not ready to work, nothing if it is; and its clock's time."""
        answer = self._http.ask("GET", "/readyz", {})
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

    def alive(self) -> bool:
        """Whether the controller's process answers; False also where something else does."""
        try:
            return bool(self._get("/healthz")["status"] == "alive")
        except (ClientError, KeyError, TypeError):
            return False

    def metrics(self) -> str:
        """The controller's metrics, in Prometheus' text form."""
        return self._http.call("GET", "/metrics").data.decode()

    def description(self) -> dict[str, Any]:
        """The interface's OpenAPI description; `["info"]["version"]` is its version."""
        return cast("dict[str, Any]", self._get("/v1/openapi.json"))

    def _get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        return self._http.json(self._http.call("GET", path, query=query))


def _droplet(droplet_id: int) -> str:
    return f"/v1/droplets/{droplet_id}"


class _InTurn:
    """A batch's body whose end comes when the batch before is stored; never, where it is not.

    Can be sent again, as a body that urllib3 may have to repeat must be.
    """

    def __init__(
        self,
        texts: Sequence[bytes],
        before: "Future[BatchCounts] | None",
        stopped: threading.Event,
    ) -> None:
        self._texts = texts
        self._before = before
        self._stopped = stopped

    def __iter__(self) -> Iterator[bytes]:
        yield _lines(self._texts[:-1])
        if self._before is not None:
            self._before.result()
        if self._stopped.is_set():
            raise CancelledError
        yield _lines(self._texts[-1:])


def _lines(texts: Iterable[bytes]) -> bytes:
    return b"".join(text + b"\n" for text in texts)


def _maintenance(droplet_id: int) -> str:
    return f"{_droplet(droplet_id)}/maintenance"


def _ports(dpid: str) -> str:
    return f"/v1/switches/{dpid}/ports"
