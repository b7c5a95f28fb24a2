"""Sends a recorded client's requests over real sockets from inside a droplet."""

import http.client
import socket
from contextlib import closing
from urllib.parse import urljoin, urlsplit

from lab.namespace import Namespace
from lab.wait import LabError, wait_for
from tests.clients.demands import Document, Reply, complaints
from tests.clients.recordings import Exchange, Recording

HOST = "169.254.169.254"
_SECONDS = 20
_REDIRECTS = 10


def replay(recording: Recording, droplet: Namespace, document: Document) -> list[str]:
    """All that the client would complain of in a droplet whose document is `document`."""
    found: list[str] = []
    with closing(_Wire(droplet, recording.closes)) as wire:
        for exchange in recording.exchanges:
            if "eventually" in exchange.body:
                found += _until_seen(wire, exchange, document)
            else:
                found += complaints(exchange, wire.ask(exchange), document)
    return found


def _until_seen(wire: "_Wire", exchange: Exchange, document: Document) -> list[str]:
    """What a client wrote shows in the document when the registry has told the server."""
    last: list[str] = []

    def seen() -> bool:
        last[:] = complaints(exchange, wire.ask(exchange), document)
        return not last

    try:
        wait_for(seen, "the document to show it", seconds=5)
    except LabError:
        return last
    return []


class _Wire:
    """A client's connections: one for all requests, or one for each."""

    def __init__(self, droplet: Namespace, closes: bool) -> None:
        self._droplet = droplet
        self._closes = closes
        self._socket: socket.socket | None = None

    def ask(self, exchange: Exchange) -> Reply:
        """Send the request, byte for byte, and follow the answer where it points elsewhere."""
        path = exchange.path
        for _ in range(_REDIRECTS):
            reply = self._ask_once(exchange, path)
            if reply.status not in (301, 302, 307, 308):
                return reply
            path = urlsplit(urljoin(f"http://{HOST}{path}", reply.headers["location"])).path
        raise AssertionError(f"{exchange.path} leads nowhere")

    def close(self) -> None:
        """Close what is open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask_once(self, exchange: Exchange, path: str) -> Reply:
        if self._socket is None:
            with self._droplet.entered():
                self._socket = socket.create_connection((HOST, 80), _SECONDS)
        headers = {"Host": HOST, **exchange.headers}
        if exchange.sends:
            headers["Content-Length"] = str(len(exchange.sends))
        if self._closes:
            headers["Connection"] = "close"
        lines = [f"{exchange.method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + exchange.sends)
        response = http.client.HTTPResponse(self._socket, method=exchange.method)
        response.begin()
        body = response.read()
        assert response.version == 11, "the clients speak HTTP/1.1"
        if self._closes or response.will_close:
            self.close()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, named, body)
