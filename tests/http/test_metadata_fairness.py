"""What one droplet may take, over real sockets: its rate, its connections, and what it leaves."""

import contextlib
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http.conftest import Server, serving
from tests.http.fake_controller import FakeController, port, wait_until

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
ID = "/metadata/v1/id"
BURST = 50
MOST = 20
REQUESTS = 300
HALF_A_HEAD = f"GET {ID} HTTP/1.1\r\nHost: m\r\nX".encode()


@pytest.fixture(scope="module")
def controller():
    fake = FakeController(subnet="127.1.0.0/16").start()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, controller):
    """One server, whose droplets get a token in ten seconds and hold few connections."""
    limits = {"rate_limit": 0.1, "rate_burst": BURST, "max_connections_per_droplet": MOST}
    folder = tmp_path_factory.mktemp("fairness")
    made = Server(folder, controller.url, header_timeout=60, **limits)
    try:
        yield made.start()
    finally:
        made.kill()


@pytest.fixture(autouse=True)
def newcomers(server, controller):
    """Both addresses' droplets are new ones for each test: none owes anything."""
    newcomers.count += 1
    controller.put(port(602, DROPLET, newcomers.count), port(603, OTHER, 500 + newcomers.count))
    controller.wait_acknowledged()


newcomers.count = 100


def metric(server, name):
    found = re.search(rf"^metadata_http_{name} (\S+)$", server.admin("/metrics")[1], re.M)
    assert found, name
    return float(found[1])


def half_open(server, address):
    """A connection that has begun a request."""
    made = socket.create_connection(("127.0.0.1", server.port), 30, (address, 0))
    made.sendall(HALF_A_HEAD)
    return made


def is_open(connection):
    """Whether the server has not ended it, as far as this side was told."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def open_at_the_server(server, address):
    """The states of the server's connections from this address, as the kernel's table has them.

    Two states are nobody's any more, or not the server's yet: TIME_WAIT (06) and SYN_RECV (03).
    """
    (number,) = struct.unpack("<I", socket.inet_aton(address))
    with open("/proc/net/tcp") as table:
        rows = [row.split() for row in table][1:]
    local, remote = f":{server.port:04X}", f"{number:08X}:"
    found = [r[3] for r in rows if r[1].endswith(local) and r[2].startswith(remote)]
    return [state for state in found if state not in ("03", "06")]


def test_beyond_its_burst_a_droplet_is_answered_429_and_others_are_not(server):
    before = metric(server, "over_rate_total")
    connection = server.connect(DROPLET)
    for _ in range(BURST):
        connection.request("GET", ID)
        response = connection.getresponse()
        assert response.status == 200
        response.read()
    connection.request("GET", ID)
    response = connection.getresponse()
    assert (response.status, response.headers["Connection"]) == (429, "close")
    assert 1 <= int(response.headers["Retry-After"]) <= 10
    assert response.read() == b"429 Too Many Requests"
    connection.close()
    assert server.get("/metadata/v1.json", DROPLET, method="HEAD")[0] == 429
    assert server.get(ID, OTHER)[0] == 200
    assert metric(server, "over_rate_total") == before + 2
    assert DROPLET not in server.admin("/metrics")[1]


def test_a_pipeline_beyond_the_burst_is_cut_off(server):
    """One packet holds dozens of requests, so refusing them one by one would be no limit."""
    request = f"GET {ID} HTTP/1.1\r\nHost: m\r\n\r\n".encode()
    answers = server.raw(request * (BURST + 100), DROPLET)
    assert answers.count(b"HTTP/1.1 200") == BURST
    assert answers.count(b"HTTP/1.1 429") == 1


def test_the_next_droplet_owes_nothing(server, controller):
    for _ in range(BURST):
        server.get(ID, DROPLET)
    assert server.get(ID, DROPLET)[0] == 429
    controller.put(port(602, DROPLET, 9))
    controller.wait_acknowledged()
    assert server.get(ID, DROPLET)[2] == b"9"


def test_slow_connections_beyond_the_share_end_and_others_are_served(server):
    before = metric(server, 'connections_ended_total{reason="crowding"}')
    with contextlib.ExitStack() as held:
        others = [held.enter_context(half_open(server, OTHER)) for _ in range(MOST)]
        slow = [held.enter_context(half_open(server, DROPLET)) for _ in range(MOST * 3)]
        wait_until(lambda: sum(map(is_open, slow)) == MOST, "the rest ended")
        assert len(open_at_the_server(server, DROPLET)) == MOST
        assert all(map(is_open, others))
        assert server.get(ID, OTHER)[0] == 200
        ended = metric(server, 'connections_ended_total{reason="crowding"}') - before
        # The last of these gave way to the GET.
        assert MOST * 2 <= ended <= MOST * 2 + 1


def test_of_too_many_those_go_that_have_been_silent_for_longest(server):
    with contextlib.ExitStack() as held:
        silent = [held.enter_context(half_open(server, DROPLET)) for _ in range(MOST // 2)]
        wait_until(lambda: len(open_at_the_server(server, DROPLET)) == MOST // 2, "all there")
        busy = [held.enter_context(half_open(server, DROPLET)) for _ in range(MOST)]

        def talk():
            for each in busy:
                each.send(b"x")
            return not any(map(is_open, silent))

        wait_until(talk, "the silent ones ended")
        assert all(map(is_open, busy))


@pytest.mark.slow
def test_a_thousand_slow_connections_of_one_droplet_are_soon_a_few(server, many_files):
    with contextlib.ExitStack() as held:
        for _ in range(1000):
            with contextlib.suppress(ConnectionError):
                held.enter_context(half_open(server, DROPLET))
        for _ in range(BURST):
            assert server.get(ID, OTHER)[0] == 200
        wait_until(lambda: len(open_at_the_server(server, DROPLET)) <= MOST, "a few left")


@pytest.mark.parametrize("taken", ["another droplet's", "nobody's"])
def test_what_a_droplet_has_open_ends_with_its_binding(server, controller, taken):
    before = metric(server, 'connections_ended_total{reason="rebound"}')
    with contextlib.ExitStack() as held:
        mine = [held.enter_context(half_open(server, DROPLET)) for _ in range(5)]
        mine.append(held.enter_context(unread(server)))
        kept = held.enter_context(half_open(server, OTHER))
        wait_until(lambda: len(open_at_the_server(server, DROPLET)) == 6, "all there")
        if taken == "nobody's":
            controller.remove(602)
        else:
            controller.put(port(602, DROPLET, 9))
        controller.wait_acknowledged()
        # At once: the controller opens the port for the next when it has heard this.
        assert open_at_the_server(server, DROPLET) == []
        assert not any(map(is_open, mine[:5]))
        assert is_open(kept)
    assert metric(server, 'connections_ended_total{reason="rebound"}') == before + 6


def unread(server):
    """A connection with an answer that does not fit the receiver's window: unacknowledged."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    made.bind((DROPLET, 0))
    made.connect(("127.0.0.1", server.port))
    made.sendall(f"GET {ID} HTTP/1.1\r\nHost: m\r\n\r\n".encode() * (BURST - 1))
    return made


def test_a_new_document_of_the_same_droplet_ends_nothing(server, controller):
    with half_open(server, DROPLET) as mine:
        wait_until(lambda: open_at_the_server(server, DROPLET) == ["01"], "there")
        again = controller.ports[602]["droplet_id"]
        controller.put(port(602, DROPLET, again, tags=["new"]))
        controller.wait_acknowledged()
        mine.sendall(b": y\r\n\r\n")
        assert b"200 OK" in mine.recv(65536)


@pytest.mark.slow
def test_one_droplet_at_full_blast_leaves_the_others_their_time(tmp_path):
    """Told in answers: how many the server gives between two of another droplet's, which asks.

    Beyond its burst a droplet gets one 429 a connection, and each has to be made; without limits
    fifty answers come for one packet. What is waited in time is looked at in tests/system.
    """
    with_limits = in_between(tmp_path / "with")
    none = {"rate_limit": 0, "max_connections_per_droplet": 16000}
    without = in_between(tmp_path / "without", **none)
    assert without > 3 * with_limits, (with_limits, without)


def in_between(folder, **options):
    """How many answers a droplet at full blast gets for each of OTHER's."""
    folder.mkdir()
    droplets = (port(602, DROPLET, 7), port(603, OTHER, 8))
    with serving(folder, *droplets, **options) as server:
        script = Path(__file__).with_name("blast.py")
        command = [sys.executable, str(script), "127.0.0.1", str(server.port), DROPLET, "100"]
        with subprocess.Popen(command) as blast:
            try:
                wait_until(lambda: answers(server) > 1500, "the blast to have spent its burst")
                before = answers(server)
                for _ in range(REQUESTS):
                    assert server.get(ID, OTHER)[0] == 200
                return (answers(server) - before) / REQUESTS - 1
            finally:
                blast.kill()


def answers(server):
    """How many answers the server has given."""
    found = re.findall(
        r"^metadata_http_answers_total\{.*\} (\S+)$", server.admin("/metrics")[1], re.M
    )
    return sum(map(float, found))
