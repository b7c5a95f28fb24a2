"""Requests over real sockets to a real `metadata-http` process, as droplets send them.

What hostile ones send is in `hostile` and `test_metadata_hostile`.
"""

import base64
import json
import socket
import threading

import pytest

from tests.http.conftest import serving
from tests.http.fake_controller import DPID, TOKEN, port, wait_until

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
WAITING = "127.1.2.92"
GZIP = b"\x1f\x8b\x08\x00\xff\xfe\x00\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all requests here: none of them may change it."""
    ports = (
        port(602, DROPLET, 7889371, tags=["web", "db"], user_data="#!/bin/sh\n" * 1000),
        port(603, OTHER, 7889372, user_data_base64=base64.b64encode(GZIP).decode()),
        port(604, WAITING),
    )
    folder = tmp_path_factory.mktemp("requests")
    with serving(folder, *ports, header_timeout=2, rate_limit=0) as made:
        yield made


def test_each_droplet_gets_its_own(server):
    assert server.get("/metadata/v1/id", DROPLET)[2] == b"7889371"
    assert server.get("/metadata/v1/id", OTHER)[2] == b"7889372"


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/metadata/v1/id", "text/plain; charset=utf-8", b"7889371"),
        ("/metadata/v1/tags/", "text/plain; charset=utf-8", b"web\ndb"),
        ("/metadata/v1/id?pretty=1", "text/plain; charset=utf-8", b"7889371"),
        ("/metadata/v1/public-keys", "text/plain; charset=utf-8", b""),
    ],
)
def test_found(server, path, content_type, body):
    status, headers, got = server.get(path, DROPLET)
    assert (status, headers["Content-Type"], got) == (200, content_type, body)
    assert headers["Content-Length"] == str(len(body))
    assert headers["Transfer-Encoding"] is None


def test_the_document(server):
    status, headers, body = server.get("/metadata/v1.json", DROPLET)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["droplet_id"] == 7889371


def test_user_data_bytes_are_untouched(server):
    assert server.get("/metadata/v1/user-data", OTHER)[2] == GZIP


def test_index_without_its_slash(server):
    status, headers, body = server.get("/metadata/v1/tags", DROPLET)
    assert (status, headers["Location"], body) == (301, "/metadata/v1/tags/", b"web\ndb")


@pytest.mark.parametrize("path", ["/", "/latest/meta-data/", "/metadata/v1/id/", "/%00", "/%ff"])
def test_not_there(server, path):
    assert server.get(path, DROPLET)[0] == 404


def test_head(server):
    status, headers, body = server.get("/metadata/v1/id", DROPLET, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "7", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods(server, method):
    status, headers, _ = server.get("/metadata/v1/id", DROPLET, method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_source_outside_the_subnet(server):
    status, headers, body = server.get("/metadata/v1/id", "127.0.0.1")
    assert (status, body) == (403, b"403 Forbidden")
    assert headers["Retry-After"] is None


@pytest.mark.parametrize("address", [WAITING, "127.1.99.99"])
def test_not_known_yet(server, address):
    status, headers, _ = server.get("/metadata/v1/id", address)
    assert (status, headers["Retry-After"], headers["Connection"]) == (503, "2", "close")


def test_keep_alive(server):
    connection = server.connect(DROPLET)
    connection.connect()
    before = connection.sock
    for path, body in (("/metadata/v1/id", b"7889371"), ("/nowhere", b"404 Not Found")) * 3:
        connection.request("GET", path)
        assert connection.getresponse().read() == body
    assert connection.sock is before
    connection.close()


def test_pipelining_answers_in_order(server):
    one = b"GET /metadata/v1/%s HTTP/1.1\r\nHost: a\r\n%s\r\n"
    received = server.raw(one % (b"id", b"") + one % (b"region", b"Connection: close\r\n"), DROPLET)
    heads = [part.split(b"\r\n\r\n")[-1] for part in received.split(b"HTTP/1.1 200 OK")]
    assert heads == [b"", b"7889371", b"nyc3"]


@pytest.mark.parametrize("target", ["/metadata/v1/id", "http://169.254.169.254/metadata/v1/id"])
def test_http_1_0_without_host(server, target):
    received = server.raw(f"GET {target} HTTP/1.0\r\n\r\n".encode(), DROPLET)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"content-length: 7" in head.lower()
    assert body == b"7889371"


@pytest.mark.slow
def test_a_head_that_does_not_come_in_time_ends_the_connection(server):
    """header_timeout is 2 here; a client that trickles is cut off, whatever it trickles."""
    with socket.create_connection(("127.0.0.1", server.port), 60, (DROPLET, 0)) as connection:
        connection.sendall(b"GET /metadata/v1/id HTTP/1.1\r\nX: ")
        ended = threading.Event()

        def trickle():
            while not ended.wait(0.1):
                try:
                    connection.sendall(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            # Nothing, a 408 or a reset: in any case an end, or the socket's own timeout raises.
            received = connection.recv(4096)
        except ConnectionResetError:
            received = b""
        ended.set()
        thread.join()
        assert received == b"" or received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_a_silent_kept_alive_connection_ends(server):
    connection = server.connect(DROPLET, timeout=60)
    connection.request("GET", "/metadata/v1/id")
    connection.getresponse().read()
    assert connection.sock.recv(1) == b""
    connection.close()


def test_no_directory_and_no_admin_on_this_socket(server):
    for path in ("/healthz", "/readyz", "/metrics", "/v1/switches", "/v1/droplets"):
        assert server.get(path, DROPLET)[0] == 404


def test_admin_is_live_ready_and_counts(server):
    assert server.admin("/healthz")[0] == 200
    status, body = server.admin("/readyz")
    assert (status, json.loads(body)["dpid"], json.loads(body)["droplets"]) == (200, DPID, 2)
    before = answers(server)
    server.get("/metadata/v1/id", DROPLET)
    assert answers(server) == before + 1
    assert server.admin("/metadata/v1/id")[0] == 404


def answers(server):
    body = server.admin("/metrics")[1]
    counts = [line for line in body.splitlines() if "answers_total{" in line]
    return sum(float(line.split()[1]) for line in counts if 'status="200"' in line)


def test_odd_requests_are_logged_without_secrets(server):
    server.get("/an-odd-path", "127.1.77.77")  # of its own, or its lines may be used up
    wait_until(lambda: "/an-odd-path" in server.log, "the log line")
    assert TOKEN not in server.log
    assert TOKEN not in server.admin("/metrics")[1] + server.admin("/readyz")[1]


def test_connections_to_admin_are_bounded(server):
    """Beyond the bound they are closed, and droplets are none the wiser."""
    silent = [
        socket.create_connection(("127.0.0.1", server.admin_port), timeout=30) for _ in range(32)
    ]
    with socket.create_connection(("127.0.0.1", server.admin_port), timeout=30) as refused:
        assert refused.recv(1) == b""
    assert server.get("/metadata/v1/id", DROPLET)[0] == 200
    for connection in silent:
        connection.close()
    wait_until(lambda: answered_by_admin(server), "its places to be free again")


def answered_by_admin(server):
    try:
        return server.admin("/healthz")[0] == 200
    except OSError:
        return False
