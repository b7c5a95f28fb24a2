"""Ryu's TLS listener: every switch gets in, one after another and at once; nobody else does."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import pytest

from tests.packaging.certificates import KeyPair
from tests.packaging.conftest import TlsWorld
from tests.packaging.manager import PATIENCE, Manager, free_port
from tests.packaging.openflow_client import greet

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Listener:
    """A ryu-manager that listens for TLS on `port`, and the certificates it knows."""

    manager: Manager
    port: int
    world: TlsWorld

    def connect(self, credentials: KeyPair | None) -> ssl.SSLSocket:
        """A TLS connection that checks the controller's certificate and shows `credentials`."""
        context = ssl.create_default_context(cafile=self.world.authority)
        if credentials:
            context.load_cert_chain(credentials.certificate, credentials.key)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.fixture
def listener(tmp_path: Path, tls_world: TlsWorld) -> Iterator[Listener]:
    """A running one."""
    port = free_port()
    with Manager(
        tmp_path,
        *("--ofp-ssl-listen-port", str(port), "--ca-certs", tls_world.authority),
        *("--ctl-cert", tls_world.controller.certificate),
        *("--ctl-privkey", tls_world.controller.key),
    ) as manager:
        manager.wait_until_open(port)
        yield Listener(manager, port, tls_world)


def test_switches_get_in_one_after_another(listener: Listener) -> None:
    for dpid in (1, 2, 3):
        with listener.connect(listener.world.switch) as connection:
            greet(connection, dpid)
    assert listener.manager.dpids() == [1, 2, 3]


def test_switches_get_in_at_once_and_stay(listener: Listener) -> None:
    everybody_is_in = Barrier(3, timeout=PATIENCE)

    def stay(dpid: int) -> None:
        with listener.connect(listener.world.switch) as connection:
            greet(connection, dpid)
            everybody_is_in.wait()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(stay, (1, 2, 3)))
    assert listener.manager.dpids() == [1, 2, 3]


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_client_without_a_certificate_of_our_authority_is_refused(
    listener: Listener, who: str
) -> None:
    credentials = listener.world.stranger if who == "stranger" else None
    # TLS 1.3 tells a client of the refusal only when it first reads, and the alert that says why is
    # lost where the client's HELLO is still unread when the controller closes.
    refused = pytest.raises((ssl.SSLError, ConnectionError))
    with refused, listener.connect(credentials) as connection:
        greet(connection, 13)
    with listener.connect(listener.world.switch) as connection:
        greet(connection, 14)
    assert listener.manager.dpids() == [14]


def test_plain_text_is_no_way_in(listener: Listener) -> None:
    with (
        socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE) as connection,
        pytest.raises(ConnectionError),
    ):
        greet(connection, 13)
    with listener.connect(listener.world.switch) as connection:
        greet(connection, 14)
    assert listener.manager.dpids() == [14]
