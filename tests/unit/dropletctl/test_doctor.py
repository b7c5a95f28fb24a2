"""The checks of doctor on facts that a real host does not easily give; the others are system tests.

`tests/system/test_doctor.py` breaks the rest on a real host.
"""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from ovs_metadata_client import Switch
from ryu_apps.dropletctl.doctor.checks import CHECKS, diagnose
from ryu_apps.dropletctl.doctor.look import sentence
from ryu_apps.dropletctl.doctor.values import (
    CONTROLLER_UNIT,
    SERVER_UNIT,
    SOCKET_UNIT,
    ControllerAnswer,
    ControllerRow,
    Facts,
    Host,
    Listener,
    OpenVSwitch,
    Route,
    Rule,
    ServerAnswer,
    Unit,
    Weight,
)
from ryu_apps.dropletctl.host.values import Step, Wanted
from ryu_apps.openflow.target import on_this_host
from ryu_apps.pipeline.layout import BridgeSettings, Pipeline

DPID = "000000000000002a"
SWITCH: Switch = {
    **{"dpid": DPID, "connected": True, "state": "in-sync", "reason": None, "ports": 1},
    **{"serving": 1, "flows": 20, "hv_local_subnet": "100.127.0.0/16", "warnings": []},
}
HEALTHY = Facts(
    wanted=Wanted("br0"),
    settings=BridgeSettings(),
    dpid=DPID,
    controller=ControllerAnswer("http://c:8080", switch=SWITCH),
    server=ServerAnswer("http://s:9180", None, {"ready": True, "connected": True, "dpid": DPID}),
    ovs=OpenVSwitch(
        version="3.1.0",
        features={"CT state": "Yes", "CT state NAT": "Yes"},
        controllers=(ControllerRow("tcp:127.0.0.1:6653", True, True, True),),
    ),
    host=Host(reply_device="meta0", listeners=(Listener("169.254.169.254", "granian"),)),
)


def controller(**changes: object) -> Facts:
    return replace(HEALTHY, controller=replace(HEALTHY.controller, **changes))


def server(**report: object) -> Facts:
    return replace(HEALTHY, server=ServerAnswer("u", None, {**HEALTHY.server.report, **report}))


def switch(**changes: object) -> Facts:
    return controller(switch={**SWITCH, **changes})


def ovs(**changes: object) -> Facts:
    return replace(HEALTHY, ovs=replace(HEALTHY.ovs, **changes))


def host(**changes: object) -> Facts:
    return replace(HEALTHY, host=replace(HEALTHY.host, **changes))


ILLS = {
    "no NAT": (ovs(features={"CT state NAT": "No"}), "datapath", "no CT state NAT"),
    "version": (ovs(version="2.9.10"), "ovs-version", "2.9.10"),
    "late clock": (controller(skew=-3600.0), "clock", "-3600 s"),
    "registry": (controller(reasons=("the disk is full",)), "registry", "the disk is full"),
    "refused": (switch(state="refused", reason="it clashes"), "switch", "refused: it clashes"),
    "warned": (switch(warnings=["no meters"]), "switch", "no meters"),
    "quarrel": (
        switch(reason="another controller or tool changes our flows"),
        "switch",
        "another controller or tool changes our flows",
    ),
    "rivals": (
        ovs(controllers=(*HEALTHY.ovs.controllers, ControllerRow("ssl:c:6653", True, True, False))),
        "rivals",
        "br0 has 2 controllers: ssl:c:6653, tcp:127.0.0.1:6653",
    ),
    "unknown": (controller(switch=None), "switch", f"does not know switch {DPID}"),
    "gone": (switch(connected=False), "switch", f"does not know switch {DPID}"),
    "other bridge": (server(dpid="00000000000000ff"), "server", "serves 00000000000000ff"),
    "not ready": (server(ready=False), "server", "its view is not certain yet"),
    "database": (
        server(ready=False, ovsdb="silent", ovsdb_reason="no answer"),
        "server",
        "database is silent (no answer)",
    ),
    "unreachable": (
        server(ready=False, unreachable="meta0 is down"),
        "server",
        "not ready: meta0 is down",
    ),
    "no way": (
        replace(host(reply_device=None), server=server(ready=False, unreachable="no way").server),
        "reply-route",
        "leave by no device",
    ),
    "alone": (server(connected=False), "server", "does not follow a controller"),
    "elsewhere": (host(listeners=()), "listener", "nobody listens on 169.254.169.254:80"),
    "Tailscale": (
        host(routes=(Route(IPv4Network("100.127.3.4/32"), "tailscale0", "52"),)),
        "routes",
        "table 52 routes 100.127.3.4/32 to tailscale0",
    ),
}


def test_nothing_is_wrong_with_a_healthy_host() -> None:
    assert diagnose(HEALTHY) == []


@pytest.mark.parametrize(("facts", "check", "words"), ILLS.values(), ids=ILLS)
def test_it_is_named_and_nothing_else(facts: Facts, check: str, words: str) -> None:
    (finding,) = diagnose(facts)
    assert finding.check == check
    assert words in finding.what


def test_a_bridge_whose_pipeline_is_another_s_may_have_two_controllers() -> None:
    embedded = BridgeSettings(pipeline=Pipeline.EMBEDDED)
    two = ovs(controllers=HEALTHY.ovs.controllers * 2)
    assert diagnose(replace(two, settings=embedded)) == []


def test_routes_that_are_no_clash() -> None:
    networks = ("0.0.0.0/0", "10.0.0.0/8", "100.64.0.0/10")
    routes = tuple(Route(IPv4Network(network), "eth0", "254") for network in networks)
    assert diagnose(host(routes=routes)) == []
    assert diagnose(host(routes=(Route(IPv4Network("100.127.0.0/16"), "meta0", "254"),))) == []


def test_faults_come_first() -> None:
    ill = replace(controller(skew=100.0), server=ServerAnswer("u", "refused"))
    weights = [finding.weight for finding in diagnose(ill)]
    assert weights == [Weight.FAULT, Weight.FAULT, Weight.WARNING]


def test_every_finding_is_of_a_check_that_is_listed() -> None:
    for facts, check, _ in ILLS.values():
        assert check in CHECKS or check == "clock", facts


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("tcp:127.0.0.1:6653", True),
        ("ssl:[::1]:6653", True),
        ("unix:/run/c.sock", True),
        ("punix:c", True),
        ("tcp:10.0.0.1:6653", False),
        ("tcp:127.example.org", False),
    ],
)
def test_which_controllers_are_on_this_host(target: str, local: bool) -> None:
    assert on_this_host(target) is local


def test_several_controllers_with_one_registry_are_no_rivals():
    rivals = ovs(
        controllers=(*HEALTHY.ovs.controllers, ControllerRow("ssl:c:6653", True, True, False))
    )
    assert [finding.check for finding in diagnose(rivals)] == ["rivals"]
    assert list(diagnose(replace(rivals, shared_registry=True))) == []


# -- the package's units ---------------------------------------------------------------------------


def mends(facts: Facts) -> dict[str, tuple[str, ...]]:
    """What each check has to say of its mend."""
    return {finding.check: finding.mend for finding in diagnose(facts)}


def with_units(facts: Facts, **states: str) -> Facts:
    names = {"controller": CONTROLLER_UNIT, "server": SERVER_UNIT, "socket": SOCKET_UNIT}
    units = {names[key]: Unit(names[key], state) for key, state in states.items()}
    return replace(facts, units=units)


SILENT = replace(
    HEALTHY,
    controller=ControllerAnswer("http://c:8080", "nobody there", answers=False),
    server=ServerAnswer("http://s:9180", "Connection refused"),
)


def test_where_the_units_are_the_mend_is_theirs() -> None:
    found = mends(with_units(SILENT, controller="inactive", server="inactive", socket="active"))
    assert found["registry"] == (f"systemctl start {CONTROLLER_UNIT}",)
    assert found["server"] == (f"systemctl start {SERVER_UNIT}",)
    without = mends(SILENT)
    assert not any(line.startswith("systemctl") for lines in without.values() for line in lines)


def test_a_unit_that_failed_says_why() -> None:
    failed = Unit(CONTROLLER_UNIT, "failed", 78, "cannot start: no room")
    facts = replace(SILENT, units={CONTROLLER_UNIT: failed})
    finding = next(each for each in diagnose(facts) if each.check == "registry")
    assert finding.what == f"{CONTROLLER_UNIT} is failed and said last: cannot start: no room"
    assert finding.mend[-1] == f"systemctl restart {CONTROLLER_UNIT}"


def test_our_own_socket_is_nobody_elses() -> None:
    def listens(process: str, **states: str) -> set[str]:
        one = Listener("169.254.169.254", process, "x.service")
        facts = replace(SILENT, host=replace(HEALTHY.host, listeners=(one,)))
        return set(mends(with_units(facts, **states)))

    assert "listener" not in listens("systemd", server="inactive", socket="active")
    assert "listener" not in listens("metadata-http", server="active", socket="active")
    assert "listener" in listens("systemd", server="inactive", socket="failed")
    assert "listener" in listens("nginx", server="inactive", socket="failed")


def test_a_server_without_a_good_token_gets_another_from_the_controller() -> None:
    reason = "no token for the controller: [Errno 13] Permission denied"
    facts = server(connected=False, controller_reason=reason)
    assert mends(with_units(facts, controller="active"))["server"] == (
        f"systemctl restart {CONTROLLER_UNIT}",
    )
    assert reason in next(iter(diagnose(facts))).what


def test_a_rule_that_comes_first_is_named() -> None:
    facts = host(
        reply_device="vpn0",
        routes=(Route(IPv4Network("100.64.0.0/10"), "vpn0", "52"),),
        rules_before=(Rule(40, "7"), Rule(52, "52")),
    )
    (finding,) = diagnose(facts)
    assert finding.what.endswith("would leave by vpn0: rule 52 comes before ours")
    assert finding.mend[0] == "ip rule delete priority 52"


def test_a_wrong_target_is_set_right_where_a_controller_answers() -> None:
    row = ControllerRow("tcp:127.0.0.1:6633", False, True, True, "Connection refused")
    facts = ovs(controllers=(row,))
    assert mends(facts)["controller"] == ("ovs-vsctl set-controller br0 tcp:127.0.0.1:6653",)


def test_of_a_port_that_is_not_there_nothing_else_is_said() -> None:
    def step(key: str, now: str | None) -> Step:
        return Step(key, key, now, "so", "it must", ())

    steps = (step("port", None), step("address", None), step("fail_mode", None))
    checks = [finding.check for finding in diagnose(replace(HEALTHY, steps=steps))]
    assert checks == ["host-setup:port", "host-setup:fail_mode"]


@pytest.mark.parametrize(
    "line",
    [
        '2026-11-26T00:22:18.984Z CRITICAL 1773 ryu_apps.metadata_controller [cannot_start reason="'
        'a \\"b\\" [c] d"] cannot start: why [so]',
        "2026-11-26T00:22:18.984Z INFO 1 ryu_apps [x dpid=2a n=5] cannot start: why [so]",
        "2026-11-26T00:22:18.984Z INFO 1 ryu_apps [x] cannot start: why [so]",
        "cannot start: why [so]",
    ],
)
def test_of_a_line_of_the_log_its_sentence_is_told(line: str) -> None:
    assert sentence(line) == "cannot start: why [so]"
