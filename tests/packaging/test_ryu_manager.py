"""ryu-manager, as installed, runs under current eventlet: OpenFlow, HTTP and websockets."""

import base64
import os
import socket
import subprocess
from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

from tests.packaging.manager import BIN, PATIENCE, Manager, free_port
from tests.packaging.openflow_client import greet


def test_ryu_manager_itself_starts_under_current_eventlet() -> None:
    assert Version(version("eventlet")) >= Version("0.41")
    done = subprocess.run(
        [BIN / "ryu-manager", "--version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"ryu-manager {version('ryu')}\n"


def test_ryu_manager_runs_an_app_with_openflow_and_http(tmp_path: Path) -> None:
    port = free_port()
    with Manager(tmp_path, "--ofp-tcp-listen-port", str(port)) as manager:
        manager.wait_until_open(port)
        assert manager.dpids() == []
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            greet(connection, dpid=7)
        assert manager.dpids() == [7]
        assert manager.get("/nowhere")[0] == 404
        assert "Traceback" not in manager.log


def test_websocket_ends_cleanly_and_the_server_goes_on(tmp_path: Path) -> None:
    """The one place that used the name eventlet took away (ryu.app.wsgi)."""
    port = free_port()
    with Manager(tmp_path, "--ofp-tcp-listen-port", str(port)) as manager:
        for _ in range(2):
            assert echo_once(manager.http_port, b"droplet") == b"droplet"
        assert manager.dpids() == []
        assert "Traceback" not in manager.log


def echo_once(port: int, text: bytes) -> bytes:
    """Send /echo one text frame (RFC 6455, under 126 bytes); what came back before the close."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(
            b"GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n"
        )
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 101 ")
        while stream.readline() != b"\r\n":
            pass
        # A client masks what it sends; a mask of zeros leaves it as it is.
        connection.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
        first, length = stream.read(2)
        assert first == 0x81
        answer = stream.read(length)
        rest = stream.read()  # until the server closes
        assert rest == b"" or rest[0] == 0x88, f"after the answer came {rest!r}, not a close frame"
        return answer
