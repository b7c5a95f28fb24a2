"""A private Open vSwitch with dummy ports: real parsing, real classifier, no packets, no privilege.

It lives in a directory of its own, never in the machine's run directory, and its two processes are
children that end with it.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
PATIENCE = 30


class DummyOvs:
    """ovsdb-server and ovs-vswitchd; a context manager."""

    def __init__(self) -> None:
        # Short: the path of a unix socket has a limit of 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="ovs-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        run = str(self.directory)
        self._environment = {
            **os.environ,
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "OVS_RUNDIR": run,
            "OVS_LOGDIR": run,
            "OVS_DBDIR": run,
        }

    def __enter__(self) -> "DummyOvs":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The processes it runs."""
        return [process.pid for process in self._processes]

    def run(self, *command: str, text: str = "") -> str:
        """Run one of Open vSwitch's commands against it and return what it prints."""
        done = subprocess.run(
            command,
            env=self._environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
        return done.stdout

    def stop(self) -> None:
        """End the processes and remove the directory."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        database, socket = self.directory / "conf.db", self.directory / "db.sock"
        self.run("ovsdb-tool", "create", str(database), SCHEMA)
        self._spawn("ovsdb-server", str(database), f"--remote=punix:{socket}")
        self._until(socket.exists, "ovsdb-server listens")
        self.run("ovs-vsctl", "--no-wait", "init")
        self._spawn(
            "ovs-vswitchd",
            "--enable-dummy=override",
            "--disable-system",
            f"--unixctl={self.directory / 'vswitchd.ctl'}",
            f"unix:{socket}",
        )

    def _spawn(self, *command: str) -> None:
        log = self.directory / f"{command[0]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)
        self._processes.append(process)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            time.sleep(0.005)
