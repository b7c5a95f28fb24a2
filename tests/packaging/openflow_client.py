"""The switch's half of the OpenFlow 1.3 handshake over any socket; no switch behind it.

It stands for a client of the listener, not for a switch: real switches are in test_tls_switches.py.
"""

import socket
import struct

HEADER = struct.Struct("!BBHI")  # version, type, length, xid
VERSION = 4
HELLO, FEATURES_REQUEST, FEATURES_REPLY = 0, 5, 6
MULTIPART_REPLY, PORT_DESC = 19, 13


def greet(connection: socket.socket, dpid: int) -> None:
    """Exchange HELLO, answer the features request, wait for the controller's next message."""
    stream = connection.makefile("rb")
    connection.sendall(HEADER.pack(VERSION, HELLO, HEADER.size, 1))
    assert read_message(stream)[0] == HELLO
    kind, xid = read_message(stream)
    assert kind == FEATURES_REQUEST
    body = struct.pack("!QIBB2xII", dpid, 0, 1, 0, 0, 0)
    connection.sendall(HEADER.pack(VERSION, FEATURES_REPLY, HEADER.size + len(body), xid) + body)
    # Ryu asks for the ports next: by then the application has had the features reply.
    read_message(stream)


def list_no_ports(connection: socket.socket) -> None:
    """After `greet`: answer the request for the ports with none; the handshake is over then."""
    body = struct.pack("!HH4x", PORT_DESC, 0)
    connection.sendall(HEADER.pack(VERSION, MULTIPART_REPLY, HEADER.size + len(body), 2) + body)


def read_message(stream: "socket.SocketIO") -> tuple[int, int]:
    """Type and xid of the next message; ConnectionError when the other side is gone."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise ConnectionError("the controller closed the connection")
    _version, kind, length, xid = HEADER.unpack(header)
    stream.read(length - HEADER.size)
    return kind, xid
