"""Request bodies and the connection they come on: bounded in bytes and time, whoever sends.

The bodies come from `wsgi.input` of eventlet.wsgi, which undoes chunked coding. What a refused
request still sends is read and dropped up to a bound, so that the sender gets to read the
refusal; beyond it the connection is cut.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import eventlet
from eventlet.patcher import original

from ryu_apps.northbound.problems import Problem

# The real module: a green socket sets the descriptor's mode, which the connection shares.
socket = original("socket")

Environ = dict[str, Any]

_PIECE = 64 << 10
_LINGER_BYTES = 16 << 20
_LINGER_SECONDS = 10


def content_type(environ: Environ) -> str:
    """The media type of the body, lower case, without its parameters.

    Raises `Problem` 415 for a charset other than UTF-8 and for a coded (compressed) body.
    """
    media_type, *parameters = environ.get("CONTENT_TYPE", "").lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"charset {value}: JSON is UTF-8")
    coding = environ.get("HTTP_CONTENT_ENCODING", "identity").lower()
    if coding != "identity":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {coding}: send it uncoded"
        )
    return media_type.strip()


def require_type(environ: Environ, *accepted: str) -> str:
    """The body's media type, one of `accepted`. Raises `Problem` 415."""
    found = content_type(environ)
    if found not in accepted:
        name = "Accept-Patch" if environ["REQUEST_METHOD"] == "PATCH" else "Accept"
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {found or '(none)'}: must be {' or '.join(accepted)}",
            headers={name: ", ".join(accepted)},
        )
    return found


def read(environ: Environ, *, max_bytes: int, seconds: float) -> bytes:
    """The whole body. Raises `Problem`: 413 beyond `max_bytes`, 408 after `seconds`, 400."""
    return b"".join(pieces(environ, max_bytes=max_bytes, seconds=seconds))


def lines(environ: Environ, *, max_bytes: int, max_line: int, seconds: float) -> Iterator[bytes]:
    """The lines of the body as they come. Raises `Problem` as `read`, and for a longer line."""
    rest = b""
    for piece in pieces(environ, max_bytes=max_bytes, seconds=seconds):
        *whole, rest = (rest + piece).split(b"\n")
        if max(map(len, (*whole, rest))) > max_line:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a line is longer than {max_line} bytes"
            )
        yield from whole
    if rest:
        yield rest


def pieces(environ: Environ, *, max_bytes: int, seconds: float) -> Iterator[bytes]:
    """The body piece by piece; `seconds` bounds the waiting for it, not what is done with it.

    Raises `Problem` as `read`.
    """
    announced = _announced(environ, max_bytes)
    size, waited = 0, 0.0
    while announced != 0:
        began = time.monotonic()
        piece = _read_piece(environ, seconds - waited)
        waited += time.monotonic() - began
        if not piece:
            break
        size += len(piece)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield piece
    if announced is not None and size < announced:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body broke off after {size} of {announced} B")


def _read_piece(environ: Environ, seconds: float) -> bytes:
    try:
        with eventlet.Timeout(max(seconds, 0.001)):
            return environ["wsgi.input"].read(_PIECE)
    except eventlet.Timeout:
        cut(environ)
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "the body took too long to come") from None
    except ValueError as error:  # eventlet's ChunkReadError
        cut(environ)
        raise Problem(HTTPStatus.BAD_REQUEST, "the chunked coding of the body is broken") from error
    except OSError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body broke off") from error


def _announced(environ: Environ, max_bytes: int) -> int | None:
    """The length the body will have; None for a chunked one. Raises `Problem`."""
    coding = environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    if coding == "chunked":
        return None
    if coding:
        cut(environ)  # Where this body ends, and the next request begins, is not known.
        raise Problem(HTTPStatus.NOT_IMPLEMENTED, f"Transfer-Encoding {coding}: not understood")
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > max_bytes:
        raise _too_large(max_bytes)
    return length


def _too_large(max_bytes: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {max_bytes} bytes"
    )


def drop_rest(environ: Environ) -> None:
    """Read what is left of the body, within bounds; beyond them cut the connection."""
    if "HTTP_EXPECT" in environ:
        return  # The sender waits for leave to send; eventlet closes the connection instead.
    if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
        return
    size = 0
    try:
        with eventlet.Timeout(_LINGER_SECONDS):
            while piece := environ["wsgi.input"].read(_PIECE):
                size += len(piece)
                if size > _LINGER_BYTES:
                    break
            else:
                return
    except (eventlet.Timeout, ValueError, OSError):
        pass  # Cut, as below: nothing sensible can follow on this connection.
    cut(environ)


def cut(environ: Environ) -> None:
    """Let nothing more be read from this connection: it closes after the answer."""
    connection = environ["eventlet.input"].get_socket()
    try:
        # Below TLS: its own shutdown would have the answer go out in the clear.
        with socket.socket(fileno=os.dup(connection.fileno())) as plain:
            plain.shutdown(socket.SHUT_RD)
    except OSError:
        return  # It is gone already.


def answer_at_once(environ: Environ) -> None:
    """Have no end of an answer wait for the sender's word on its beginning (Nagle).

    eventlet writes long answers in pieces, and a reader that acknowledges late (40 ms) would have
    the last of them held back for as long.
    """
    connection = environ["eventlet.input"].get_socket()
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):  # It is gone already.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
