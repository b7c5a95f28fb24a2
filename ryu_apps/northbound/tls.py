"""REST over TLS: the context, and a listener that hands out connections whose handshake is done.

eventlet.wsgi takes its next connection only when `accept` returns, and ends where that raises. So a
handshake has a green thread and a time limit of its own here: neither a slow client nor a broken
one keeps the others out.
"""

import logging
import socket
from pathlib import Path
from typing import Any

import eventlet
from eventlet.green import ssl
from eventlet.queue import LightQueue

from ovs_metadata_logs import say
from ryu_apps import events

LOG = logging.getLogger(__name__)

_HANDSHAKE_SECONDS = 10
_HANDSHAKES = 256
"""Handshakes under way at once; further connections wait in the kernel's queue."""

_PAUSE = 0.1
"""Seconds to wait where the system has no more descriptors to give."""


class TlsRefused(Exception):
    """A certificate, key or authority cannot be used; the text names the option and the file."""


def server_context(certificate: str, key: str, client_ca: str | None = None) -> ssl.SSLContext:
    """What REST is served with: TLS 1.2 or later; with `client_ca` for its clients alone.

    All are PEM files, `certificate` with what leads from it to its authority. Raises `TlsRefused`.
    """
    for option, file in (
        ("rest_certificate", certificate),
        ("rest_key", key),
        ("rest_client_ca", client_ca),
    ):
        if file is not None:
            _require_readable(option, file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # HTTP tells where a message ends. Where we stop listening (`body.cut`), the client would have
    # our complaint about that before it has read its answer.
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    try:
        # An empty password, for the library asks for one on the terminal otherwise.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        where = f"rest_certificate = {certificate}, rest_key = {key}"
        raise TlsRefused(f"{where}: not a certificate and its key: {error}") from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            raise TlsRefused(f"rest_client_ca = {client_ca}: no certificates: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _require_readable(option: str, file: str) -> None:
    try:
        Path(file).open("rb").close()
    except OSError as error:
        raise TlsRefused(f"{option} = {file}: {error.strerror}") from error


class TlsListener:
    """Stands before a listening socket where eventlet.wsgi expects one."""

    do_handshake = None
    """By this name eventlet.wsgi tells that what it serves is https."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        *,
        seconds: float = _HANDSHAKE_SECONDS,
    ) -> None:
        self.family = listener.family
        self._listener = listener
        self._context = context
        self._seconds = seconds
        # What eventlet.wsgi is too busy to take waits with its client, not here.
        self._greeted: LightQueue = LightQueue(1)
        self._handshakes = eventlet.GreenPool(_HANDSHAKES)
        self._accepting = eventlet.spawn(self._accept_all)

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection with its handshake done, and the peer's address."""
        return self._greeted.get()

    def getsockname(self) -> Any:
        """The address that is listened on."""
        return self._listener.getsockname()

    def close(self) -> None:
        """Take no more connections."""
        self._accepting.kill()
        self._listener.close()

    def _accept_all(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                say(LOG, events.REST_NO_CONNECTION, reason=error)
                eventlet.sleep(_PAUSE)
                continue
            self._handshakes.spawn_n(self._greet, connection, address)

    def _greet(self, connection: socket.socket, address: Any) -> None:
        try:
            with eventlet.Timeout(self._seconds):
                secured = self._context.wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
                secured.do_handshake()
        except (OSError, ValueError, eventlet.Timeout) as error:
            say(LOG, events.REST_NO_TLS, peer=address[0], reason=error)
            connection.close()
            return
        self._greeted.put((secured, address))
