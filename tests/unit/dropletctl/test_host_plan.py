"""What host-setup would do to a host: from what is seen to steps, and back again."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.dropletctl.host.plan import (
    SHARED,
    Impossible,
    derive_mac,
    forgotten,
    next_steps,
    recorded,
    setup_steps,
    sysctl_paths,
    undo_steps,
)
from ryu_apps.dropletctl.host.values import Bridge, Controller, Link, Port, Seen, Step, Wanted

WANTED = Wanted("br0")
MAC = derive_mac("db", "br0", "meta0")
ADDRESS = "169.254.169.254/32 scope link"
CONNECTED = Controller("u1", "tcp:127.0.0.1:6653", 1000, connected=True)
FRESH = Seen(
    ovsdb="db",
    bridges=("br0",),
    bridge=Bridge("2a", "netdev", None, (Controller("u1", "tcp:127.0.0.1:6653"),)),
    sysctls={"net/ipv6/conf/default/disable_ipv6": "0"},
    table_names={"main": 254, "local": 255},
)
PORT_SYSCTLS = {
    "net/ipv4/conf/meta0/rp_filter": "1",
    "net/ipv4/conf/meta0/forwarding": "0",
    "net/ipv4/conf/meta0/arp_ignore": "8",
    "net/ipv6/conf/meta0/disable_ipv6": "1",
}
DONE = Seen(
    ovsdb="db",
    bridges=("br0",),
    bridge=Bridge("2a", "netdev", "secure", (CONNECTED,)),
    port=Port("br0", "internal", MAC, "65278", "vlan_mode=trunk trunks=4095", no_flood=True),
    link=Link(up=True, address=ADDRESS),
    rules=frozenset({(169, "169.254.169.254", 169)}),
    routes={"default": "meta0"},
    table_names={"main": 254, "metadata": 169},
    sysctls={**PORT_SYSCTLS, "net/ipv6/conf/default/disable_ipv6": "0"},
)


def keys(steps: list[Step]) -> list[str]:
    return [step.key for step in steps]


def commands(steps: list[Step]) -> list[str]:
    return [str(command) for step in steps for command in step.commands]


def test_a_host_that_is_as_wanted_needs_nothing() -> None:
    assert setup_steps(WANTED, DONE) == []


def test_a_fresh_host_gets_all_in_an_order_that_works() -> None:
    done = commands(setup_steps(WANTED, FRESH))
    assert done[0] == (
        "ovs-vsctl add-port br0 meta0 vlan_mode=trunk trunks=4095 -- "
        f'set Interface meta0 type=internal ofport_request=65278 mac="{MAC}"'
    )
    order = [
        "echo 1 > /proc/sys/net/ipv4/conf/meta0/rp_filter",
        "ip address add 169.254.169.254/32 scope link dev meta0",
        "ip link set meta0 up",
        "echo 169\tmetadata > /etc/iproute2/rt_tables.d/ovs-metadata.conf",
        "ip route add default dev meta0 scope link table metadata",
        "ip rule add from 169.254.169.254 lookup metadata priority 169",
    ]
    assert [line for line in done if line in order] == order


def test_what_makes_the_device_anew_comes_alone() -> None:
    assert keys(next_steps(setup_steps(WANTED, FRESH))) == ["port"]
    seen = replace(DONE, port=replace(DONE.port, ofport_request=None), link=Link())
    assert keys(next_steps(setup_steps(WANTED, seen))) == ["ofport"]
    seen = replace(DONE, link=Link(), rules=frozenset())
    assert keys(next_steps(setup_steps(WANTED, seen))) == ["address", "link", "rule"]


@pytest.mark.parametrize(
    ("change", "key", "command"),
    [
        ({"port": replace(DONE.port, mac=None)}, "mac", f'set Interface meta0 mac="{MAC}"'),
        ({"port": replace(DONE.port, ofport_request=None)}, "ofport", "ofport_request=65278"),
        ({"port": replace(DONE.port, vlan="tag=4095")}, "vlan", "vlan_mode=trunk trunks=4095"),
        ({"port": replace(DONE.port, no_flood=False)}, "flood", "mod-port br0 meta0 no-flood"),
        ({"link": replace(DONE.link, up=False)}, "link", "ip link set meta0 up"),
        ({"link": replace(DONE.link, address=None)}, "address", "ip address add"),
        ({"link": replace(DONE.link, tx_checksum=True)}, "tx", "ethtool -K meta0 tx off"),
        ({"rules": frozenset({(169, "10.0.0.1", 169)})}, "rule", "ip rule add"),
        ({"routes": {}}, "route", "ip route add default dev meta0"),
        ({"table_names": {}}, "table", "rt_tables.d"),
        ({"bridge": replace(DONE.bridge, fail_mode="standalone")}, "fail_mode", "br0 secure"),
    ],
)
def test_each_difference_alone_has_its_own_mend(change: dict, key: str, command: str) -> None:
    steps = setup_steps(WANTED, replace(DONE, **change))
    assert keys(steps) == [key]
    assert command in commands(steps)[0]
    assert steps[0].why


@pytest.mark.parametrize("path", list(PORT_SYSCTLS))
def test_each_sysctl_is_seen_to(path: str) -> None:
    steps = setup_steps(WANTED, replace(DONE, sysctls={**DONE.sysctls, path: "5"}))
    assert commands(steps) == [f"echo {PORT_SYSCTLS[path]} > /proc/sys/{path}"]


def test_where_there_is_no_ipv6_there_is_none_to_switch_off() -> None:
    steps = setup_steps(WANTED, replace(FRESH, sysctls={}))
    assert not [line for line in commands(steps) if "ipv6" in line]


def test_every_sysctl_of_the_plan_is_looked_at() -> None:
    assert set(PORT_SYSCTLS) <= set(sysctl_paths("meta0"))


@pytest.mark.parametrize(("now", "then"), [("1024", "16384"), ("16384", None), ("65536", None)])
def test_the_neighbour_table_is_only_ever_enlarged(now: str, then: str | None) -> None:
    path = "net/ipv4/neigh/default/gc_thresh3"
    steps = setup_steps(WANTED, replace(DONE, sysctls={**DONE.sysctls, path: now}))
    assert [step.then for step in steps] == ([then] if then else [])


@pytest.mark.parametrize(("now", "then"), [(None, "1000"), (8000, "1000"), (500, None)])
def test_backoff_is_only_ever_shortened(now: int | None, then: str | None) -> None:
    bridge = replace(DONE.bridge, controllers=(replace(CONNECTED, max_backoff=now),))
    steps = setup_steps(WANTED, replace(DONE, bridge=bridge))
    assert [step.then for step in steps] == ([then] if then else [])


def test_fail_mode_waits_for_a_controller_since_it_would_cut_everybody_off() -> None:
    (step,) = (s for s in setup_steps(WANTED, FRESH) if s.key == "fail_mode")
    assert step.held is not None
    connected = replace(FRESH, bridge=replace(FRESH.bridge, controllers=(CONNECTED,)))
    (step,) = (s for s in setup_steps(WANTED, connected) if s.key == "fail_mode")
    assert step.held is None


def test_what_is_held_back_is_not_recorded() -> None:
    seen = replace(DONE, bridge=Bridge("2a"))
    (step,) = setup_steps(WANTED, seen)
    assert step.held
    assert recorded(WANTED, seen, next_steps([step])) == {"br0": {}}


def test_what_was_on_a_device_that_is_made_anew_is_remembered() -> None:
    seen = replace(DONE, port=replace(DONE.port, ofport_request=None))
    record = recorded(WANTED, seen, next_steps(setup_steps(WANTED, seen)))["br0"]
    assert record["ofport"] is None
    assert (record["address"], record["link"], record["route"]) == (*(ADDRESS, "up", "meta0"),)


def test_the_kernel_datapath_keeps_its_checksum_offload() -> None:
    bridge = replace(DONE.bridge, datapath_type="")
    seen = replace(DONE, bridge=bridge, link=replace(DONE.link, tx_checksum=True))
    assert setup_steps(WANTED, seen) == []


def test_a_mac_that_was_chosen_stays() -> None:
    chosen = replace(DONE, port=replace(DONE.port, mac="02:00:00:00:00:01"))
    assert setup_steps(WANTED, chosen) == []
    steps = setup_steps(replace(WANTED, mac="02:00:00:00:00:02"), chosen)
    assert [step.then for step in steps] == ["02:00:00:00:00:02"]


def test_an_ofport_that_was_chosen_stays() -> None:
    assert setup_steps(WANTED, replace(DONE, port=replace(DONE.port, ofport_request="9"))) == []


def test_a_bridge_with_a_subnet_of_its_own_gets_a_route_of_its_own() -> None:
    wanted = Wanted("br1", port="meta1", hv_local_subnet=IPv4Network("100.126.0.0/16"))
    seen = replace(FRESH, bridge=Bridge("2b"), routes={"default": "meta0"})
    assert "ip route add 100.126.0.0/16 dev meta1 scope link table metadata" in commands(
        setup_steps(wanted, seen)
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bridge": None, "bridges": ("br1", "br2")}, "no bridge br0 .*br1, br2"),
        ({"port": Port("br1")}, "meta0 is a port of br1"),
        ({"port": Port("br0", type="")}, "no internal port of br0 but a device"),
        ({"port": None}, "meta0 that is no port of Open vSwitch"),
        ({"foreign_devices": ("eth0",)}, "eth0 has 169.254.169.254 already"),
        ({"table_names": {"metadata": 7}}, "metadata is number 7, not 169"),
        ({"table_names": {"vpn": 169}}, "169 is called vpn"),
        ({"routes": {"default": "eth1"}}, "leads default to eth1"),
    ],
)
def test_what_stands_in_the_way_is_named_and_left_alone(change: dict, reason: str) -> None:
    with pytest.raises(Impossible, match=reason):
        setup_steps(WANTED, replace(DONE, **change))


def test_every_obstacle_is_named_at_once() -> None:
    seen = replace(DONE, foreign_devices=("eth0",), table_names={"vpn": 169})
    with pytest.raises(Impossible) as caught:
        setup_steps(WANTED, seen)
    assert len(caught.value.reasons) == 2


def test_undo_of_a_host_that_was_fresh_takes_all_away_and_nothing_else() -> None:
    steps = [step for step in setup_steps(WANTED, FRESH) if step.held is None]
    records = recorded(WANTED, FRESH, steps)
    assert commands(undo_steps(WANTED, replace(DONE, records=records))) == [
        "ip rule del from 169.254.169.254 lookup metadata priority 169",
        "rm -f /etc/iproute2/rt_tables.d/ovs-metadata.conf",
        "ovs-vsctl clear Controller u1 max_backoff",
        "ovs-vsctl del-port br0 meta0",
    ]


def test_undo_without_a_record_does_nothing() -> None:
    assert undo_steps(WANTED, DONE) == []


CHANGES = {
    "mac": {"port": replace(DONE.port, mac=None)},
    "ofport": {"port": replace(DONE.port, ofport_request=None)},
    "vlan": {"port": replace(DONE.port, vlan="tag=5")},
    "flood": {"port": replace(DONE.port, no_flood=False)},
    "fail_mode": {"bridge": replace(DONE.bridge, fail_mode="standalone")},
    "link": {"link": replace(DONE.link, up=False)},
    "address": {"link": replace(DONE.link, address=None)},
    "route": {"routes": {}},
    "rule": {"rules": frozenset()},
}


@pytest.mark.parametrize("key", list(CHANGES))
def test_undo_gives_back_what_was_changed_and_only_that(key: str) -> None:
    before = replace(DONE, **CHANGES[key])
    steps = setup_steps(WANTED, before)
    after = replace(DONE, records=recorded(WANTED, before, steps))
    (back,) = undo_steps(WANTED, after)
    assert (back.key, back.now, back.then) == (key, steps[0].then, steps[0].now)


def test_undoing_twice_does_nothing_the_second_time() -> None:
    records = recorded(WANTED, FRESH, setup_steps(WANTED, FRESH))
    assert undo_steps(WANTED, replace(FRESH, records=records)) == []


def test_the_first_value_is_the_one_remembered() -> None:
    old = {"br0": {"port": None, "link": "down"}, SHARED: {"rule": None}}
    # After a reboot: the port is there, its address and the rest are not.
    seen = replace(DONE, link=Link(), rules=frozenset(), records=old)
    records = recorded(WANTED, seen, setup_steps(WANTED, seen))
    assert records["br0"]["port"] is None
    assert records["br0"]["address"] is None


def test_what_bridges_share_goes_with_the_last_of_them() -> None:
    records = {"br0": {"port": None}, "br1": {"port": None}, SHARED: {"rule": None}}
    seen = replace(DONE, records=records)
    assert keys(undo_steps(WANTED, seen)) == ["port"]
    assert forgotten(WANTED, seen) == {"br1": {"port": None}, SHARED: {"rule": None}}
    last = replace(DONE, records={"br0": {"port": None}, SHARED: {"rule": None}})
    assert keys(undo_steps(WANTED, last)) == ["rule", "port"]
    assert forgotten(WANTED, last) == {}


def test_undo_works_after_the_bridge_has_gone() -> None:
    records = recorded(WANTED, FRESH, setup_steps(WANTED, FRESH))
    gone = replace(DONE, bridges=(), bridge=None, port=None, link=None, routes={}, records=records)
    assert keys(undo_steps(WANTED, gone)) == ["rule", "table"]


@given(st.text(), st.text(), st.text())
def test_a_derived_mac_is_one_a_nic_can_have(ovsdb: str, bridge: str, port: str) -> None:
    mac = derive_mac(ovsdb, bridge, port)
    octets = bytes.fromhex(mac.replace(":", ""))
    assert len(octets) == 6
    assert octets[0] & 0b11 == 0b10, "locally administered, and of one NIC"
    assert derive_mac(ovsdb, bridge, port) == mac


def test_ports_and_hosts_have_macs_of_their_own() -> None:
    names = [("db", "br0", "meta0"), ("db2", "br0", "meta0"), ("db", "br1", "meta0")]
    assert len({derive_mac(*each) for each in names}) == len(names)
