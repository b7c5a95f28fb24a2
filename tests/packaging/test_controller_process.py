"""The controller as a process: it listens alone, never goes on deaf, and Ctrl-C ends it."""

import os
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.manager import PATIENCE, Manager, free_port, wait_for
from tests.packaging.openflow_client import greet, list_no_ports

pytestmark = pytest.mark.slow


def controller(folder: Path, openflow_port: int, http_port: int | None = None) -> Manager:
    """A controller with a registry of its own in `folder`."""
    folder.mkdir()
    config = folder / "ovs-metadata.conf"
    config.write_text(f"[metadata]\nstate_dir = {folder}/state\novsdb = unix:{folder}/no.sock\n")
    options = ("--config-file", config, "--ofp-tcp-listen-port", str(openflow_port))
    return Manager(folder, *options, app="ryu_apps.metadata_controller", http_port=http_port)


@pytest.fixture
def openflow_port() -> int:
    """Where the controllers of a test listen for switches."""
    return free_port()


@pytest.fixture
def first(tmp_path: Path, openflow_port: int) -> Iterator[Manager]:
    """A controller that listens for switches and for REST calls."""
    with controller(tmp_path / "first", openflow_port) as manager:
        manager.wait_until_open(openflow_port)
        yield manager


def test_second_controller_on_the_openflow_port_ends_and_says_why(
    first: Manager, tmp_path: Path, openflow_port: int
) -> None:
    """eventlet would share the port: each switch would come to one of the two by chance."""
    second = controller(tmp_path / "second", openflow_port)
    assert second.end() == os.EX_UNAVAILABLE, second.log
    assert f"cannot listen on 127.0.0.1:{openflow_port}: Address already in use" in second.log
    assert first.get("/readyz")[0] == 200


def test_second_controller_on_the_rest_port_ends_and_says_why(
    first: Manager, tmp_path: Path
) -> None:
    second = controller(tmp_path / "second", free_port(), first.http_port)
    assert second.end() == os.EX_UNAVAILABLE, second.log
    assert f"cannot listen on 127.0.0.1:{first.http_port}: Address already in use" in second.log


def test_a_controller_that_can_take_no_switch_any_more_ends(
    first: Manager, openflow_port: int
) -> None:
    """Ryu's listener ends at its first error, such as no file descriptor being left."""
    taken = len(os.listdir(f"/proc/{first.pid}/fd"))
    resource.prlimit(first.pid, resource.RLIMIT_NOFILE, (taken, taken))
    with socket.create_connection(("127.0.0.1", openflow_port), timeout=PATIENCE):
        assert first.end() == os.EX_UNAVAILABLE, first.log
    assert "no listener for switches any more" in first.log


def test_ctrl_c_ends_it_also_with_a_switch(first: Manager, openflow_port: int) -> None:
    with socket.create_connection(("127.0.0.1", openflow_port), timeout=PATIENCE) as connection:
        greet(connection, dpid=7)
        list_no_ports(connection)
        wait_for(lambda: "0000000000000007 connected" in first.log, "the switch", lambda: first.log)
        assert first.end(signal.SIGINT) == 0, first.log
