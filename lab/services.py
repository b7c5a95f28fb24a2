"""This project's own processes on a hypervisor, started by the commands an operator uses."""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lab.hypervisor import BRIDGE, Hypervisor
from lab.process import Daemon
from lab.wait import LabError, wait_for

if TYPE_CHECKING:
    from lab.lab import Lab

BIN = Path(sys.executable).parent
"""Where this project's commands are: beside the Python that runs the lab."""

OPENFLOW_PORT = 6653
CONTROLLER = f"tcp:127.0.0.1:{OPENFLOW_PORT}"

_RYU_MANAGER = ("ryu-manager", 8080)
_METADATA_HTTP = ("metadata-http", 9180)

_WITH_LISTENER = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&"$LISTENER"'

Options = Mapping[str, Mapping[str, object]]
"""Section to option to value, as in a configuration file."""


class Service:
    """A daemon on a hypervisor with health on its loopback; it may be killed and started again."""

    def __init__(
        self, lab: "Lab", host: Hypervisor, name: str, health_port: int, arguments: list[str]
    ) -> None:
        self.name = name
        self.host = host
        self.daemon: Daemon | None = None
        self.privileges: list[str] = []
        """The words of a command that runs another with these privileges, such as setpriv's."""
        self.log = host.directory / f"{name}.log"
        self.tls: ssl.SSLContext | None = None
        """What to ask for its health with, where it answers by https."""
        self._lab = lab
        self._health_port = health_port
        self._arguments = arguments

    def start(self, listener: socket.socket | None = None) -> None:
        """Start it and wait until it answers its health check, ready or not. Raises LabError.

        A `listener` is handed to it as systemd does (sd_listen_fds(3)).
        """
        command = [*self.privileges, str(BIN / self.name), *self._arguments]
        # Unbuffered: what a killed process said last is in its log.
        env, keep = {"PYTHONUNBUFFERED": "1"}, []
        if listener is not None:
            command = ["bash", "-c", _WITH_LISTENER, "bash", *command]
            keep = [listener.fileno()]
            env["LISTENER"] = str(listener.fileno())
        command = self.host.namespace.command(*command)
        log, name = self.log, self.name
        self.daemon = self._lab.daemon(Daemon(name, command, log=log, env=env, keep=keep))
        self._wait_for(lambda: self.health("/healthz") is not None, "to answer")

    def wait_until_ready(self) -> None:
        """Wait until it says that it is ready. Raises LabError."""
        self._wait_for(lambda: self.health("/readyz"), "to be ready")

    def stop(self) -> int:
        """SIGTERM, as systemd would, and wait for the end; its exit status."""
        return self._running().stop()

    def kill(self) -> None:
        """`kill -9`, as the OOM killer would."""
        self._running().stop(signal.SIGKILL)

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of its log, for people."""
        return self.daemon.log_tail(lines) if self.daemon else f"{self.name} never ran"

    def health(self, path: str) -> dict[str, object] | None:
        """The JSON of a health call that says yes; None where it says no. Raises OSError."""
        status, body = self.answer(path)
        if status != http.client.OK:
            return None
        return json.loads(body) if body.startswith("{") else {}

    def answer(self, path: str) -> tuple[int, str]:
        """Status and body of a health call. Raises OSError."""
        place, seconds = ("127.0.0.1", self._health_port), 5
        connection = http.client.HTTPConnection(*place, timeout=seconds)
        if self.tls is not None:
            connection = http.client.HTTPSConnection(*place, timeout=seconds, context=self.tls)
        with self.host.namespace.entered():
            connection.connect()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _running(self) -> Daemon:
        if self.daemon is None:
            raise LabError(f"{self.name} was never started")
        return self.daemon

    def _wait_for(self, condition: object, what: str) -> None:
        def ready() -> object:
            self._running().require_running()
            return condition()  # type: ignore[operator]

        wait_for(ready, f"{self.name} {what}", diagnose=self.log_tail)


class Services:
    """Controller and metadata server of one hypervisor with one configuration file for both."""

    def __init__(self, lab: "Lab", host: Hypervisor, options: Options | None = None) -> None:
        self.host = host
        self.state_dir = host.directory / "state"
        self.config_file = host.directory / "ovs-metadata.conf"
        write_config(self.config_file, _merged(self._usual_options(), options or {}))
        arguments = ["--config-file", str(self.config_file)]
        application = [*arguments, "ryu_apps.metadata_controller"]
        self.controller = Service(lab, host, *_RYU_MANAGER, application)
        self.server = Service(lab, host, *_METADATA_HTTP, arguments)

    def start(self) -> None:
        """Start both, the controller first. Raises LabError."""
        self.controller.start()
        self.server.start()

    def dropletctl(
        self, *words: str | Path, text: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """`dropletctl` as the operator of this host calls it. Raises CommandFailed if `check`."""
        options = ("--config-file", str(self.config_file))
        return self.host.run(BIN / "dropletctl", *options, *words, text=text, check=check)

    def register(self, document: Mapping[str, object]) -> None:
        """Register a droplet by its document. Raises CommandFailed."""
        self.dropletctl("put", "-", text=json.dumps(document))

    def ports(self) -> dict[str, dict[str, object]]:
        """The controller's ports by name. Raises CommandFailed."""
        listing = json.loads(self.dropletctl("ports", "--json").stdout)
        return {port["name"]: port for port in listing}

    def diagnosis(self) -> str:
        """The ends of all logs of this host, for people."""
        logs = (self.controller.log_tail(), self.server.log_tail(), self.host.ovs.diagnosis())
        return "\n".join(logs)

    def _usual_options(self) -> Options:
        return {
            "DEFAULT": {
                **{"ofp_listen_host": "127.0.0.1", "ofp_tcp_listen_port": OPENFLOW_PORT},
                **{"wsapi_host": "127.0.0.1"},
            },
            "metadata": {"state_dir": self.state_dir, "ovsdb": self.host.ovs.db},
            "metadata_http": {"bridge": BRIDGE},
        }


def write_config(path: Path, options: Options) -> None:
    """Write a configuration file as oslo.config reads it."""
    sections = (
        "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in values.items()), ""])
        for name, values in options.items()
    )
    path.write_text("\n".join(sections))


def _merged(usual: Options, own: Options) -> Options:
    names = dict.fromkeys((*usual, *own))
    return {name: {**usual.get(name, {}), **own.get(name, {})} for name in names}
