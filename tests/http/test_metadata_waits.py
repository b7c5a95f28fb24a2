"""Change notice over real sockets: ETag and If-None-Match, and requests that wait for a change."""

import json
import selectors
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.http.conftest import Server
from tests.http.fake_controller import FakeController, port, wait_until

PROC = Path("/proc")
DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
HOSTNAME = "/metadata/v1/hostname"


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """One server and its controller for all tests that leave both running."""
    controller = FakeController().start()
    folder = tmp_path_factory.mktemp("waits")
    server = Server(folder, controller.url, max_waits=40, max_waits_per_droplet=8)
    try:
        yield server.start(), controller
    finally:
        server.kill()
        controller.stop()


@pytest.fixture
def controller(common):
    """The common one, its bridge as each test expects it."""
    controller = common[1]
    for ofport in list(controller.ports):
        controller.remove(ofport)
    controller.put(port(602, DROPLET, 7, tags=["web"]), port(603, OTHER, 8))
    controller.wait_acknowledged()
    return controller


@pytest.fixture
def waiting_server(common, controller):
    wait_until(lambda: waits(common[0]) == 0, "nobody waiting")
    return common[0]


class Poll:
    """A GET in the background; `join` gives (status, headers, body), or an OSError as status."""

    def __init__(self, server, path, address=DROPLET, headers=None):
        self.answer = None
        arguments = (server, path, address, headers)
        self._thread = threading.Thread(target=self._ask, args=arguments, daemon=True)
        self._thread.start()

    def _ask(self, server, path, address, headers):
        try:
            self.answer = server.get(path, address, headers=headers)
        except OSError as fault:
            self.answer = (fault, {}, b"")

    def join(self):
        self._thread.join(60)
        assert self.answer is not None, "never answered"
        return self.answer


def waits(server):
    return json.loads(server.admin("/readyz")[1])["waits"]


def poll(server, path, address=DROPLET, query="", headers=None):
    """A GET that is waiting by now."""
    before = waits(server)
    made = Poll(server, f"{path}?wait_for_change=true{query}", address, headers)
    wait_until(lambda: waits(server) == before + 1, "the request waiting")
    return made


def etag(server, path=HOSTNAME, address=DROPLET):
    return server.get(path, address)[1]["ETag"]


def last(tag):
    """As a query has it: a quote is no character of a URL."""
    return f"&last_etag={quote(tag)}"


@pytest.mark.parametrize("path", [HOSTNAME, "/metadata/v1/", "/metadata/v1/tags/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_etag_and_304(waiting_server, path, method):
    status, headers, body = waiting_server.get(path, DROPLET, method)
    tag = headers["ETag"]
    assert status == 200
    assert tag.startswith('"')
    assert tag.endswith('"')
    for condition in (tag, f"W/{tag}", f'"x", {tag}', "*", f'"a,b" , W/"c",{tag}'):
        given = {"If-None-Match": condition}
        status, headers, body = waiting_server.get(path, DROPLET, method, given)
        assert (status, headers["ETag"], body) == (304, tag, b"")
    for condition in ('"x"', tag.strip('"'), ""):
        given = {"If-None-Match": condition}
        assert waiting_server.get(path, DROPLET, method, given)[0] == 200


def test_304_leaves_the_connection_in_step(waiting_server):
    connection = waiting_server.connect(DROPLET)
    for _ in range(3):
        connection.request("GET", HOSTNAME, headers={"If-None-Match": "*"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (304, b"")
        connection.request("GET", HOSTNAME)
        assert connection.getresponse().read() == b"host-7"
    connection.close()


def test_a_condition_does_not_make_anything_appear(waiting_server):
    for path, expected in (("/nowhere", 404), ("/metadata/v1/tags", 301)):
        assert waiting_server.get(path, DROPLET, headers={"If-None-Match": "*"})[0] == expected
    assert waiting_server.get(HOSTNAME, "127.1.9.9", headers={"If-None-Match": "*"})[0] == 503


def test_the_tag_changes_with_the_value_and_only_with_it(waiting_server, controller):
    names = (HOSTNAME, "/metadata/v1/tags/", "/metadata/v1.json", "/metadata/v1/")
    before = {name: etag(waiting_server, name) for name in names}
    controller.put(port(602, DROPLET, 7, tags=["web", "db"]))
    controller.wait_acknowledged()
    after = {name: etag(waiting_server, name) for name in names}
    assert after[HOSTNAME] == before[HOSTNAME]
    assert after["/metadata/v1/"] == before["/metadata/v1/"]
    assert after["/metadata/v1/tags/"] != before["/metadata/v1/tags/"]
    assert after["/metadata/v1.json"] != before["/metadata/v1.json"]


@pytest.mark.parametrize("path", [HOSTNAME, "/metadata/v1.json", "/v1/maintenance_event"])
def test_a_change_ends_the_wait(waiting_server, controller, path):
    tag = etag(waiting_server, path)
    waiting = poll(waiting_server, path, query=last(tag))
    changed = port(602, DROPLET, 7, hostname="new", maintenance_event="live_migrate")
    controller.put(changed)
    status, headers, body = waiting.join()
    assert status == 200
    assert headers["ETag"] != tag
    assert body == waiting_server.get(path, DROPLET)[2]
    assert waits(waiting_server) == 0


def test_without_a_tag_the_wait_is_for_a_change_from_now(waiting_server, controller):
    waiting = poll(waiting_server, "/metadata/v1/tags/")
    controller.put(port(602, DROPLET, 7, tags=["web"], hostname="other"))
    controller.wait_acknowledged()
    assert waiting.answer is None
    controller.put(port(602, DROPLET, 7, tags=["db"], hostname="other"))
    assert waiting.join()[2] == b"db"


@pytest.mark.parametrize(
    "tag", ["0", "NONE", "%22x%22", "0" * 1000], ids=["0", "none", "quoted", "long"]
)
def test_another_tag_is_answered_at_once(waiting_server, tag):
    path = f"{HOSTNAME}?wait_for_change=true&last_etag={tag}"
    assert waiting_server.get(path, DROPLET)[2] == b"host-7"


def test_the_tag_counts_with_and_without_quotes(waiting_server, controller):
    tag = etag(waiting_server).strip('"')
    waiting = [
        poll(waiting_server, HOSTNAME, query=f"&last_etag={each}")
        for each in (tag, f"%22{tag}%22", f"W/%22{tag}%22")
    ]
    controller.put(port(602, DROPLET, 7, hostname="new"))
    assert {each.join()[2] for each in waiting} == {b"new"}


def test_time_is_up(waiting_server):
    tag = etag(waiting_server)
    for seconds in ("0", "0.2"):
        path = f"{HOSTNAME}?wait_for_change=true&timeout_sec={seconds}{last(tag)}"
        status, headers, body = waiting_server.get(path, DROPLET)
        assert (status, headers["ETag"], body) == (200, tag, b"host-7")
    given = {"If-None-Match": tag}
    assert waiting_server.get(path, DROPLET, headers=given)[0] == 304


@pytest.mark.parametrize("seconds", ["-1", "abc", "nan", "inf", "1e999"])
def test_a_time_that_is_none_is_400(waiting_server, seconds):
    path = f"{HOSTNAME}?wait_for_change=true&timeout_sec={seconds}"
    assert waiting_server.get(path, DROPLET)[0] == 400


@pytest.mark.parametrize(
    "query", ["wait_for_change=false", "wait_for_change", "last_etag=x", "a=b"]
)
def test_other_queries_do_not_wait(waiting_server, query):
    assert waiting_server.get(f"{HOSTNAME}?{query}", DROPLET)[2] == b"host-7"


def test_what_is_not_there_is_not_waited_for(waiting_server):
    assert waiting_server.get("/nowhere?wait_for_change=true", DROPLET)[0] == 404
    path = "/metadata/v1/reserved_ip/ipv4/ip_address?wait_for_change=true"
    assert waiting_server.get(path, DROPLET)[0] == 404


def test_an_index_without_its_slash_leads_to_the_wait(waiting_server):
    path = "/metadata/v1/tags?wait_for_change=true&last_etag=%22x%22"
    status, headers, _ = waiting_server.get(path, DROPLET)
    assert status == 301
    assert headers["Location"] == "/metadata/v1/tags/?wait_for_change=true&last_etag=%22x%22"


def test_a_node_that_goes_is_a_change(waiting_server, controller):
    address = {"ipv4": {"active": True, "ip_address": "192.0.2.9"}}
    controller.put(port(602, DROPLET, 7, reserved_ip=address))
    controller.wait_acknowledged()
    waiting = poll(waiting_server, "/metadata/v1/reserved_ip/ipv4/ip_address")
    controller.put(port(602, DROPLET, 7))
    assert waiting.join()[0] == 404


@pytest.mark.parametrize("rebound", ["other droplet", "same droplet anew", "unbound", "gone"])
def test_whose_port_is_rebound_meanwhile_gets_nothing(waiting_server, controller, rebound):
    waiting = [poll(waiting_server, each) for each in (HOSTNAME, "/metadata/v1.json")]
    if rebound == "gone":
        controller.remove(602)
    elif rebound == "unbound":
        controller.put(port(602, DROPLET))
    elif rebound == "same droplet anew":
        controller.put({**port(602, DROPLET, 7, hostname="secret"), "binding": 99})
    else:
        controller.put(port(602, DROPLET, 9, hostname="secret"))
    for each in waiting:
        status, headers, body = each.join()
        # Its connection is ended, too; which of the two is quicker is left open.
        assert isinstance(status, OSError) or (status, headers["Connection"]) == (503, "close")
        assert b"secret" not in body


@pytest.mark.slow
def test_who_waits_while_the_view_becomes_uncertain_gets_503(make_server):
    controller = FakeController(lease=1.0).start()
    controller.put(port(602, DROPLET, 7))
    server = make_server(controller).start()
    controller.wait_acknowledged()
    waiting = poll(server, HOSTNAME, query="&timeout_sec=3")
    controller.silent = True
    assert waiting.join()[0] == 503
    controller.stop()


def test_at_the_bounds(waiting_server, controller):
    """max_waits_per_droplet is 8 here, max_waits is 40."""
    own = [poll(waiting_server, HOSTNAME) for _ in range(8)]
    status, headers, _ = waiting_server.get(f"{HOSTNAME}?wait_for_change=true", DROPLET)
    assert (status, headers["Retry-After"]) == (429, "2")
    assert waiting_server.get(HOSTNAME, DROPLET)[0] == 200
    more = [f"127.1.3.{n}" for n in range(1, 5)]
    controller.put(*(port(n, address, n) for n, address in enumerate(more, start=1)))
    controller.wait_acknowledged()
    others = [poll(waiting_server, HOSTNAME, address) for address in more for _ in range(8)]
    status, headers, _ = waiting_server.get(f"{HOSTNAME}?wait_for_change=true", OTHER)
    assert (status, headers["Retry-After"]) == (503, "2")
    controller.put(port(602, DROPLET, 7, hostname="new"))
    assert {each.join()[2] for each in own} == {b"new"}
    others.append(poll(waiting_server, HOSTNAME, OTHER))
    controller.put(*(port(n, a, n, hostname="new") for n, a in enumerate(more, start=1)))
    controller.put(port(603, OTHER, 8, hostname="new"))
    assert {each.join()[2] for each in others} == {b"new"}


def test_stopping_answers_all_that_wait(make_server, controller):
    server = make_server(controller).start()
    wait_until(lambda: server.get(HOSTNAME, DROPLET)[0] == 200, "the view")
    waiting = [poll(server, HOSTNAME) for _ in range(8)]
    assert server.stop() == 0
    assert {each.join()[2] for each in waiting} == {b"host-7"}


@pytest.mark.slow
def test_a_wait_longer_than_the_time_for_a_head(make_server, controller):
    server = make_server(controller, header_timeout=1).start()
    wait_until(lambda: server.get(HOSTNAME, DROPLET)[0] == 200, "the view")
    status, _, body = server.get(f"{HOSTNAME}?wait_for_change=true&timeout_sec=2.5", DROPLET)
    assert (status, body) == (200, b"host-7")


def test_a_wait_is_cut_at_the_longest(make_server, controller):
    server = make_server(controller, longest_wait=0.3).start()
    wait_until(lambda: server.get(HOSTNAME, DROPLET)[0] == 200, "the view")
    for query in ("", "&timeout_sec=1000"):
        assert server.get(f"{HOSTNAME}?wait_for_change=true{query}", DROPLET)[0] == 200


def test_no_change_is_missed_between_answer_and_question(waiting_server, controller):
    """A client that follows a value sees the last one, however the two interleave."""
    seen, final = [], b"name-200"
    connection = waiting_server.connect(DROPLET)

    def follow():
        tag = ""
        while not seen or seen[-1] != final:
            connection.request("GET", f"{HOSTNAME}?wait_for_change=true{last(tag)}")
            response = connection.getresponse()
            seen.append(response.read())
            tag = response.headers["ETag"]

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for n in range(1, 201):
        controller.put(port(602, DROPLET, 7, hostname=f"name-{n}"))
    thread.join(30)
    assert seen[-1] == final
    assert len(seen) == len(set(seen))
    connection.close()


@pytest.mark.slow
def test_two_thousand_waiting_hold_nobody_up(make_server, many_files):
    """No thread waits with them, others get their answers, and each change finds its own."""
    controller = FakeController(subnet="127.1.0.0/16").start()
    addresses = [f"127.1.4.{n}" for n in range(1, 101)]
    controller.put(port(602, DROPLET, 7))
    controller.put(*(port(n, each, n) for n, each in enumerate(addresses, start=1000)))
    server = make_server(controller).start()
    controller.wait_acknowledged()
    request = f"GET {HOSTNAME}?wait_for_change=true HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with selectors.DefaultSelector() as answered:
        for address in addresses * 20:
            connection = socket.create_connection(("127.0.0.1", server.port), 30, (address, 0))
            connection.sendall(request)
            answered.register(connection, selectors.EVENT_READ, address)
        wait_until(lambda: waits(server) == 2000, "all of them waiting")
        (worker,) = server.workers()
        assert len(list((PROC / str(worker) / "task").iterdir())) < 40
        for _ in range(100):
            assert server.get("/metadata/v1/id", DROPLET)[2] == b"7"
        assert answered.select(0) == []
        controller.put(port(1000, addresses[0], 1000, hostname="new"))
        wait_until(lambda: len(answered.select(0)) == 20, "the answers of one droplet")
        assert {key.data for key, _ in answered.select(0)} == {addresses[0]}
        begun = time.monotonic()
        controller.put(*(port(n, a, n, hostname="x") for n, a in enumerate(addresses, start=1000)))
        wait_until(lambda: len(answered.select(0)) == 2000, "everybody's answer")
        print(f"1980 answered in {time.monotonic() - begun:.2f} s")
        for key in list(answered.get_map().values()):
            key.fileobj.close()
    assert waits(server) == 0
    controller.stop()
