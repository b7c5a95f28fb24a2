"""The controller as operators run it, `ryu-manager` with the application, for tests by REST alone.

No switch connects to it; what is under test is its registry.
"""

import contextlib
import http.client
import subprocess
import time

from tests.http.rest_harness import PATIENCE, RestController
from tests.packaging.manager import BIN, free_port


class RyuController(RestController):
    """A `ryu-manager` process with its state in a folder; may be killed and started again.

    `registry` is where the registry is, if it is not in the state folder. It is started by hand.
    """

    def __init__(self, state_dir, *, registry=None):
        self.state_dir = state_dir
        self.registry = registry or state_dir / "registry.db"
        self.port = free_port()
        self.tls = None
        self.process = None
        self.config_file = state_dir / "controller.conf"
        self.config_file.write_text(
            f"[DEFAULT]\nwsapi_port = {self.port}\nofp_listen_host = 127.0.0.1\n"
            f"ofp_tcp_listen_port = {free_port()}\n"
            f"[metadata]\nstate_dir = {state_dir}\nregistry_url = sqlite://{self.registry}\n"
            f"ovsdb = unix:{state_dir}/no-ovsdb.sock\n"
        )

    def launch(self):
        """Start the process; return at once."""
        self.log = (self.state_dir / "log").open("ab")
        self.process = subprocess.Popen(
            [
                BIN / "ryu-manager",
                "--config-file",
                self.config_file,
                "ryu_apps.metadata_controller",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            cwd=BIN.parents[1],
        )

    def start(self):
        """Start the process and wait until it is ready."""
        self.launch()
        deadline = time.monotonic() + PATIENCE
        while not self.ready():
            assert self.process.poll() is None, f"it did not start:\n{self.log_text()}"
            assert time.monotonic() < deadline, f"it is not ready:\n{self.log_text()}"
            time.sleep(0.02)
        self.read_tokens()

    def ready(self):
        """Whether it says that it is ready."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/readyz", token=" ").status == 200
        return False

    def stop(self):
        """End it as an operator does."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.close()
        self.process = None

    def refused(self):
        """Start it, expecting that it does not; its exit status and what it logged."""
        before = len(self.log_text()) if (self.state_dir / "log").exists() else 0
        self.launch()
        status = self.process.wait(PATIENCE)
        self.log.close()
        self.process = None
        return status, self.log_text()[before:]
