"""This process's own sockets: which are found, and how they end."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from ipaddress import IPv4Network

import pytest

from metadata_http import connections
from metadata_http.connections import Guard

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def listener(stack: ExitStack) -> socket.socket:
    """A server's socket, beside sockets of every other kind."""
    stack.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
    for end in socket.socketpair():
        stack.enter_context(end)
    stack.enter_context(socket.socket(socket.AF_INET6)).bind(("::1", 0))
    return stack.enter_context(socket.create_server(("127.0.0.1", 0)))


def connect(stack: ExitStack, listener: socket.socket, address: str) -> tuple[socket.socket, ...]:
    """Both ends: the client's, and the server's."""
    client = socket.create_connection(listener.getsockname(), 10, (address, 0))
    return stack.enter_context(client), stack.enter_context(listener.accept()[0])


def is_reset(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_what_is_counted_is_tcp_by_its_other_end(stack, listener):
    before = connections.count()
    for address in (DROPLET, DROPLET, OTHER):
        connect(stack, listener, address)
    counted = connections.count()
    assert {each: counted[each] - before.get(each, 0) for each in (DROPLET, OTHER)} == {
        DROPLET: 2,
        OTHER: 1,
    }
    assert counted.keys() <= before.keys() | {DROPLET, OTHER, "127.0.0.1"}


def test_ending_resets_those_of_the_addresses_and_no_others(stack, listener):
    mine = [connect(stack, listener, DROPLET)[0] for _ in range(3)]
    other = connect(stack, listener, OTHER)[0]
    assert connections.end({DROPLET}) == 3
    assert all(map(is_reset, mine))
    assert not is_reset(other)
    assert DROPLET not in connections.count()


def test_those_go_that_have_been_silent_for_longest(stack, listener, monkeypatch):
    """How long a socket has been silent is the kernel's to say, so here its answer is given."""
    pairs = [connect(stack, listener, DROPLET) for _ in range(4)]
    inodes = {socket_inode(server): n for n, (_, server) in enumerate(pairs)}
    monkeypatch.setattr(
        connections, "_milliseconds_since", lambda what, each: inodes[socket_inode(each)]
    )
    assert connections.end_longest_silent(DROPLET, leave=2) == 2
    assert [is_reset(client) for client, _ in pairs] == [False, False, True, True]


def socket_inode(each: socket.socket) -> int:
    """The same for every descriptor of one socket."""
    return os.fstat(each.fileno()).st_ino


def test_the_guard_counts_droplets_only_and_tells_what_it_ended(stack, listener):
    ended: list[int] = []
    guard = Guard(2, lambda: IPv4Network("127.1.0.0/16"), ended.append)
    for address in (DROPLET, DROPLET, DROPLET, OTHER, "127.2.0.1"):
        connect(stack, listener, address)
    guard.look()
    assert ended == [1]
    assert guard.report() == {"connections": 4, "most_connections_of_a_droplet": 3}
    guard.look()
    assert ended == [1]
    assert guard.report() == {"connections": 3, "most_connections_of_a_droplet": 2}


def test_before_there_is_a_view_the_guard_ends_nothing(stack, listener):
    guard = Guard(1, lambda: None, pytest.fail)
    with closing(connect(stack, listener, DROPLET)[0]) as client:
        connect(stack, listener, DROPLET)
        guard.look()
        assert not is_reset(client)
