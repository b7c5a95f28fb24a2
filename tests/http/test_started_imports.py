"""What the two servers have imported once they answer: their start and their memory."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http.conftest import Server
from tests.http.fake_controller import FakeController, wait_until

BIN = Path(sys.executable).parent
UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
# No server of ours needs any of these; each is many modules.
NEEDLESS = {"pytest", "hypothesis", "scapy", "schemathesis", "jsonschema", "setuptools", "unittest"}
NEEDLESS |= {"rich", "click", "pydoc", "dns", "etcd3gw"}
OF_THE_OTHER = {"ryu", "eventlet", "sqlite3", "webob", "requests", "ryu_apps"}
# Python imports this at each start: a thread that writes down what there is when it is asked to.
LISTING = """
import _thread, os, sys, time
folder, pause = os.environ["LIST_MODULES"], time.sleep
def listed():
    while not os.path.exists(f"{folder}/now"):
        pause(0.05)
    with open(f"{folder}/{os.getpid()}.part", "w") as file:
        file.write(" ".join(list(sys.modules)))
    os.rename(f"{folder}/{os.getpid()}.part", f"{folder}/{os.getpid()}.modules")
_thread.start_new_thread(listed, ())
os.register_at_fork(after_in_child=lambda: _thread.start_new_thread(listed, ()))
"""


@pytest.fixture
def listing(tmp_path):
    """The environment of a process that lists its modules, and a function for what it listed."""
    folder = tmp_path / "listing"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(LISTING)

    def modules(pid):
        (folder / "now").touch()
        file = folder / f"{pid}.modules"
        wait_until(file.exists, "the list")
        return {name.partition(".")[0] for name in file.read_text().split()}

    return {**os.environ, "PYTHONPATH": str(folder), "LIST_MODULES": str(folder)}, modules


def test_a_worker_of_the_metadata_server(tmp_path, listing):
    environment, modules = listing
    controller = FakeController().start()
    server = Server(tmp_path, controller.url)
    server.spawn = lambda command: subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, cwd=BIN
    )
    try:
        server.start()
        controller.wait_acknowledged()
        server.get("/metadata/v1.json")
        (worker,) = server.workers()
        found = modules(worker)
        assert "metadata_http" in found
        assert not found & (NEEDLESS | OF_THE_OTHER)
    finally:
        server.kill()
        controller.stop()


def test_the_controller_as_its_unit_starts_it(tmp_path, listing):
    environment, modules = listing
    unit = (UNITS / "ovs-metadata-controller.service").read_text()
    environment |= dict(re.findall(r"^Environment=(\w+)=(.*)$", unit, re.M))
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        rest, openflow = one.getsockname()[1], two.getsockname()[1]
    config = tmp_path / "controller.conf"
    config.write_text(
        f"[DEFAULT]\nwsapi_host = 127.0.0.1\nwsapi_port = {rest}\n"
        f"ofp_listen_host = 127.0.0.1\nofp_tcp_listen_port = {openflow}\n"
        f"[metadata]\nstate_dir = {tmp_path}\n"
    )
    command = [BIN / "ryu-manager", "--config-file", config, "ryu_apps.metadata_controller"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: answers(rest), "the controller to listen")
            found = modules(process.pid)
            assert {"ryu", "ryu_apps", "sqlite3"} <= found
            assert not found & (NEEDLESS | {"metadata_http", "granian", "requests", "urllib3"})
        finally:
            process.kill()


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
