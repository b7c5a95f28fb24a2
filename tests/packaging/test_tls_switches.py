"""Real switches over TLS: three bridges of an Open vSwitch connect to ryu-manager and stay."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.conftest import TlsWorld
from tests.packaging.manager import Manager, free_port, wait_for

pytestmark = pytest.mark.slow

BRIDGES = {"br1": 1, "br2": 2, "br3": 3}  # name: dpid
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class OpenVSwitch:
    """An ovsdb-server and an ovs-vswitchd with dummy datapaths, living in `folder` alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        places = {name: str(folder) for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR")}
        self._environment = {**os.environ, **places}
        self._remote = f"unix:{folder}/db.sock"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start both daemons."""
        self._run("ovsdb-tool", "create", "conf.db", SCHEMA)
        self._spawn("ovsdb-server", "conf.db", f"--remote=p{self._remote}")
        wait_for((self._folder / "db.sock").exists, "ovsdb-server's socket")
        self.vsctl("--no-wait", "init")
        self._spawn("ovs-vswitchd", self._remote, "--enable-dummy=override", "--disable-system")

    def stop(self) -> None:
        """End them, and wait for their end."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def vsctl(self, *words: str | Path) -> str:
        """What ovs-vsctl answers; it waits until the switch has done as told."""
        return self._run("ovs-vsctl", f"--db={self._remote}", "--timeout=60", *words)

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _spawn(self, *command: str) -> None:
        with (self._folder / f"{command[0]}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )


@pytest.fixture
def switches() -> Iterator[OpenVSwitch]:
    """A running Open vSwitch without bridges; its folder's name is short, sockets need that."""
    folder = Path(tempfile.mkdtemp(prefix="ovs-tls-"))
    switches = OpenVSwitch(folder)
    try:
        switches.start()
        yield switches
    finally:
        switches.stop()
        shutil.rmtree(folder)


def test_three_bridges_connect_over_tls_and_stay(
    switches: OpenVSwitch, tmp_path: Path, tls_world: TlsWorld
) -> None:
    switches.vsctl(
        "set-ssl", tls_world.switch.key, tls_world.switch.certificate, tls_world.authority
    )
    port = free_port()
    with Manager(
        tmp_path,
        *("--ofp-ssl-listen-port", str(port), "--ca-certs", tls_world.authority),
        *("--ctl-cert", tls_world.controller.certificate),
        *("--ctl-privkey", tls_world.controller.key),
    ) as manager:
        manager.wait_until_open(port)
        for name, dpid in BRIDGES.items():
            switches.vsctl(
                *("add-br", name, "--", "set", "bridge", name, "datapath_type=dummy"),
                *("protocols=OpenFlow13", f"other-config:datapath-id={dpid:016x}"),
                *("--", "set-controller", name, f"ssl:127.0.0.1:{port}"),
            )
        wait_for(lambda: manager.connected() == [1, 2, 3], "all three bridges, at the same time")
