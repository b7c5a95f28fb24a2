"""A bridge of an Open vSwitch with dummy ports, and packets traced through its flows."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.dummy_openvswitch import DummyOvs
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.text import format_flow
from ryu_apps.openflow.trace import Trace, datapath_ports, parse_trace
from ryu_apps.pipeline.layout import DEAD_VLAN, MetaPort


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
