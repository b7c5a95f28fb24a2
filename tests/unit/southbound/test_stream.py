"""A switch's bytes come and go as by Ryu's own socket, in order, with fewer calls of the kernel."""

import socket
from collections.abc import Iterator

import eventlet
import pytest
from eventlet import greenio
from ryu.lib import hub

from ryu_apps.southbound import stream
from ryu_apps.southbound.stream import Stream, write

PATIENCE = 0.2
MUCH = b"much" * (1 << 20)


class Datapath:
    """As much of Ryu's as there is to a connection."""

    def __init__(self, connection: greenio.GreenSocket) -> None:
        self.socket = connection
        self.socket.settimeout(PATIENCE)
        self.send_q = hub.Queue(16)

    def send(self, data: bytes) -> None:
        self.send_q.put(data)

    def send_waiting(self) -> None:
        """What Ryu's own thread does."""
        while not self.send_q.empty():
            self.socket.sendall(self.send_q.get())


class Far:
    """The switch's end."""

    def __init__(self, connection: greenio.GreenSocket) -> None:
        self.socket = connection

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (some := self.socket.recv(size - len(data))):
            data += some
        return data


@pytest.fixture
def ends() -> Iterator[tuple[Datapath, Far]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    datapath, other = Datapath(greenio.GreenSocket(near)), Far(greenio.GreenSocket(far))
    with eventlet.Timeout(30):
        yield datapath, other
    near.close()
    far.close()


def test_all_there_is_comes_at_once(ends: tuple[Datapath, Far]):
    datapath, far = ends
    Stream(datapath)
    far.socket.sendall(b"headerbody" * 100)
    assert datapath.socket.recv(8) == b"headerbody" * 100
    far.socket.close()
    assert datapath.socket.recv(8) == b""


def test_a_reader_is_not_woken_by_nothing(ends: tuple[Datapath, Far]):
    datapath, far = ends
    Stream(datapath)
    reading = eventlet.spawn(datapath.socket.recv, 8)
    eventlet.sleep(2 * PATIENCE)
    assert not reading.dead
    far.socket.sendall(b"news")
    assert reading.wait() == b"news"


def test_what_finds_the_way_free_is_sent_at_once(ends: tuple[Datapath, Far]):
    datapath, far = ends
    Stream(datapath)
    write(datapath, b"at once")
    assert datapath.send_q.empty()
    assert far.read(7) == b"at once"


def test_what_waits_goes_first(ends: tuple[Datapath, Far]):
    datapath, far = ends
    Stream(datapath)
    datapath.send(b"first ")
    write(datapath, b"second ")
    datapath.send_waiting()
    write(datapath, b"third")
    assert far.read(18) == b"first second third"


def test_more_than_goes_at_once_stays_in_order(ends: tuple[Datapath, Far]):
    datapath, far = ends
    Stream(datapath)
    write(datapath, MUCH)
    assert not datapath.send_q.empty()
    sending = eventlet.spawn(datapath.send_waiting)
    eventlet.sleep(0)
    # The queue is empty and there is room, but what was in the queue is on its way still.
    assert datapath.send_q.empty()
    first = far.socket.fd.recv(len(MUCH))
    write(datapath, b"last")
    rest = eventlet.spawn(far.read, len(MUCH) + len(b"last") - len(first))
    sending.wait()
    datapath.send_waiting()
    assert first + rest.wait() == MUCH + b"last"


def test_a_switch_that_takes_nothing_is_given_up_as_before(ends: tuple[Datapath, Far]):
    datapath, _ = ends
    Stream(datapath)
    reading = eventlet.spawn(datapath.socket.recv, 8)
    eventlet.sleep(0)  # The reader's own patience is another.
    with pytest.raises(TimeoutError):
        datapath.socket.sendall(MUCH)
    reading.kill()


def test_a_switch_that_does_not_hang_up_is_hung_up_on(ends: tuple[Datapath, Far]):
    datapath, _ = ends
    Stream(datapath)
    reading = eventlet.spawn(datapath.socket.recv, 8)
    eventlet.sleep(0)
    datapath.socket.shutdown(socket.SHUT_WR)
    assert reading.wait() == b""


def test_without_a_stream_ryu_sends(ends: tuple[Datapath, Far]):
    datapath, _ = ends
    write(datapath, b"queued")
    assert datapath.send_q.get() == b"queued"


def test_a_connection_that_is_gone_is_ryu_s_to_find(ends: tuple[Datapath, Far]):
    datapath, _ = ends
    Stream(datapath)
    datapath.socket.close()
    write(datapath, b"nobody")
    assert datapath.send_q.get() == b"nobody"


def test_what_is_no_plain_socket_keeps_to_the_queue(
    ends: tuple[Datapath, Far], monkeypatch: pytest.MonkeyPatch
):
    datapath, _ = ends
    monkeypatch.setattr(stream, "GreenSocket", type("Tls", (), {}))
    Stream(datapath)
    write(datapath, b"queued")
    assert datapath.send_q.get() == b"queued"
