"""What the interface bounds, and what it answers beyond; who may ask what."""

import json
import socket
import time

import pytest

from tests.http.rest_harness import (
    DPID,
    DPID_TEXT,
    JSON,
    NDJSON,
    OTHER,
    OTHER_TEXT,
    RestController,
    droplet,
    wait_until,
)

LIMITS = {"document": 2000, "batch": 10_000, "batch_droplets": 5, "page": 3, "body_seconds": 1}
SERVER = f"server {'s' * 40}"
BOUND = f"server {'b' * 40} {DPID_TEXT}"


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    (state / "tokens").write_text(f"admin {'a' * 40}\n{SERVER}\n{BOUND}\n")
    (state / "tokens").chmod(0o600)
    controller = RestController(state, limits=LIMITS, pace={"heartbeat": 0.2})
    for dpid in (DPID, OTHER):
        controller.do("connect", dpid=dpid)
        controller.do("in-sync", dpid=dpid)
    yield controller
    controller.kill()


def padded(size):
    """A document of exactly `size` bytes."""
    text = json.dumps(droplet("tap1", user_data="")).encode()
    return text.replace(b'"user_data": ""', b'"user_data": "%b"' % (b"x" * (size - len(text))))


def chunks(data, size=700):
    return iter([data[at : at + size] for at in range(0, len(data), size)])


def test_a_document_may_be_as_large_as_the_limit_and_not_a_byte_larger(controller):
    for body in (padded(2000), chunks(padded(2000))):
        assert controller.put(1, body, JSON).status in (200, 201)
    for body in (padded(2001), chunks(padded(2001))):
        answer = controller.put(1, body, JSON)
        assert answer.status == 413
        assert "2000 bytes" in answer.json["detail"]


def test_a_connection_lives_on_after_a_refused_body(controller):
    connection = controller.connection()
    assert controller.put(1, padded(50_000), JSON, on=connection).status == 413
    first = connection.sock
    assert controller.get("/v1/droplets", on=connection).status == 200
    assert connection.sock is first


def test_a_body_without_end_is_cut(controller):
    head = (
        f"PUT /v1/droplets/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {'a' * 40}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", controller.port), timeout=30) as connection:
        connection.sendall(head.encode())
        sent = 0
        with pytest.raises(OSError):
            while sent < 1 << 30:
                sent += connection.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        assert sent < 1 << 28


def test_a_body_that_does_not_come_is_given_up(controller):
    began = time.monotonic()
    answer = controller.raw(
        b"PUT /v1/droplets/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{" % (b"a" * 40)
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"Content-Length: 100", b"{", b"400"),
        (b"Transfer-Encoding: chunked", b"5\r\n{\r\n", b"400"),
        (b"Transfer-Encoding: chunked", b"zz\r\n", b"400"),
        (b"Transfer-Encoding: gzip, chunked", b"5\r\n{}   \r\n0\r\n\r\n", b"501"),
        (b"Content-Length: x", b"", b"400"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked", b"0\r\n\r\n", b"400"),
    ],
)
def test_broken_framing_is_refused_and_the_connection_closed(controller, head, body, status):
    answer = controller.raw(
        b"PUT /v1/droplets/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\n%b\r\n\r\n%b" % (b"a" * 40, head, body),
        shut=True,
    )
    assert answer.split()[1] == status
    assert answer.count(b"HTTP/1.") == 1


def test_what_waits_for_leave_to_send_is_refused_before_it_does(controller):
    answer = controller.raw(
        b"PUT /v1/droplets/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: 3000\r\n"
        b"Expect: 100-continue\r\n\r\n" % (b"a" * 40)
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-ndjson"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_other_media_are_refused(controller, headers):
    answer = controller.request("PUT", "/v1/droplets/1", b"{}", headers)
    assert answer.status == 415
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_utf_8_may_be_said(controller):
    headers = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    assert controller.put(1, padded(500), headers).status in (200, 201)


@pytest.mark.parametrize("body", [b"[" * 1500, b'{"a":' * 300, b'{"a":"\\ud800"}', b"\xff", b""])
def test_what_is_no_sound_json_is_a_400(controller, body):
    assert controller.put(1, body, JSON).status == 400


def test_batches_are_bounded_in_bytes_lines_and_number(controller):
    def batch(numbers, pad=0):
        lines = [{"droplet_id": n, **droplet(f"t{n}", user_data="x" * pad)} for n in numbers]
        return b"\n".join(json.dumps(line).encode() for line in lines)

    assert controller.request("POST", "/v1/droplets", batch(range(10, 15)), NDJSON).status == 200
    many = controller.request("POST", "/v1/droplets", batch(range(10, 16)), NDJSON)
    assert (many.status, many.json["errors"][0]["detail"]) == (400, "more than 5 droplets")
    line = controller.request("POST", "/v1/droplets", batch([10], 3000), NDJSON)
    assert (line.status, line.json["detail"]) == (413, "a line is longer than 2000 bytes")
    element = [{"droplet_id": n, **droplet(f"t{n}")} for n in (10, 11)]
    element[1]["metadata"]["user_data"] = "x" * 3000
    answer = controller.request("POST", "/v1/droplets", element)
    assert answer.status == 400
    reason = "the document is larger than 2000 bytes"
    assert answer.json["errors"] == [{"detail": reason, "pointer": "#", "element": 1}]
    whole = controller.request("POST", "/v1/droplets", batch([10], 1500) * 10, NDJSON)
    assert whole.status == 413


def test_a_page_is_bounded(controller):
    assert len(controller.get("/v1/droplets").json["droplets"]) <= 3
    assert controller.get("/v1/droplets?limit=4").status == 400


def test_without_a_token_nobody_learns_what_there_is(controller):
    paths = ["/v1/droplets", "/v1/droplets/1", "/v1/switches", "/v1/nothing", "/v1/openapi.json"]
    for path in paths:
        for authorization in (None, "Bearer", "Bearer wrong", f"Basic {'a' * 40}", "a" * 40):
            headers = {"Authorization": authorization} if authorization else {}
            answer = controller.get(path, role=None, headers=headers)
            assert answer.status == 401, (path, authorization)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert controller.request("PUT", "/v1/droplets/77", droplet("x"), role=None).status == 401
    assert controller.get("/v1/droplets/77").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/droplets"),
        ("POST", "/v1/droplets"),
        ("GET", "/v1/droplets/1"),
        ("PUT", "/v1/droplets/1"),
        ("DELETE", "/v1/droplets/1"),
    ],
)
def test_droplets_are_beyond_the_role_server(controller, method, path):
    answer = controller.request(method, path, token="s" * 40)
    assert answer.status == 403
    assert "role admin" in answer.json["detail"]


def test_a_token_bound_to_a_switch_sees_that_switch_alone(controller):
    bound = {"token": "b" * 40}
    switches = controller.get("/v1/switches", **bound).json["switches"]
    assert [entry["dpid"] for entry in switches] == [DPID_TEXT]
    assert controller.get(f"/v1/switches/{DPID_TEXT}/ports", **bound).status == 200
    for path in ("ports", "ports?watch=true"):
        assert controller.get(f"/v1/switches/{OTHER_TEXT}/{path}", **bound).status == 403
    acknowledgement = f"/v1/switches/{OTHER_TEXT}/servers/s1"
    assert controller.request("PUT", acknowledgement, {"revision": 1}, **bound).status == 403
    assert controller.request("DELETE", acknowledgement, **bound).status == 403
    everything = controller.get("/v1/switches", token="s" * 40).json["switches"]
    assert [entry["dpid"] for entry in everything] == [DPID_TEXT, OTHER_TEXT]


def test_a_new_token_counts_without_a_restart(controller):
    file = controller.state_dir / "tokens"
    before = file.read_text()
    file.write_text(before + f"admin {'n' * 40}\n")
    assert controller.get("/v1/droplets", token="n" * 40).status == 200
    file.write_text(before)
    assert controller.get("/v1/droplets", token="n" * 40).status == 401


def test_other_methods_and_paths(controller):
    answer = controller.request("PATCH", "/v1/droplets/1")
    assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, PUT")
    assert controller.request("POST", "/healthz").status == 405
    for path in ("/v1", "/v1/", "/v1/droplets/", "/v1/droplets/1/x", "/v1/x%0Ay", "//v1"):
        answer = controller.get(path)
        assert (answer.status, answer.json["status"]) == (404, 404), path


def test_strange_bytes_in_the_request_line_and_headers_are_answered(controller):
    for path in (b"/v1/droplets/%ff%fe", b"/%00", b"/v1/droplets?tag=%ff", b"/v1/droplets?%ff=1"):
        answer = controller.raw(
            b"GET %b HTTP/1.0\r\nAuthorization: Bearer %b\r\nIf-None-Match: \xff\r\n\r\n"
            % (path, b"a" * 40)
        )
        assert answer.split()[1] in (b"400", b"404"), path
    answer = controller.raw(b"GET /v1/droplets HTTP/1.0\r\nAuthorization: Bearer \xc3\xa9\r\n\r\n")
    assert answer.split()[1] == b"401"
    assert "Traceback" not in controller.log_text()


def test_health_and_metrics_need_no_token(controller):
    for path in ("/healthz", "/readyz", "/metrics"):
        assert controller.get(path, role=None).status == 200
        assert controller.request("HEAD", path, role=None).status == 200
    text = controller.get("/metrics", role=None).body.decode()
    assert 'method="PUT",path="/v1/droplets/{droplet_id}",status="413"' in text
    assert "/v1/nothing" not in text
    controller.request("FROB", "/v1/droplets")
    assert "FROB" not in controller.get("/metrics", role=None).body.decode()


def test_what_is_not_ready_says_why(tmp_path):
    controller = RestController(tmp_path, arguments=["--not-ready", "OpenFlow is not up"])
    try:
        answer = controller.get("/readyz", role=None)
        assert (answer.status, answer.json["reasons"]) == (503, ["OpenFlow is not up"])
        assert controller.get("/healthz", role=None).status == 200
    finally:
        controller.kill()


def test_a_slow_sender_holds_nobody_up(controller):
    slow = socket.create_connection(("127.0.0.1", controller.port), timeout=30)
    with slow:
        slow.sendall(b"PUT /v1/droplets/1 HTTP/1.1\r\nHost: x\r\nContent-Le")
        for _ in range(5):
            assert controller.get("/v1/droplets").status == 200


def test_a_silent_connection_is_closed(tmp_path):
    """One that never spoke, one within a head, and one that was kept; a stream is none of them."""
    options = ("--ryu", "--idle", "1")
    controller = RestController(tmp_path, pace={"heartbeat": 0.2}, arguments=options)
    try:
        controller.do("connect", dpid=DPID)
        controller.do("in-sync", dpid=DPID)
        with controller.watch() as stream:
            mute, slow, kept = (
                socket.create_connection(("127.0.0.1", controller.port), timeout=30)
                for _ in range(3)
            )
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHos")
            kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            for connection in (mute, slow, kept):
                with connection:
                    while connection.recv(4096):
                        continue
            assert [stream.line() for _ in range(3)]
    finally:
        controller.kill()


def test_batches_under_way_are_bounded_and_their_places_come_back(tmp_path):
    controller = RestController(tmp_path, limits={"batches": 2})
    try:
        token = controller.tokens["admin"]
        head = (
            f"POST /v1/droplets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/x-ndjson\r\nContent-Length: 100\r\n\r\n"
        )
        slow = [
            socket.create_connection(("127.0.0.1", controller.port), timeout=30) for _ in range(2)
        ]
        for connection in slow:
            connection.sendall(head.encode())
        wait_until(lambda: controller.gauge("ovs_metadata_batches") == 2, "two under way")
        batch = [droplet("tap1") | {"droplet_id": 1}]
        answer = controller.request("POST", "/v1/droplets", batch)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        for connection in slow:
            connection.close()
        wait_until(lambda: controller.gauge("ovs_metadata_batches") == 0, "both places are back")
        assert controller.request("POST", "/v1/droplets", batch).status == 200
    finally:
        controller.kill()


def test_one_switch_takes_no_more_than_its_share_of_the_watchers(tmp_path):
    controller = RestController(tmp_path, limits={"watchers_per_switch": 2})
    try:
        for dpid in (DPID, OTHER):
            controller.do("connect", dpid=dpid)
            controller.do("in-sync", dpid=dpid)
        with controller.watch(), controller.watch():
            answer = controller.get(f"/v1/switches/{DPID_TEXT}/ports?watch=true&server=s1")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert "of one switch" in answer.json["detail"]
            controller.watch(dpid=OTHER_TEXT).close()
    finally:
        controller.kill()


def test_what_there_is_a_bound_to_is_counted(controller):
    assert controller.gauge("ovs_metadata_switches") == 2
    assert controller.gauge("ovs_metadata_followers") == 0
    assert controller.gauge("ovs_metadata_news_waiting") == 0


def test_the_watchers_are_bounded_and_their_places_come_back(tmp_path):
    controller = RestController(tmp_path, limits={"watchers": 2}, pace={"heartbeat": 0.1})
    try:
        controller.do("connect", dpid=DPID)
        controller.do("in-sync", dpid=DPID)
        with controller.watch(), controller.watch():
            path = f"/v1/switches/{DPID_TEXT}/ports?watch=true&server=s1"
            answer = controller.get(path)
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "5"
            assert controller.do("followers") == []
        wait_until(lambda: controller.gauge("ovs_metadata_watchers") == 0, "both places are back")
        controller.watch().close()
    finally:
        controller.kill()
