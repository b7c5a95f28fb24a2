"""Fixtures: a fake controller, a real `metadata-http` process, and clients with an address."""

import contextlib
import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.http.fake_controller import DPID, TOKEN, FakeController, wait_until


class Server:
    """A `metadata-http` process; its addresses are read from its own log."""

    def __init__(self, folder, controller_url, **options):
        self.folder = folder
        self.config = folder / "metadata.conf"
        self.snapshot = folder / f"snapshot-{DPID}"
        tokens = folder / "tokens"
        tokens.write_text(f"admin other-token\nserver {TOKEN} {DPID}\n")
        lines = {
            "listen": "127.0.0.1:0",
            "admin_listen": "127.0.0.1:0",
            "controller_urls": controller_url,
            "dpid": DPID,
            "tokens_file": tokens,
            **options,
        }
        given = {key: value for key, value in lines.items() if value is not None}
        body = "".join(f"{key} = {value}\n" for key, value in given.items())
        self.config.write_text(f"[metadata]\nstate_dir = {folder}\n[metadata_http]\n{body}")
        self.log = ""
        self._reads = threading.Event()
        self._reads.set()
        self.process = None

    @property
    def command(self):
        return [sys.executable, "-m", "metadata_http", "--config-file", str(self.config)]

    def spawn(self, command):
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def start(self):
        """Start and wait until it listens and its worker answers."""
        self.process = self.spawn(self.command)
        self.read_log()
        self.port = self._logged(r"listening on 127\.0\.0\.1:(\d+)")
        self.admin_port = self._logged(r"admin on 127\.0\.0\.1:(\d+)")
        wait_until(self.listens, "the worker listening")
        return self

    def listens(self):
        """Whether a socket of this very process is listening; another may have the same port."""
        own = {
            os.readlink(f"/proc/{self.process.pid}/fd/{each}")
            for each in os.listdir(f"/proc/{self.process.pid}/fd")
        }
        with open("/proc/net/tcp") as sockets:
            rows = [row.split() for row in sockets][1:]
        wanted = f"0100007F:{self.port:04X}"
        return any(r[1] == wanted and r[3] == "0A" and f"socket:[{r[9]}]" in own for r in rows)

    def read_log(self):
        """Keep the process's standard error in `log` from now on."""
        self.log = ""
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def stop_reading(self):
        """Leave the log unread, after what is there now."""
        self._reads.clear()

    def go_on_reading(self):
        """Read what has come meanwhile, and all that comes."""
        self._reads.set()

    def _read(self, process):
        for line in process.stderr:
            self.log += line
            self._reads.wait()

    def _logged(self, pattern):
        wait_until(lambda: re.search(pattern, self.log) or self.process.poll() is not None, pattern)
        found = re.search(pattern, self.log)
        assert found, f"exit status {self.process.poll()}:\n{self.log}"
        return int(found[1])

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """The exit status, once it and its workers are gone and its log is complete."""
        status = self.process.wait(timeout=60)
        self._reader.join(timeout=60)  # ends when the last worker closes standard error
        assert not self._reader.is_alive(), "a worker outlived its parent"
        return status

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def connect(self, address="127.0.0.1", timeout=30.0):
        """A connection that comes from `address`, as a droplet's does."""
        return http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=timeout, source_address=(address, 0)
        )

    def get(self, path, address="127.0.0.1", method="GET", headers=None):
        """One request on a connection of its own: (status, headers, body)."""
        connection = self.connect(address)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def raw(self, data, address="127.0.0.1", timeout=30.0):
        """Send bytes as they are; all that came back until the server closed."""
        with socket.create_connection(
            ("127.0.0.1", self.port), timeout, source_address=(address, 0)
        ) as connection:
            received = b""
            # A server that has refused may have closed before all was sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            try:
                while chunk := connection.recv(65536):
                    received += chunk
            except ConnectionResetError:
                # Closed with our bytes unread; what it had to say has come.
                return received
            return received

    def admin(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def workers(self):
        """The worker processes' ids."""
        return [
            int(child)
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for child in _children(task)
        ]


@contextlib.contextmanager
def serving(folder, *ports, kind=Server, subnet="127.1.0.0/16", **options):
    """A server, of the class `kind`, that follows a controller and has these ports of it."""
    controller = FakeController(subnet=subnet).start()
    controller.put(*ports)
    server = kind(folder, controller.url, **options)
    try:
        server.start()
        controller.wait_acknowledged()
        yield server
    finally:
        server.kill()
        controller.stop()


@pytest.fixture
def many_files():
    """Room for the thousands of connections that a test makes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _children(task):
    """What /proc says of one thread; nothing if it ended since it was listed."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return (task / "children").read_text().split()
    return []


@pytest.fixture
def controller():
    """A fake controller, listening, with nothing on its bridge."""
    fake = FakeController().start()
    yield fake
    fake.stop()


@pytest.fixture
def make_server(tmp_path):
    """Makes `metadata-http` processes that are ended whatever happens."""
    made = []

    def make(controller, folder=tmp_path, **options):
        server = Server(folder, getattr(controller, "url", controller), **options)
        made.append(server)
        return server

    yield make
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.process.kill()
            server.wait()
