"""Counters of a port's flows from a real switch, through a real ryu-manager."""

import pytest

from tests.http.test_rest_schemathesis import DPID, Controller, switch_with_a_droplet
from tests.packaging.manager import wait_for

pytestmark = pytest.mark.slow

PORTS = f"/v1/switches/{DPID}/ports"
ARP = (
    "in_port(1),eth(src=a6:a4:8e:4a:e8:70,dst=02:00:00:00:00:01),eth_type(0x0806),"
    "arp(sip=10.0.0.2,tip=169.254.169.254,op=1,sha=a6:a4:8e:4a:e8:70,tha=00:00:00:00:00:00)"
)


def flows(controller):
    """The flows of the droplet's port by their names; none as long as it does not serve."""
    (port,) = (port for port in controller.call("GET", PORTS)["ports"] if port["name"] == "tap7")
    if port["state"] != "serving":
        return {}
    told = controller.call("GET", f"{PORTS}/{port['ofport']}/flows")
    return {flow["name"]: flow for flow in told["flows"]}


def test_counters_are_the_switch_s_own(tmp_path):
    with Controller(tmp_path) as controller, switch_with_a_droplet(controller) as ovs:
        wait_for(lambda: flows(controller), "flows of the port", lambda: controller.log)
        told = flows(controller)
        assert {flow["state"] for flow in told.values()} == {"present"}
        assert {flow["packets"] for flow in told.values()} == {0}
        control = str(ovs.directory / "vswitchd.ctl")
        for _ in range(3):
            ovs.run("ovs-appctl", "-t", control, "netdev-dummy/receive", "tap7", ARP)
        wait_for(
            lambda: flows(controller)["A1"]["packets"] == 3,
            "three packets at A1",
            lambda: str(flows(controller)),
        )
        told = flows(controller)
        assert told["A1"]["bytes"] > 0
        assert told["A1"]["age_s"] > 0
        assert told["R2"]["packets"] == told["N1"]["packets"] == 0
