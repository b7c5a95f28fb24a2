"""A private Open vSwitch: its own database, run directory and processes, in one namespace.

Nothing of the machine's own Open vSwitch is used or touched. Bridges have the userspace datapath
(`datapath_type=netdev`), which needs no kernel module and has real conntrack.
"""

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.namespace import Namespace
from lab.process import Daemon, run
from lab.wait import wait_for

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
VSCTL_SECONDS = 30
"""A net for a database or a switch that hangs."""

_CONNTRACK = re.compile(
    r"(?P<protocol>\w+),orig=\(src=(?P<source>[^,]+),dst=(?P<destination>[^,]+),"
    r"sport=(?P<source_port>\d+),dport=(?P<destination_port>\d+)\),"
    r"reply=\(src=[^,]+,dst=(?P<translated>[^,]+),.*?\)"
    r"(?:,zone=(?P<zone>\d+))?(?:,mark=(?P<mark>\d+))?(?:,labels=(?P<labels>\w+))?"
)


@dataclass(frozen=True, slots=True)
class ConntrackEntry:
    """A TCP or UDP connection as conntrack has it. `translated` is the source after NAT."""

    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    translated: str
    zone: int
    mark: int


class OpenVSwitch:
    """ovsdb-server and ovs-vswitchd of our own; `start` and `stop` belong to the `Lab`."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace = namespace
        self.directory = directory
        self.env = dict.fromkeys(
            ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"), str(directory)
        )
        self.daemons: dict[str, Daemon] = {}

    @property
    def db(self) -> str:
        """Where the database listens, as `ovs-vsctl --db` takes it."""
        return f"unix:{self.directory / 'db.sock'}"

    def start(self) -> None:
        """Make the database and start both processes. Raises LabError."""
        self.directory.mkdir(parents=True)
        run("ovsdb-tool", "create", self.directory / "conf.db", SCHEMA)
        self.start_database()
        self.vsctl("--no-wait", "init")
        self.start_vswitchd()

    def start_database(self) -> None:
        """Start ovsdb-server on the database there is and wait until it listens."""
        socket = self.directory / "db.sock"
        self._launch("ovsdb-server", str(self.directory / "conf.db"), f"--remote=p{self.db}")
        wait_for(socket.exists, "ovsdb-server's socket", diagnose=self.diagnosis)

    def stop_database(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End ovsdb-server; what is in the database stays."""
        self.daemons.pop("ovsdb-server").stop(with_signal)
        # A killed one leaves its socket behind.
        (self.directory / "db.sock").unlink(missing_ok=True)

    def start_vswitchd(self) -> None:
        """Start ovs-vswitchd and wait until it has made what the database says."""
        self._launch("ovs-vswitchd", self.db, "--disable-system")
        # ovs-vsctl waits for vswitchd to take over the change of a counter in the database.
        self.vsctl("init")

    def stop_vswitchd(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End ovs-vswitchd; the database stays."""
        self.daemons.pop("ovs-vswitchd").stop(with_signal)

    def stop(self) -> None:
        """End both processes, vswitchd first."""
        for name in ("ovs-vswitchd", "ovsdb-server"):
            if daemon := self.daemons.pop(name, None):
                daemon.stop()

    def vsctl(self, *command: str) -> str:
        """The output of `ovs-vsctl`. Raises CommandFailed."""
        done = run("ovs-vsctl", f"--timeout={VSCTL_SECONDS}", *command, env=self.env)
        return done.stdout.strip()

    def controller_roles(self) -> Iterator[tuple[str, str]]:
        """Each controller's target with its role there, "" for one that has not answered yet."""
        words = ("--format=json", "--columns=target,role", "list", "controller")
        table = json.loads(self.vsctl(*words))
        for row in table["data"]:
            found = dict(zip(table["headings"], row, strict=True))
            # No role is an empty set.
            yield found["target"], found["role"] if isinstance(found["role"], str) else ""

    def ofctl(self, *command: str, text: str | None = None) -> str:
        """The output of `ovs-ofctl`. Raises CommandFailed."""
        return run("ovs-ofctl", *command, text=text, env=self.env).stdout

    def appctl(self, *command: str) -> str:
        """The output of `ovs-appctl` on vswitchd. Raises CommandFailed."""
        return run("ovs-appctl", *command, env=self.env).stdout

    def dump_flows(self, bridge: str, *, stats: bool = False) -> list[str]:
        """The bridge's flows as `ovs-ofctl dump-flows` shows them, without its own blank."""
        options = [] if stats else ["--no-stats"]
        lines = self.ofctl(*options, "dump-flows", bridge).splitlines()
        return [line.strip() for line in lines if "actions=" in line]

    def conntrack(self) -> list[ConntrackEntry]:
        """What `dpctl/dump-conntrack` shows of TCP and UDP."""
        lines = self.appctl("dpctl/dump-conntrack").splitlines()
        return [_entry(match) for line in lines if (match := _CONNTRACK.match(line))]

    def ofport(self, port: str) -> int:
        """The ofport of a port; -1 where Open vSwitch could not make it."""
        return int(self.vsctl("get", "Interface", port, "ofport"))

    def diagnosis(self) -> str:
        """The ends of both logs, for people."""
        return "\n".join(daemon.log_tail() for daemon in self.daemons.values())

    def _launch(self, name: str, *arguments: str) -> None:
        log = self.directory / f"{name}.log"
        command = [name, *arguments, "--pidfile", "--no-chdir", "-vconsole:info", "-vfile:off"]
        daemon = Daemon(name, self.namespace.command(*command), log=log, env=self.env)
        self.daemons[name] = daemon


def _entry(match: re.Match[str]) -> ConntrackEntry:
    return ConntrackEntry(
        protocol=match["protocol"],
        source=match["source"],
        source_port=int(match["source_port"]),
        destination=match["destination"],
        destination_port=int(match["destination_port"]),
        translated=match["translated"],
        zone=int(match["zone"] or 0),
        mark=int(match["mark"] or 0),
    )
