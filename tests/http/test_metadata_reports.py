"""What droplet-agent sends, over real sockets: kept, refused, bounded, and never in others' way."""

import itertools
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.http.conftest import Server
from tests.http.fake_controller import FakeController, port, wait_until

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
PATH = "/metadata/v1.json"
PROC = Path("/proc")
JSON = "application/json; charset=utf-8"
IDS = itertools.count(7)
RUNNING = {"dotty_status": "running", "ssh_info": {"port": 22}}


def patch(server, body, address=DROPLET, path=PATH, content_type=JSON):
    """One PATCH as droplet-agent sends it: (status, headers, body)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = server.connect(address)
    headers = {"User-Agent": "Droplet-Agent/1.4.0"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    try:
        connection.request("PATCH", path, body=data, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def document(server, address=DROPLET):
    return json.loads(server.get(PATH, address)[2])


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """One server and its controller for all tests that leave both running."""
    controller = FakeController().start()
    server = Server(tmp_path_factory.mktemp("reports"), controller.url)
    try:
        yield server.start(), controller
    finally:
        server.kill()
        controller.stop()


@pytest.fixture
def controller(common):
    """The common one, with droplets of each test's own: their calls are counted."""
    controller = common[1]
    controller.report_status, controller.silent, controller.waiting = 200, False, 0
    controller.own, controller.other = next(IDS), next(IDS)
    controller.put(port(602, DROPLET, controller.own), port(603, OTHER, controller.other))
    controller.wait_acknowledged()
    controller.reports.clear()
    return controller


@pytest.fixture
def agent_server(common, controller):
    """The common one."""
    return common[0]


@pytest.fixture
def fresh_server(make_server):
    """A server, and a controller as `server.controller`, of the test's own."""
    controller = FakeController().start()
    controller.put(port(602, DROPLET, 7), port(603, OTHER, 8))
    server = make_server(controller).start()
    server.controller = controller
    controller.wait_acknowledged()
    yield server
    controller.stop()


def test_what_the_agent_says_is_kept_and_served(agent_server, controller):
    assert patch(agent_server, RUNNING)[0] == 202
    assert controller.reports == [(controller.own, RUNNING)]
    controller.wait_acknowledged()
    assert {key: document(agent_server)[key] for key in RUNNING} == RUNNING
    assert "dotty_status" not in document(agent_server, OTHER)
    assert patch(agent_server, {"dotty_status": "stopped"})[0] == 202
    controller.wait_acknowledged()
    assert document(agent_server)["dotty_status"] == "stopped"
    assert document(agent_server)["ssh_info"] == {"port": 22}


def test_nothing_else_of_it_changes_anything(agent_server, controller):
    evil = {"hostname": "x", "droplet_id": 8, "public_keys": ["ssh-rsa A"], "user_data": "x"}
    before = agent_server.get(PATH, DROPLET)[2]
    assert patch(agent_server, evil)[0] == 202
    assert patch(agent_server, {})[0] == 202
    assert patch(agent_server, {"dotty_status": None, "ssh_info": None})[0] == 202
    assert controller.reports == []
    assert patch(agent_server, {**evil, **RUNNING})[0] == 202
    assert controller.reports == [(controller.own, RUNNING)]
    controller.wait_acknowledged()
    assert document(agent_server) == {**json.loads(before), **RUNNING}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"running"',
        b"\xff\xfe",
        b"[" * 8000,
        b'{"dotty_status":1}',
        b'{"dotty_status":"two words"}',
        b'{"dotty_status":""}',
        b'{"ssh_info":22}',
        b'{"ssh_info":{}}',
        b'{"ssh_info":{"port":"22"}}',
        b'{"ssh_info":{"port":0}}',
        b'{"ssh_info":{"port":65536}}',
        b'{"ssh_info":{"port":true}}',
        b'{"ssh_info":{"port":22,"host_keys":"ssh-rsa A"}}',
        b'{"ssh_info":{"port":22,"host_keys":["two\\nlines"]}}',
    ],
)
def test_malformed_is_400(agent_server, controller, body):
    assert patch(agent_server, body)[0] == 400
    assert controller.reports == []
    assert agent_server.get(PATH, DROPLET)[0] == 200


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/json; charset=latin-1", "application/jsonx"]
)
def test_another_content_type_is_415(agent_server, content_type):
    assert patch(agent_server, RUNNING, content_type=content_type)[0] == 415


@pytest.mark.parametrize("content_type", ["application/json", 'Application/JSON;charset="UTF-8"'])
def test_json_by_other_spellings(agent_server, content_type):
    assert patch(agent_server, RUNNING, content_type=content_type)[0] == 202


def test_too_large_is_413_and_not_read(agent_server, controller):
    head = b"PATCH /metadata/v1.json HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    received = agent_server.raw(head + b"Content-Length: 8193\r\n\r\n{", DROPLET)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in received.lower()
    assert controller.reports == []


def test_only_the_document_can_be_patched(agent_server):
    status, headers, _ = patch(agent_server, RUNNING, path="/metadata/v1/id")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    for method in ("PUT", "POST", "DELETE"):
        status, headers, _ = agent_server.get(PATH, DROPLET, method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD, PATCH")


def test_others_may_not(agent_server, controller):
    assert patch(agent_server, RUNNING, "127.1.9.9")[0] == 503
    data = json.dumps(RUNNING).encode()
    for header in (b"Via: x", b"X-Forwarded-For: 127.1.2.90"):
        head = b"PATCH /metadata/v1.json HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        end = b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(data)
        assert agent_server.raw(head + header + end + data, DROPLET).startswith(b"HTTP/1.1 403 ")
    assert controller.reports == []


def test_what_is_known_already_is_no_call(agent_server, controller):
    for _ in range(20):
        assert patch(agent_server, RUNNING)[0] == 202
    assert controller.reports == [(controller.own, RUNNING)]


def test_back_to_what_the_view_still_shows_is_a_call(agent_server, controller):
    """The stream is late: by the view nothing changes, by what was kept since it does."""
    assert patch(agent_server, {"dotty_status": "running"})[0] == 202
    controller.wait_acknowledged()
    controller.silent = True
    assert patch(agent_server, {"dotty_status": "stopped"})[0] == 202
    assert patch(agent_server, {"dotty_status": "running"})[0] == 202
    said = [reported["dotty_status"] for _, reported in controller.reports]
    assert said == ["running", "stopped", "running"]


def test_what_an_operator_took_away_is_said_again(agent_server, controller):
    """Registering a droplet may drop what its agent said; by what is served it is new."""
    assert patch(agent_server, RUNNING)[0] == 202
    controller.put(port(602, DROPLET, controller.own))
    controller.wait_acknowledged()
    assert patch(agent_server, RUNNING)[0] == 202
    assert controller.reports == [(controller.own, RUNNING)] * 2


def test_what_is_known_already_is_no_call_while_the_stream_is_late(agent_server, controller):
    controller.silent = True
    for _ in range(20):
        assert patch(agent_server, RUNNING)[0] == 202
    assert controller.reports == [(controller.own, RUNNING)]


def test_a_flood_of_one_droplet_is_refused_and_others_are_heard(agent_server, controller):
    statuses = [patch(agent_server, {"dotty_status": f"s{n}"})[0] for n in range(30)]
    assert set(statuses) == {202, 429}
    assert statuses[:5] == [202] * 5
    assert len(controller.reports) == statuses.count(202) < 15
    status, headers, _ = patch(agent_server, {"dotty_status": "again"})
    assert status == 202 or headers["Retry-After"] == "5"
    assert patch(agent_server, RUNNING, OTHER)[0] == 202


@pytest.mark.parametrize(("theirs", "ours"), [(400, 400), (404, 503), (500, 503), (503, 503)])
def test_what_the_controller_refuses(agent_server, controller, theirs, ours):
    controller.report_status = theirs
    status, headers, _ = patch(agent_server, RUNNING)
    assert status == ours
    assert headers["Retry-After"] == ("5" if ours == 503 else None)
    controller.report_status = 200
    assert patch(agent_server, RUNNING)[0] == 202


def test_without_a_controller_the_agent_is_told_to_come_again(fresh_server):
    fresh_server.controller.stop()
    status, headers, _ = patch(fresh_server, RUNNING)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert fresh_server.get(PATH, DROPLET)[0] == 200
    fresh_server.controller.restart()
    assert patch(fresh_server, RUNNING)[0] == 202
    fresh_server.controller.wait_acknowledged()
    assert document(fresh_server)["dotty_status"] == "running"


def test_the_next_controller_is_tried(make_server, controller):
    server = make_server(f"http://127.0.0.1:1,{controller.url}").start()
    wait_until(lambda: server.get(PATH, DROPLET)[0] == 200, "the view")
    assert patch(server, RUNNING)[0] == 202
    assert controller.reports == [(controller.own, RUNNING)]


def test_a_controller_that_does_not_answer_holds_nobody_up(agent_server, controller):
    controller.reports_held.clear()
    answers = []
    waiting = [
        threading.Thread(target=lambda a=a: answers.append(patch(agent_server, RUNNING, a)[0]))
        for a in (DROPLET, OTHER)
    ]
    for thread in waiting:
        thread.start()
    for _ in range(50):
        assert agent_server.get("/metadata/v1/id", DROPLET)[2] == str(controller.own).encode()
    assert answers == []
    controller.reports_held.set()
    for thread in waiting:
        thread.join()
    assert answers == [202, 202]


def slow_body(server, address):
    """A PATCH whose body does not come."""
    connection = socket.create_connection(("127.0.0.1", server.port), 30, (address, 0))
    head = b"PATCH /metadata/v1.json HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
    return connection


def test_a_body_that_does_not_come_is_408_and_ends_the_connection(agent_server, controller):
    with slow_body(agent_server, DROPLET) as connection:
        assert agent_server.get("/metadata/v1/id", DROPLET)[2] == str(controller.own).encode()
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_body_cut_short_is_400_or_nobodys(agent_server, controller):
    slow_body(agent_server, DROPLET).close()
    wait_until(lambda: patch(agent_server, RUNNING)[0] == 202, "the place free again")
    assert controller.reports == [(controller.own, RUNNING)]


@pytest.mark.slow
def test_slow_bodies_of_many_droplets_neither_stay_nor_hold_others_up(make_server):
    """More of them than are read at once, again and again; threads are bounded and come free."""
    controller = FakeController(subnet="127.1.0.0/16").start()
    slow = [f"127.1.3.{n}" for n in range(1, 41)]
    controller.put(*(port(n, address, n) for n, address in enumerate(slow, start=1)))
    controller.put(port(602, DROPLET, 7))
    server = make_server(controller).start()
    controller.wait_acknowledged()
    ended = threading.Event()

    def hold(address):
        while not ended.is_set():
            with slow_body(server, address) as connection:
                try:
                    while connection.recv(4096):
                        continue
                except ConnectionResetError:
                    continue  # closed with our byte unread
            time.sleep(0.05)

    threads = [threading.Thread(target=hold, args=(address,)) for address in slow]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: patch(server, RUNNING)[0] == 202, "the agent being heard")
        for _ in range(100):
            assert server.get("/metadata/v1/id", DROPLET)[2] == b"7"
        (worker,) = server.workers()
        assert len(list((PROC / str(worker) / "task").iterdir())) < 70
        assert len(list((PROC / str(worker) / "fd").iterdir())) < 150
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    wait_until(lambda: patch(server, {"dotty_status": "stopped"})[0] == 202, "room again")
    controller.stop()


def test_several_reports_of_one_droplet_at_once(agent_server, controller):
    """One is carried out, the others are told to come again; none is lost without a word."""
    controller.reports_held.clear()
    first = []
    thread = threading.Thread(target=lambda: first.append(patch(agent_server, RUNNING)[0]))
    thread.start()
    wait_until(lambda: controller.waiting, "the first under way")
    assert patch(agent_server, {"dotty_status": "x"})[0] == 429
    controller.reports_held.set()
    thread.join()
    assert first == [202]


def test_keep_alive_over_a_report(agent_server, controller):
    connection = agent_server.connect(DROPLET)
    for body in (b'{"dotty_status":"running"}', b"nonsense"):
        connection.request("PATCH", PATH, body=body, headers={"Content-Type": JSON})
        assert connection.getresponse().read()
        opened = connection.sock
        connection.request("GET", "/metadata/v1/id")
        assert connection.getresponse().read() == str(controller.own).encode()
        assert connection.sock is opened
    connection.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/appkey/droplet-auth-token"),
        ("POST", "/v1/metrics/droplet_id/7"),
        ("POST", "/v1/sre-agents/droplets/logs"),
        ("POST", "/v1/sre-agents/droplets/logs/completed"),
    ],
)
def test_services_not_offered_are_404(agent_server, method, path):
    status, _, body = agent_server.get(path, DROPLET, method=method)
    assert (status, body) == (404, b"404 Not Found")


def test_maintenance_event(agent_server, controller):
    path = "/v1/maintenance_event"
    status, headers, body = agent_server.get(path, DROPLET)
    assert (status, headers["Content-Length"], body) == (200, "0", b"")
    controller.put(port(602, DROPLET, controller.own, maintenance_event="live_migrate"))
    controller.wait_acknowledged()
    assert agent_server.get(path, DROPLET)[2] == b"live_migrate"
    assert agent_server.get(path, OTHER)[2] == b""
    controller.put(port(602, DROPLET, controller.own))
    controller.wait_acknowledged()
    assert agent_server.get(path, DROPLET)[2] == b""


def test_a_server_killed_in_between_still_knows_it(fresh_server):
    """The event and the formats are in the snapshot as they came."""
    fresh_server.controller.put(
        port(602, DROPLET, 7, maintenance_event="live_migrate", formats=["openstack"])
    )
    fresh_server.controller.wait_acknowledged()
    fresh_server.controller.stop()
    fresh_server.kill()
    fresh_server.start()
    assert fresh_server.get("/openstack/latest/meta_data.json", DROPLET)[0] == 200
    assert fresh_server.get("/metadata/v1/id", DROPLET)[0] == 404
