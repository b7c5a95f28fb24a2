"""Health, readiness and metrics for the operator, on loopback and on a port of their own.

Shell. Never on the socket droplets reach; `settings` refuses any other than a loopback address.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import PROCESS_COLLECTOR as PROCESS
from prometheus_client import CollectorRegistry, generate_latest

AT_ONCE = 32
"""Connections to admin at a time; one that says nothing is closed after ten seconds."""
_CALLERS = "/callers/"
_NOT_HERE = b"/healthz, /readyz, /metrics, /requests or /callers/ADDRESS\n"


Report = Callable[[], dict[str, Any]]
Whose = Callable[[str], dict[str, Any]]
"""From an address to the verdict on who asks from it."""


class Admin:
    """`/healthz`, `/readyz`, `/metrics`, `/requests` and `/callers/ADDRESS`; no droplet's data.

    `report` must hold `ready` and whatever explains it; `requests` is what droplets asked.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        report: Report,
        requests: Report,
        whose: Whose,
    ) -> None:
        registry.register(PROCESS)
        self._server = _Server((host, port), _handler(registry, report, requests, whose))

    @property
    def address(self) -> str:
        """What it listens on, with the port the system chose where 0 was asked for."""
        host, port, *_ = self._server.server_address
        return f"{host!s}:{port}"

    def start(self) -> None:
        """Serve on a thread of its own, which ends with the process."""
        threading.Thread(target=self._server.serve_forever, name="admin", daemon=True).start()


class _Server(ThreadingHTTPServer):
    """With a thread for each connection, but no more than AT_ONCE; others are closed at once."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin to serve a connection; called on the listening thread."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it; called on its own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


def _handler(
    registry: CollectorRegistry, report: Report, requests: Report, whose: Whose
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                self._send(200, "text/plain", b"ok\n")
            elif path == "/readyz":
                state = report()
                body = json.dumps(state).encode() + b"\n"
                self._send(200 if state["ready"] else 503, "application/json", body)
            elif path == "/metrics":
                self._send(200, "text/plain; version=0.0.4", generate_latest(registry))
            elif path == "/requests":
                self._send_json(requests())
            elif path.startswith(_CALLERS):
                self._send_json(whose(path.removeprefix(_CALLERS)))
            else:
                self._send(404, "text/plain", _NOT_HERE)

        def _send_json(self, value: dict[str, Any]) -> None:
            self._send(200, "application/json", json.dumps(value).encode() + b"\n")

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Scrapes are no events."""

    return Handler
