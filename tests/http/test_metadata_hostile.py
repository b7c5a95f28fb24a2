"""A real `metadata-http` process and guests that mean ill: the table, slowness, endlessness."""

import contextlib
import select
import socket
import statistics
import threading
import time

import pytest

from tests.http import hostile
from tests.http.answers import PATIENCE, connector
from tests.http.conftest import serving
from tests.http.fake_controller import port

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
DROPLET_ID = b"7889371"
# How many times as long others may wait on average. Where one holds them up they wait for seconds,
# which is hundreds of times; the machine and these clients' own work make it up to ten.
WORSE = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all requests here: none of them may change it.

    It has its own bounds but those that one droplet meets first: these are to hold without them.
    """
    folder = tmp_path_factory.mktemp("hostile")
    droplets = (port(602, DROPLET, int(DROPLET_ID)), port(603, OTHER, 7889372))
    own = {"rate_limit": 0, "max_connections_per_droplet": 2000}
    with serving(folder, *droplets, **own) as made:
        yield made


@pytest.mark.parametrize("case", hostile.TABLE, ids=lambda case: case.name)
def test_the_table(server, case):
    hostile.check(connector(server.port, DROPLET), case, DROPLET_ID, b"nyc3")


def wait_of_another(server):
    """How many seconds a droplet that does nothing odd waits for its answer."""
    before = time.monotonic()
    assert server.get("/metadata/v1/id", DROPLET)[2] == DROPLET_ID
    return time.monotonic() - before


@contextlib.contextmanager
def others_unaffected(server):
    """Gives a function to call again and again during the trouble; judges when it is over."""
    calm = [wait_of_another(server) for _ in range(100)]
    troubled = []

    def another_asks():
        troubled.append(wait_of_another(server))
        return troubled[-1]

    yield another_asks
    assert len(troubled) >= 100, "too few to tell"
    assert statistics.mean(troubled) < WORSE * statistics.mean(calm)


class Trickle(threading.Thread):
    """A thousand connections of one droplet with a head each, at a byte in ten seconds each.

    `held` is how many are still open; the thread ends when the server has ended all of them.
    """

    COUNT, BYTE_EVERY = 1000, 10.0

    def __init__(self, port_number):
        super().__init__(daemon=True)
        self._open = {}
        for _ in range(self.COUNT):
            connection = connector(port_number, OTHER)()
            connection.setblocking(False)
            connection.sendall(b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nX: ")
            self._open[connection.fileno()] = connection
        self.held = self.COUNT

    def run(self):
        ended = select.poll()
        for number in self._open:
            ended.register(number, select.POLLIN | select.POLLRDHUP)
        while self._open:
            for number, connection in list(self._open.items()):
                for gone, _ in ended.poll(self.BYTE_EVERY / self.COUNT * 1000):
                    ended.unregister(gone)
                    self._open.pop(gone).close()
                    self.held = len(self._open)
                if number in self._open:
                    with contextlib.suppress(ConnectionError):  # the poll will tell
                        connection.send(b"a")


@pytest.mark.slow
def test_a_thousand_trickling_connections_hold_nobody_up_and_end(server, many_files):
    """No byte saves them from header_timeout, and while they last others are served as before."""
    with others_unaffected(server) as another_asks:
        begin = time.monotonic()
        trickle = Trickle(server.port)
        trickle.start()
        longest = another_asks()
        assert trickle.held, "the server was to hold some of them"
        while trickle.is_alive():
            longest = max(longest, another_asks())
            assert time.monotonic() < begin + PATIENCE, f"{trickle.held} never ended"
        # Who waits for a fair part of the whole waited for trickling ones to end.
        assert longest < (time.monotonic() - begin) / 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [
        hostile.head(b"Content-Length: 1000000000000"),
        hostile.head(b"Content-Length: 1000000000000", method=b"POST"),
        hostile.head(b"Transfer-Encoding: chunked", method=b"PATCH", target=b"/metadata/v1.json")
        + b"ffffffff\r\n",
    ],
    ids=["GET", "POST", "chunked PATCH"],
)
def test_endless_bodies_are_cut_off_and_hold_nobody_up(server, head):
    """The sender never stops by itself: that it has to is the server's doing."""
    stop, cut_off = threading.Event(), []

    def send_endlessly():
        while not stop.is_set():
            with connector(server.port, OTHER)() as connection:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(head)
                    while not stop.is_set():
                        connection.sendall(b"x" * 65536)
                    continue
                cut_off.append(1)

    with others_unaffected(server) as another_asks:
        senders = [threading.Thread(target=send_endlessly) for _ in range(4)]
        for sender in senders:
            sender.start()
        for _ in range(100):
            another_asks()
        deadline = time.monotonic() + PATIENCE
        while len(cut_off) < 20 and time.monotonic() < deadline:
            another_asks()
        stop.set()
        for sender in senders:
            sender.join()
    assert len(cut_off) >= 20


@pytest.mark.slow
def test_a_client_that_does_not_read_holds_nobody_up(server):
    """Its answers fill its window and then wait; the others' do not."""
    with socket.socket() as deaf, others_unaffected(server) as another_asks:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind((OTHER, 0))
        deaf.connect(("127.0.0.1", server.port))
        deaf.settimeout(1)
        with pytest.raises(TimeoutError):  # the server takes no more from it
            while True:
                deaf.sendall(hostile.head(target=b"/metadata/v1.json") * 1000)
        for _ in range(100):
            another_asks()
