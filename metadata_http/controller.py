"""The controller's REST as this server uses it: the watch stream, acknowledgements, reports.

Shell: HTTP with urllib3, no decisions. What matters to the caller is told apart by type:
`Refused` (nobody listens: on this host the controller is dead), `Answered` (it says no) and
`Unavailable` (anything else).
"""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from math import isfinite
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

_CONNECT_TIMEOUT = 2.0
# A droplet's line holds its whole document and user data; more than this is no such line.
_LINE_LIMIT = 16 << 20
_READ_SIZE = 1 << 16
_MERGE_PATCH = "application/merge-patch+json"


class Unavailable(Exception):
    """The controller does not answer as it should; the text says what happened."""


class Refused(Unavailable):
    """The connection to the controller's address was refused, by it or by something between."""


class Answered(Unavailable):
    """The controller answered with a `status` that is no success."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class BadFile(Exception):
    """A file for TLS cannot be used; the text names it and its option."""


def tls_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """What https controllers are talked to with: it checks their certificate and host name.

    `ca` instead of the system's authorities; `certificate` and `key` to show. PEM files all.
    Raises BadFile.
    """
    named = f"controller_ca = {ca}"
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate or key:
            named = f"controller_certificate = {certificate}, controller_key = {key}"
            # An empty password, for the library asks for one on the terminal otherwise.
            context.load_cert_chain(certificate or "", key, password="")
    except OSError as fault:  # ssl.SSLError is one
        raise BadFile(f"{named}: {fault.strerror or fault}") from fault
    return context


class Stream:
    """The lines of an open watch stream."""

    def __init__(self, url: str, response: urllib3.BaseHTTPResponse) -> None:
        self._url = url
        self._response = response

    def batches(self) -> Iterator[list[bytes]]:
        """Whole lines, as many at a time as have arrived. Raises Unavailable when it ends."""
        rest = b""
        while True:
            try:
                data = self._response.read1(_READ_SIZE)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
                # ValueError: over TLS the reader may find what `abort` left of its socket.
                raise Unavailable(f"{self._url}: the stream broke: {_reason(fault)}") from fault
            if not data:
                raise Unavailable(f"{self._url}: the stream ended")
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LINE_LIMIT:
                raise Unavailable(f"{self._url}: a line of over {_LINE_LIMIT} bytes")
            if lines:
                yield lines

    def abort(self) -> None:
        """End a read that another thread is waiting in, if it still is."""
        # urllib3 raises any of these where that thread has closed the stream a moment before.
        with suppress(OSError, RuntimeError, ValueError):
            self._response.shutdown()

    def close(self) -> None:
        """Give the connection up."""
        self._response.close()


class Controller:
    """One controller's URL. `token` is asked before each connect: the file may come later.

    `on_this_host` tells whether the URL cannot mean another host.
    `timeout` is how many seconds of silence make a broken connection.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        tls: ssl.SSLContext,
        timeout: float = 10.0,
        connections: int = 2,
    ) -> None:
        self.url = url.rstrip("/")
        self.on_this_host = _is_loopback(urlsplit(url).hostname or "")
        self._token = token
        self.timeout = timeout
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=connections, retries=False, ssl_context=tls
        )

    def forget_connections(self) -> None:
        """Make new connections from here on: where one went dead, those kept may have as well."""
        self._pool.clear()

    def watch(self, dpid: str, server: str, since: int | None) -> Stream:
        """Follow the ports of `dpid` as `server`, from revision `since` on where it is known."""
        query: dict[str, Any] = {"watch": "true", "server": server}
        if since is not None:
            query["since"] = since
        path = f"/v1/switches/{dpid}/ports?{urlencode(query)}"
        return Stream(self.url, self._call("GET", path, preload_content=False))

    def acknowledge(self, dpid: str, server: str, revision: int) -> None:
        """Say that `server` answers from a view that has all changes up to `revision`."""
        self._call("PUT", _server_path(dpid, server), json={"revision": revision})

    def count(
        self, dpid: str, server: str, droplets: Sequence[Mapping[str, Any]], view_age: float
    ) -> None:
        """Say what `server` counted for these droplets, and how many seconds old its view is."""
        # JSON has no infinity, which is the age of a view that nobody has vouched for.
        age = round(view_age, 1) if isfinite(view_age) else None
        counted = {"view_age_s": age, "droplets": droplets}
        self._call("PUT", f"{_server_path(dpid, server)}/requests", json=counted)

    def leave(self, dpid: str, server: str) -> None:
        """Say that `server` answers nobody any more."""
        self.timeout = _CONNECT_TIMEOUT
        self._call("DELETE", _server_path(dpid, server))

    def report(self, dpid: str, droplet_id: int, reported: Mapping[str, Any]) -> None:
        """Have the registry keep what the droplet says of itself; kept when this returns."""
        path = f"/v1/switches/{dpid}/droplets/{droplet_id}/agent"
        self._call("PATCH", path, body=json.dumps(reported), media_type=_MERGE_PATCH)

    def _call(
        self, method: str, path: str, media_type: str | None = None, **arguments: Any
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self._token()}"}
        if media_type is not None:
            headers["Content-Type"] = media_type
        timeout = urllib3.Timeout(connect=_CONNECT_TIMEOUT, read=self.timeout)
        try:
            response = self._pool.request(
                method,
                self.url + path,
                headers=headers,
                timeout=timeout,
                redirect=False,
                **arguments,
            )
        except (urllib3.exceptions.HTTPError, OSError) as fault:
            kind = Refused if isinstance(fault.__cause__, ConnectionRefusedError) else Unavailable
            raise kind(f"{self.url}: {_reason(fault)}") from fault
        if response.status not in (200, 204):
            response.close()
            text = f"{self.url}: {method} {path.split('?')[0]}: HTTP {response.status}"
            raise Answered(text, response.status)
        return response


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"  # RFC 6761, 6.3


def _server_path(dpid: str, server: str) -> str:
    return f"/v1/switches/{dpid}/servers/{quote(server, safe='')}"


def _reason(fault: BaseException) -> str:
    return str(fault.__cause__ or fault)
