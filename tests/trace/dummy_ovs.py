"""A private Open vSwitch with dummy ports: real parsing, real classifier, no packets, no privilege.

It lives in a directory of its own, never in the machine's run directory, and its two processes are
children that end with it.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.text import format_flow
from ryu_apps.openflow.trace import Trace, datapath_ports, parse_trace
from ryu_apps.pipeline.layout import DEAD_VLAN, MetaPort

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


class DummyBridge:
    """A bridge of a DummyOvs with a port at each of `ofports` and the port `meta` beside them."""

    def __init__(self, ovs: DummyOvs, name: str, ofports: Iterable[int], meta: MetaPort) -> None:
        self.ovs = ovs
        self.name = name
        command = ["add-br", name, "--", "set", "bridge", name, "fail_mode=secure"]
        for ofport in ofports:
            port = f"{name}-{ofport}"
            command += ["--", "add-port", name, port, "--", "set", "interface", port]
            command += ["type=dummy", f"ofport_request={ofport}"]
        port = f"{name}-meta"
        command += ["--", "add-port", name, port, "vlan_mode=trunk", f"trunks={DEAD_VLAN}"]
        command += ["--", "set", "interface", port, "type=internal", f'mac="{meta.mac}"']
        command += [f"ofport_request={meta.ofport}"]
        ovs.run("ovs-vsctl", *command)
        self._ofports = datapath_ports(self._appctl("dpif/show"), name)
        assert {*ofports, meta.ofport} < set(self._ofports.values()), self._ofports

    @property
    def management(self) -> Path:
        """The socket that takes OpenFlow connections."""
        return self.ovs.directory / f"{self.name}.mgmt"

    def remove(self) -> None:
        """Delete the bridge."""
        self.ovs.run("ovs-vsctl", "del-br", self.name)

    def load(self, flows: Iterable[Flow]) -> None:
        """Add flows as text, in one bundle."""
        text = "".join(f"{format_flow(flow)}\n" for flow in flows)
        command = ("ovs-ofctl", "-OOpenFlow13", "--bundle", "add-flows", self.name, "-")
        self.ovs.run(*command, text=text)

    def clear(self) -> None:
        """Delete all flows."""
        self.ovs.run("ovs-ofctl", "-OOpenFlow13", "del-flows", self.name)

    @contextmanager
    def table_limit(self, table: int, flows: int) -> Iterator[None]:
        """Let a table take no more flows than so many."""
        self.ovs.run(
            *("ovs-vsctl", "--id=@limit", "create", "Flow_Table", f"flow_limit={flows}"),
            *("--", "set", "bridge", self.name, f"flow_tables:{table}=@limit"),
        )
        yield
        self.ovs.run("ovs-vsctl", "clear", "bridge", self.name, "flow_tables")

    def dump(self) -> list[str]:
        """All flows, as `ovs-ofctl --no-stats dump-flows` prints them, without leading blanks."""
        lines = self.ovs.run("ovs-ofctl", "--no-stats", "dump-flows", self.name).splitlines()
        return sorted(line.strip() for line in lines)

    def trace(self, packet: str, *ct_next: str) -> Trace:
        """Send `packet` through the pipeline; `ct_next` are conntrack's verdicts in turn."""
        verdicts = [word for verdict in ct_next for word in ("--ct-next", verdict)]
        output = self._appctl("ofproto/trace", self.name, packet, *verdicts)
        return parse_trace(output, self._ofports)

    def trace_at_table(self, packet: str, table: int) -> Trace:
        """Send `packet`, which may carry conntrack fields, through the pipeline from `table` on."""
        output = self._appctl("ofproto/trace-packet-out", self.name, packet, f"resubmit(,{table})")
        return parse_trace(output, self._ofports)

    def _appctl(self, *command: str) -> str:
        control = str(self.ovs.directory / "vswitchd.ctl")
        return self.ovs.run("ovs-appctl", "-t", control, *command)
