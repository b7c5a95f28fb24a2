"""A switch that has neither bundles nor a flow monitor: an Open vSwitch behind a relay.

No packet is sent here, so none of it needs root: dummy ports, the real controller, real flows.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from bench.connect import BRIDGE, META_OFPORT, Site
from lab.dummy_openvswitch import DummyOvs
from ryu_apps.openflow.text import parse_flow
from ryu_apps.pipeline.droplet_flows import BoundPort, droplet_flows
from ryu_apps.pipeline.layout import BridgeSettings, CookieMark, MetaPort, Priority
from ryu_apps.pipeline.shared_flows import shared_flows
from tests.system.without_bundles import OldSwitch

pytestmark = pytest.mark.slow

SETTINGS = BridgeSettings()
FOREIGN = "cookie=0xf00, table=65, priority=7,in_port=9999 actions=drop"


class OldSite:
    """Three droplets on a bridge whose controller is reached through the relay."""

    def __init__(self, site: Site, relay: OldSwitch) -> None:
        self.site = site
        self.relay = relay
        mac = json.loads(site.ovs.run("ovs-vsctl", "get", "interface", "meta0", "mac_in_use"))
        self.meta = MetaPort(META_OFPORT, mac)

    def call(self, method: str, path: str, document: object = None) -> dict:
        """A REST call as the administrator."""
        token = (self.site.ovs.directory / "state" / "tokens").read_text()
        admin = next(line.split()[1] for line in token.splitlines() if line.startswith("admin"))
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.site.rest}{path}",
            method=method,
            data=None if document is None else json.dumps(document).encode(),
            headers={"Authorization": f"Bearer {admin}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"{}")

    def put(self, n: int, mac: str) -> None:
        """Register the droplet of port n."""
        self.call("PUT", f"/v1/droplets/{n + 100000}", {"ports": [{"name": f"tap{n}", "mac": mac}]})

    def port(self, n: int) -> dict:
        """What REST tells of port n."""
        (switch,) = self.call("GET", "/v1/switches")["switches"]
        ports = self.call("GET", f"/v1/switches/{switch['dpid']}/ports")["ports"]
        return {port["ofport"]: port for port in ports}[n]

    def flows(self) -> set:
        """What the switch has."""
        text = self.site.ovs.run("ovs-ofctl", "--no-stats", "dump-flows", BRIDGE)
        return {parse_flow(line.strip()) for line in text.splitlines() if "actions=" in line}

    def wanted(self, *macs: str) -> set:
        """What it should have with these MACs on the first ports."""
        bound = [
            flow
            for n, mac in enumerate(macs, 1)
            if mac
            for flow in droplet_flows(SETTINGS, self.meta, BoundPort(n, mac, 100000 + n))
        ]
        return {*shared_flows(SETTINGS, self.meta), *bound, parse_flow(FOREIGN)}

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition, with the log where it does not come."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.site.log.read_text()[-6000:]}"
            time.sleep(0.05)


def mac(n: int, variant: int = 0) -> str:
    """A droplet's MAC address."""
    return f"a6:00:00:00:{variant:02x}:{n:02x}"


@pytest.fixture(scope="module")
def old() -> Iterator[OldSite]:
    with DummyOvs() as ovs:
        site = Site(ovs, 3)
        site.make_bridge()
        relay = OldSwitch(site.openflow)
        ovs.run("ovs-ofctl", "-OOpenFlow13", "add-flow", BRIDGE, FOREIGN.replace(" a", ",a"))
        made = OldSite(site, relay)
        with site.controller():
            site.wait_until_listening()
            for n in (1, 2, 3):
                made.put(n, mac(n))
            ovs.run(
                *("ovs-vsctl", "set-controller", BRIDGE, f"tcp:127.0.0.1:{relay.port}"),
                *("--", "set", "controller", BRIDGE, "max_backoff=1000"),
            )
            # Open vSwitch flushes a bridge as it gets its first controller.
            ovs.run("ovs-ofctl", "-OOpenFlow13", "add-flow", BRIDGE, FOREIGN.replace(" a", ",a"))
            made.wait(lambda: made.flows() == made.wanted(mac(1), mac(2), mac(3)), "all served")
            yield made
        relay.close()


def stages(flow_mods: list) -> list[list]:
    """What passed between two barriers each."""
    found: list[list] = [[]]
    for entry in flow_mods:
        if entry is None:
            found.append([])
        else:
            found[-1].append(entry)
    return [stage for stage in found if stage]


def test_it_was_asked_for_a_bundle_once_and_served_without(old: OldSite) -> None:
    assert old.relay.refused.count((ofp.OFPT_EXPERIMENTER, ofp.ONF_ET_BUNDLE_CONTROL)) == 2
    assert (ofp.OFPT_EXPERIMENTER, ofp.ONF_ET_BUNDLE_ADD_MESSAGE) not in old.relay.refused


def test_no_port_opens_before_all_else_of_it_is_there(old: OldSite) -> None:
    """N1, the only flow with its priority in the classifier under a droplet's cookie, is last."""
    opening = [
        stage
        for stage in stages(old.relay.flow_mods)
        if any(CookieMark.owner(cookie)[0] for _, _, _, cookie in stage)
    ]
    *others, last = opening
    assert {(table, priority) for _, table, priority, _ in last} == {(0, Priority.PATH)}
    assert all(
        (table, priority) != (0, Priority.PATH)
        for stage in others
        for _, table, priority, _ in stage
    )


def test_a_change_adds_first_and_then_takes_away_what_is_stale(old: OldSite) -> None:
    del old.relay.flow_mods[:]
    old.put(2, mac(2, 1))
    old.wait(lambda: old.flows() == old.wanted(mac(1), mac(2, 1), mac(3)), "the new MAC")
    commands = [[command for command, *_ in stage] for stage in stages(old.relay.flow_mods)]
    assert commands == [
        [ofp.OFPFC_ADD] * len(commands[0]),
        [ofp.OFPFC_DELETE_STRICT] * len(commands[1]),
    ]


def test_a_deleted_flow_is_missed_by_counting(old: OldSite) -> None:
    whole = old.flows()
    cookie = CookieMark().of_port(1, 100001)
    old.site.ovs.run("ovs-ofctl", "-OOpenFlow13", "del-flows", BRIDGE, f"cookie={cookie:#x}/-1")
    assert old.flows() != whole
    old.wait(lambda: old.flows() == whole, "the flows to come back")


def test_what_is_refused_half_way_leaves_no_port_half_open(old: OldSite) -> None:
    cookie = CookieMark().of_port(3, 100003)
    old.relay.refuse = lambda refused, table: refused == cookie and table == 65
    old.put(3, mac(3, 2))
    old.wait(lambda: old.port(3)["state"] == "error", "the refusal to be told")
    assert "OFPFMFC_TABLE_FULL" in old.port(3)["reason"]
    old.wait(lambda: old.flows() == old.wanted(mac(1), mac(2, 1)), "the port to be closed")
    assert old.port(1)["state"] == old.port(2)["state"] == "serving"
    old.relay.refuse = lambda refused, table: False
    old.put(3, mac(3))
    old.wait(lambda: old.flows() == old.wanted(mac(1), mac(2, 1), mac(3)), "a new try")


def test_reconnecting_with_nothing_changed_sends_no_flow_mod(old: OldSite) -> None:
    whole, begun = old.flows(), old.site.log_size()
    del old.relay.flow_mods[:]
    old.relay.cut()
    old.wait(lambda: "in sync" in old.site.log.read_bytes()[begun:].decode(), "to be in sync again")
    assert old.flows() == whole
    assert stages(old.relay.flow_mods) == []
