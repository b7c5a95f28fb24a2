"""A real ryu-manager as a process of its own: started, asked, ended; and waiting for things."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

# Not resolved: the interpreter of a virtual environment is a link out of it.
BIN = Path(sys.executable).parent
TRIVIAL_APP = Path(__file__).with_name("trivial_app.py")
PATIENCE = 60.0  # seconds until a condition that does not come is called a failure

Answer = TypeVar("Answer")


def wait_for(
    condition: Callable[[], Answer], what: str, evidence: Callable[[], str] = str
) -> Answer:
    """Ask until the answer is true and return it.

    Raises AssertionError naming `what`, with the `evidence` there is by then, if it never is.
    """
    deadline = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}\n{evidence()}"
        time.sleep(0.02)
    return answer


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now.

    It is below those that the kernel hands out by itself, so nobody gets it by chance before us.
    """
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(10_000, 32_768)))
            return probe.getsockname()[1]


def is_open(port: int) -> bool:
    """Whether somebody accepts connections on the port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Manager:
    """`ryu-manager` running the trivial application, or another; a context manager."""

    def __init__(
        self,
        folder: Path,
        *options: str | Path,
        app: str | Path = TRIVIAL_APP,
        http_port: int | None = None,
    ) -> None:
        """Start it with `options`, its output going to a file in `folder`."""
        self.http_port = http_port or free_port()
        self._log = folder / "ryu-manager.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(BIN / "ryu-manager", "--ofp-listen-host", "127.0.0.1"),
                    *("--wsapi-host", "127.0.0.1", "--wsapi-port", str(self.http_port)),
                    *options,
                    app,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            )

    def __enter__(self) -> "Manager":
        try:
            self.wait_until_open(self.http_port)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process and wait for its end."""
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def end(self, with_signal: signal.Signals | None = None) -> int:
        """Wait until it ends by itself, or by a signal; its exit status."""
        if with_signal is not None:
            self._process.send_signal(with_signal)
        wait_for(lambda: self._process.poll() is not None, "ryu-manager to end", lambda: self.log)
        return self._process.wait()

    def wait_until_open(self, port: int) -> None:
        """Wait until `port` accepts; AssertionError with the log if the process ends instead."""

        def alive_and_open() -> bool:
            assert self._process.poll() is None, f"ryu-manager ended:\n{self.log}"
            return is_open(port)

        wait_for(alive_and_open, f"ryu-manager to listen on port {port}", lambda: self.log)

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET over HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def dpids(self) -> Any:
        """The switches that ever sent their features."""
        return self._list("/dpids")

    def connected(self) -> Any:
        """The switches that completed the handshake and are there now."""
        return self._list("/connected")

    def _list(self, path: str) -> Any:
        status, body = self.get(path)
        assert status == 200, body
        return json.loads(body)
