"""One connection to ovsdb-server: JSON-RPC 1.0 as RFC 7047, 4 has it, over a unix or TCP socket.

Shell; no decisions. Why the standard library and not the `ovs` package: its IDL has no public way
to ask a server on a unix socket whether it still answers, and whatever we know of the switch hangs
on that. Its JSON-RPC part could do it, but brings eventlet into this process (22 MiB, 0.2 s at each
start) and a parser in Python that is a hundred times slower than `json`, while droplets wait for
the interpreter. What is left to do by hand is this file.
"""

import codecs
import json
import select
import socket
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

_READ_SIZE = 1 << 16
# Far beyond any switch's first answer (about 250 bytes a port).
_MESSAGE_LIMIT = 64 << 20

Message = dict[str, Any]


class BadRemote(ValueError):
    """The database's address has a form that is not understood."""


class ProtocolError(Exception):
    """What came is not RFC 7047."""


class Closed(Exception):
    """The server ended the connection."""


class Connection:
    """Messages to and from ovsdb-server, by one thread at a time.

    Raises OSError where the socket does.

    `remote` is as ovs-vsctl's --db takes it, `unix:PATH` or `tcp:ADDRESS:PORT`; `timeout` is in
    seconds, for connecting and for a server that does not read. Raises BadRemote.
    """

    def __init__(self, remote: str, timeout: float) -> None:
        family, address = _address(remote)
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._decoder = json.JSONDecoder()
        self._text = codecs.getincrementaldecoder("utf-8")()
        self._received = ""

    def send(self, message: Message) -> None:
        """Send one message."""
        self._socket.sendall(json.dumps(message).encode())

    def wait(self, seconds: float) -> bool:
        """Whether anything has come, after waiting `seconds` for it at most; on any thread."""
        poll = select.poll()  # one serves one thread
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(max(seconds, 0.0) * 1000))

    def receive(self, seconds: float = 0.0) -> list[Message]:
        """The messages that have come, after waiting `seconds` for some at most.

        Raises Closed and ProtocolError.
        """
        if not self.wait(seconds):
            return []
        data = self._socket.recv(_READ_SIZE)
        if not data:
            raise Closed("the server ended the connection")
        try:
            self._received += self._text.decode(data)
        except UnicodeDecodeError as fault:
            raise ProtocolError(f"no UTF-8: {fault}") from fault
        return self._whole_messages()

    def abort(self) -> None:
        """Have whoever waits or receives find the connection ended; on any thread."""
        with suppress(OSError):  # it may have ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up."""
        self._socket.close()

    def _whole_messages(self) -> list[Message]:
        messages, start, text = [], 0, self._received
        while start < len(text):
            if text[start] != "{":
                raise ProtocolError(f"{text[start : start + 20]!r} begins no message")
            try:
                message, start = self._decoder.raw_decode(text, start)
            except json.JSONDecodeError:
                break  # the rest is still to come
            messages.append(message)
        self._received = text[start:]
        if len(self._received) > _MESSAGE_LIMIT:
            raise ProtocolError(f"a message of over {_MESSAGE_LIMIT} characters")
        return messages


def is_proof_of_death(remote: str, fault: Exception) -> bool:
    """Whether this failure shows that no server runs, not only that none is reached."""
    refused = isinstance(fault, ConnectionRefusedError | FileNotFoundError)
    return refused and remote.startswith("unix:")


def _address(remote: str) -> tuple[socket.AddressFamily, Any]:
    kind, _, rest = remote.partition(":")
    if kind == "unix" and rest:
        return socket.AF_UNIX, rest
    host, _, port = rest.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        if kind == "tcp" and port.isascii() and port.isdigit():
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            return family, (str(address), int(port))
    except ValueError as fault:
        raise BadRemote(f"{remote!r} is neither unix:PATH nor tcp:ADDRESS:PORT") from fault
    raise BadRemote(f"{remote!r} is neither unix:PATH nor tcp:ADDRESS:PORT")
