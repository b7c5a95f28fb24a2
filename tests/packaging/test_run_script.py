"""`make run`'s script on a host of its own: both processes on the host's bridge until Ctrl-C."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.packaging.manager import wait_for

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.root

# Makes its namespaces a hypervisor: an Open vSwitch of its own (in memory), with one bridge; then
# becomes the script. The daemons' ids go where the test can end them.
HOST = """
set -eu
mount -t tmpfs tmpfs /run
mkdir -p "$OVS_RUNDIR"
ip link set lo up
cd "$1"
ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server conf.db --remote=punix:$OVS_RUNDIR/db.sock >ovsdb.log 2>&1 & echo $! >ovsdb.pid
until [ -S $OVS_RUNDIR/db.sock ]; do sleep 0.02; done
ovs-vsctl --no-wait init
ovs-vswitchd unix:$OVS_RUNDIR/db.sock >vswitchd.log 2>&1 & echo $! >vswitchd.pid
ovs-vsctl --timeout=60 add-br br0 -- set bridge br0 datapath_type=netdev
exec "$2" br0
"""


class Hypervisor:
    """A network and mount namespace with Open vSwitch and `scripts/run br0` in it.

    Open vSwitch has its sockets in `run_dir`.
    """

    def __init__(self, folder: Path, run_dir: str = "/run/openvswitch") -> None:
        self._folder = folder
        self._log = folder / "run.log"
        places = dict.fromkeys(("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"), run_dir)
        self._env = {**os.environ, **places}
        with self._log.open("wb") as log:
            # unshare and bash hand their process id on: this one becomes the script's.
            self.script = subprocess.Popen(
                [
                    "unshare",
                    "--net",
                    "--mount",
                    "bash",
                    "-c",
                    HOST,
                    "host",
                    folder,
                    ROOT / "scripts/run",
                ],
                env={**self._env, "STATE_DIR": str(folder / "state")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self) -> None:
        """End whatever still runs; the script's own processes first, which would outlive it."""
        for pid in self.children() if self.script.poll() is None else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.script.kill()
        self.script.wait()
        for name in ("vswitchd.pid", "ovsdb.pid"):
            if (self._folder / name).exists():
                with suppress(ProcessLookupError):  # a child of the script as well
                    os.kill(int((self._folder / name).read_text()), signal.SIGKILL)

    def children(self) -> list[int]:
        """The process ids of what the script has started and not seen end."""
        pid = self.script.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def log(self) -> str:
        """What the script and both processes wrote."""
        return self._log.read_text()

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this host."""
        enter = ["nsenter", f"--target={self.script.pid}", "--net", "--mount", "--root"]
        return subprocess.run(
            [*enter, *command], capture_output=True, text=True, check=False, env=self._env
        )

    def answers(self, url: str) -> bool:
        """Whether a GET of `url` succeeds; AssertionError if the script has ended meanwhile."""
        assert self.script.poll() is None, self.log()
        return self.ask("curl", "--silent", "--fail", url).returncode == 0


@pytest.fixture
def hypervisor(tmp_path: Path) -> Iterator[Hypervisor]:
    """One that has just been started, whose Open vSwitch is not in the usual place."""
    hypervisor = Hypervisor(tmp_path, "/run/elsewhere")
    try:
        yield hypervisor
    finally:
        hypervisor.stop()


def test_both_processes_serve_the_bridge_until_ctrl_c(hypervisor: Hypervisor) -> None:
    wait_for(
        lambda: hypervisor.answers("http://127.0.0.1:8080/readyz"), "the controller", hypervisor.log
    )
    wait_for(
        lambda: hypervisor.answers("http://127.0.0.1:9180/readyz"),
        "the metadata server",
        hypervisor.log,
    )
    connected = ("ovs-vsctl", "--bare", "--columns=is_connected", "list", "controller")
    wait_for(
        lambda: hypervisor.ask(*connected).stdout.strip() == "true",
        "the bridge's controller",
        hypervisor.log,
    )
    hypervisor.script.send_signal(signal.SIGINT)
    assert hypervisor.script.wait() == 0, hypervisor.log()
    assert "run: stopped" in hypervisor.log()


def test_a_process_that_ends_takes_the_other_with_it(hypervisor: Hypervisor) -> None:
    wait_for(
        lambda: hypervisor.answers("http://127.0.0.1:8080/readyz"), "the controller", hypervisor.log
    )
    pids = hypervisor.children()
    manager = next(p for p in pids if "ryu-manager" in Path(f"/proc/{p}/cmdline").read_text())
    os.kill(manager, signal.SIGTERM)
    assert hypervisor.script.wait() == 1, hypervisor.log()
    assert "ryu-manager ended by itself" in hypervisor.log()


def test_host_is_set_up_as_the_configuration_says(tmp_path: Path) -> None:
    """The file of an earlier run is the operator's to change."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "ovs-metadata.conf").write_text(
        "[DEFAULT]\nofp_listen_host = 127.0.0.1\n"
        f"[metadata]\nstate_dir = {state}\nmeta_port_name = meta9\n"
    )
    hypervisor = Hypervisor(tmp_path)
    try:
        wait_for(
            lambda: hypervisor.answers("http://127.0.0.1:9180/readyz"),
            "the metadata server",
            hypervisor.log,
        )
        assert "meta9" in hypervisor.ask("ovs-vsctl", "list-ports", "br0").stdout.split()
        assert "169.254.169.254" in hypervisor.ask("ip", "address", "show", "meta9").stdout
    finally:
        hypervisor.stop()
