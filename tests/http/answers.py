"""HTTP by the bytes: sent as they are, and the answers read strictly.

What is refused here is what a client of any kind must be able to rely on.
Shares no code with what it judges, nor with a lenient client library.
"""

import contextlib
import re
import socket
from dataclasses import dataclass

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) [A-Z][A-Za-z -]*")
_FIELD = re.compile(rb"([a-z][a-z-]*): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?")
_NEXT = b"HTTP/1."

PATIENCE = 60
"""Seconds until an end that does not come fails a test; never a measure."""


def connector(port, source):
    """Makes connections to a server at `port` of this machine that come from `source`."""
    return lambda: socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))


def exchange(connect, data):
    """Send `data` by a new connection; all that comes until the other side ends it."""
    received = b""
    with contextlib.closing(connect()) as connection:
        connection.settimeout(PATIENCE)
        # Who has refused may have closed before all was sent; bytes that it did not read turn
        # its end into a reset, after all it has said.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    return received


@dataclass(frozen=True)
class Answer:
    """One final answer; header names in lower case, as the server writes them."""

    status: int
    headers: dict[str, str]
    body: bytes


def read_answers(received, heads=0):
    """The answers that `received` consists of, interim ones left out; each is complete.

    At most `heads` of them may be answers to HEAD, which have a length and no body. Raises
    AssertionError on anything that is not plain and whole HTTP/1.1.
    """
    answers = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, f"the end of a head is missing: {received!r}"
        status, headers = _read_head(head)
        if status == 100:
            assert not headers, f"an interim answer with headers: {head!r}"
            received = rest
            continue
        assert "transfer-encoding" not in headers, head
        if status == 304:
            assert "content-length" not in headers, head
            length = 0
        else:
            assert "content-length" in headers, f"no Content-Length: {head!r}"
            length = int(headers["content-length"])
        if length and heads and (not rest or rest.startswith(_NEXT)):
            heads, length = heads - 1, 0
        assert len(rest) >= length, f"{length} bytes announced, there are {len(rest)}: {head!r}"
        body, received = rest[:length], rest[length:]
        assert not received or received.startswith(_NEXT), f"after {length} bytes: {received!r}"
        answers.append(Answer(status, headers, body))
    return answers


def _read_head(head):
    line, *fields = head.split(b"\r\n")
    found = _STATUS_LINE.fullmatch(line)
    assert found, f"no status line: {line!r}"
    headers = {}
    for field in fields:
        pair = _FIELD.fullmatch(field)
        assert pair, f"no header field: {field!r}"
        name = pair[1].decode()
        assert name not in headers, f"twice {name}: {head!r}"
        headers[name] = (pair[2] or b"").decode()
    return int(found[1]), headers
