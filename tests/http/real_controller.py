"""The real controller, `ryu-manager ryu_apps.metadata_controller`, without a switch."""

import http.client
import json
import os
import ssl
import subprocess
from pathlib import Path

from tests.http.rest_harness import PATIENCE, Answer, wait_until
from tests.packaging.manager import BIN, free_port

EX_CONFIG = 78


class RealController:
    """One with its state and its configuration file in `folder`; a context manager.

    `options` are those of [metadata]. With `tls` it is asked over it.
    """

    def __init__(self, folder, *, host="127.0.0.1", words=(), tls=None, umask=-1, **options):
        self.state_dir = Path(folder)
        self.tls = tls
        self.port = free_port()
        self.config = self.state_dir / "ovs-metadata.conf"
        lines = {"state_dir": self.state_dir, "ovsdb": f"unix:{folder}/none.sock", **options}
        self.config.write_text(
            f"[DEFAULT]\nofp_listen_host = 127.0.0.1\nofp_tcp_listen_port = {free_port()}\n"
            f"wsapi_port = {self.port}\n"
            + (f"wsapi_host = {host}\n" if host else "")
            + "[metadata]\n"
            + "".join(f"{name} = {value}\n" for name, value in lines.items())
        )
        with (self.state_dir / "controller.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(BIN / "ryu-manager", "--config-file", self.config),
                    *(*words, "ryu_apps.metadata_controller"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                umask=umask,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"},
            )

    def __enter__(self):
        try:
            wait_until(self._answers, f"the controller to answer:\n{self.log_text()}")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _answers(self):
        assert self.process.poll() is None, f"it ended:\n{self.log_text()}"
        try:
            return self.request("GET", "/healthz", role=None).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()

    def ended(self):
        """The exit status of one that ends by itself."""
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.stop()

    def log_text(self):
        return (self.state_dir / "controller.log").read_text()

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def token(self, role="admin"):
        lines = (self.state_dir / "tokens").read_text().splitlines()
        return next(line.split()[1] for line in lines if line.startswith(role))

    def connection(self):
        if self.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE, context=self.tls
        )

    def request(self, method, path, body=None, headers=None, *, role="admin"):
        """One request; `body` that is no bytes goes as JSON."""
        headers = dict(headers or {})
        if role is not None:
            headers["Authorization"] = f"Bearer {self.token(role)}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json"} | headers
        connection = self.connection()
        try:
            connection.request(method, path, body, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def dropletctl(self, *words, text="", **environment):
        """`dropletctl` with this controller's configuration file."""
        return dropletctl("--config-file", self.config, *words, text=text, **environment)


def dropletctl(*words, text="", **environment):
    """The operator's command, in a process of its own."""
    return subprocess.run(
        [BIN / "dropletctl", *map(str, words)],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, **environment},
    )


def trusting(authority):
    """A context that trusts this authority."""
    return ssl.create_default_context(cafile=authority.certificate)
