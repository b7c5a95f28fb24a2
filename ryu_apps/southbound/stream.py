"""The bytes of one switch's connection, in as few calls of the kernel as it takes.

Ryu reads a message in two calls, its header first, and waits before each; it wakes every five
seconds on each connection to see that nothing came; and what is sent goes through a queue and
another green thread. Here it reads whatever there is at once, which its loop takes as well, nothing
but news wakes it, and what finds the way free is written at once.
"""

import socket
from contextlib import suppress
from typing import Any

import eventlet
from eventlet.greenio import GreenSocket

# Ryu cuts what has come message by message and copies the rest each time, so not all of it.
_READ = 16 << 10

_IDLE = 300.0
"""Seconds without a byte after which Ryu's reader looks around: its own echoes come far oftener."""


class Stream:
    """Ryu's socket of `datapath`, a controller.Datapath, in its place from now on."""

    def __init__(self, datapath: Any) -> None:
        self._datapath = datapath
        self._socket = datapath.socket
        # TLS may want to read before it can write: there all goes through the queue.
        self._is_plain = type(self._socket) is GreenSocket
        self._patience = self._socket.gettimeout()
        self._is_sending = False
        datapath.socket = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def recv(self, size: int) -> bytes:
        """What has come, more than `size` bytes where there is more. As a socket's."""
        self._socket.settimeout(_IDLE)
        return self._socket.recv(max(size, _READ))

    def sendall(self, data: bytes) -> None:
        """As a socket's, with the patience that Ryu gave it each time it has to wait."""
        self._is_sending = True
        try:
            rest = memoryview(data)
            while rest:
                self._socket.settimeout(self._patience)
                rest = rest[self._socket.send(rest) :]
        finally:
            self._is_sending = False

    def shutdown(self, how: int) -> None:
        """As a socket's. The switch is to end the connection, too: that is waited for as long."""
        self._socket.shutdown(how)
        if self._patience is not None:
            eventlet.spawn_after(self._patience, _end, self._socket)

    def write(self, data: bytes) -> None:
        """Send it behind whatever waits to be sent: what goes at once at once."""
        queue = self._datapath.send_q
        if self._is_plain and not self._is_sending and queue and queue.empty():
            with suppress(OSError):  # Ryu's own thread finds out what it is.
                data = data[self._socket.fd.send(data) :]
        if data:
            self._datapath.send(data)


def next_xid(datapath: Any, count: int = 1) -> int:
    """The first of so many consecutive xids that nobody else has."""
    most = datapath.ofproto.MAX_XID
    first = (datapath.xid + 1) & most
    datapath.xid = (datapath.xid + count) & most
    return first


def write(datapath: Any, data: bytes) -> None:
    """Send messages, by the datapath's stream where it has one."""
    if isinstance(datapath.socket, Stream):
        datapath.socket.write(data)
    else:
        datapath.send(data)


def _end(connection: Any) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
