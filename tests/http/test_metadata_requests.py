"""Requests over real sockets to a real `metadata-http` process, as droplets and as vandals."""

import base64
import json
import resource
import socket
import threading

import pytest

from tests.http.fake_controller import DPID, TOKEN, FakeController, port, wait_until

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
WAITING = "127.1.2.92"
GZIP = b"\x1f\x8b\x08\x00\xff\xfe\x00\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all requests here: none of them may change it."""
    from tests.http.conftest import Server

    controller = FakeController(subnet="127.1.0.0/16").start()
    controller.put(
        port(602, DROPLET, 7889371, tags=["web", "db"], user_data="#!/bin/sh\n" * 1000),
        port(603, OTHER, 7889372, user_data_base64=base64.b64encode(GZIP).decode()),
        port(604, WAITING),
    )
    folder = tmp_path_factory.mktemp("requests")
    made = Server(folder, controller.url, header_timeout=2)
    try:
        made.start()
        controller.wait_acknowledged()
        yield made
    finally:
        made.kill()
        controller.stop()


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


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For: 127.1.2.91", "Forwarded: for=127.1.2.91", "via:", "VIA: \xff"]
)
def test_a_request_through_a_proxy_is_refused(server, header):
    request = f"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n\r\n"
    assert server.raw(request.encode("latin-1"), DROPLET).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("name", ["X-Real-IP", "X-Client-IP", "Client-IP", "Remote-Addr", "Host"])
def test_no_header_makes_another_caller(server, name):
    assert server.get("/metadata/v1/id", DROPLET, headers={name: OTHER})[2] == b"7889371"


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


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /metadata/v1/id\r\n\r\n",  # HTTP/0.9
        b"GET /metadata/v1/id HTTP/9.9\r\n\r\n",
        b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\n"
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\n"
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",  # obs-fold
        b"GET /metadata/v1/id HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /metadata/v1/\x00id HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",  # a TLS hello
        b"\xff" * 100 + b"\r\n\r\n",
    ],
)
def test_bad_framing_is_400_and_closes(server, request_bytes):
    received = server.raw(request_bytes, DROPLET)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1
    assert b"connection: close" in received.lower()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(200)) + b"\r\n",
    ],
)
def test_too_large_a_head_is_refused_and_closes(server, request_bytes):
    received = server.raw(request_bytes, DROPLET)
    # Closing with the guest's bytes unread may reset the connection before the answer is read.
    assert received == b"" or received.startswith(b"HTTP/1.1 431 ")
    assert server.get("/metadata/v1/id", DROPLET)[0] == 200


def test_a_body_nobody_wants_is_not_read(server):
    """However much is announced and sent, the answer comes and the connection ends."""
    head = b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"
    received = server.raw(head + b"x" * 1_000_000, DROPLET)
    assert received == b"" or received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1") <= 1


def test_a_body_does_not_become_a_request(server):
    inner = b"GET /metadata/v1/region HTTP/1.1\r\nHost: a\r\n\r\n"
    head = b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    outer = head + b"Content-Length: %d\r\n\r\n%s"
    received = server.raw(outer % (len(inner), inner), DROPLET)
    assert received.endswith(b"\r\n\r\n7889371")
    assert received.count(b"HTTP/1.1 ") == 1


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


@pytest.fixture
def many_files():
    """Room for the connections of a slow-client test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_a_thousand_slow_clients_hold_nobody_up(server, many_files):
    """Each of them sends part of a head; while all are open, others get all their answers."""
    slow = []
    try:
        for _ in range(1000):
            connection = socket.create_connection(("127.0.0.1", server.port), 30, (OTHER, 0))
            connection.sendall(b"GET /metadata/v1/id HTTP/1.1\r\n")
            slow.append(connection)
        for _ in range(100):
            assert server.get("/metadata/v1/id", DROPLET)[2] == b"7889371"
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.slow
def test_a_client_that_does_not_read_holds_nobody_up(server):
    """Its answers fill its window and then wait; the others' do not."""
    request = b"GET /metadata/v1/user-data HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind((OTHER, 0))
        deaf.connect(("127.0.0.1", server.port))
        deaf.settimeout(1)
        with pytest.raises(TimeoutError):  # the server takes no more from it
            while True:
                deaf.sendall(request * 1000)
        for _ in range(20):
            assert server.get("/metadata/v1/id", DROPLET)[2] == b"7889371"


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
    (line,) = [each for each in body.splitlines() if 'answers_total{status="200"}' in each]
    return float(line.split()[1])


def test_odd_requests_are_logged_without_secrets(server):
    server.get("/an-odd-path", "127.1.77.77")  # of its own, or its lines may be used up
    wait_until(lambda: "/an-odd-path" in server.log, "the log line")
    assert TOKEN not in server.log
    assert TOKEN not in server.admin("/metrics")[1] + server.admin("/readyz")[1]
