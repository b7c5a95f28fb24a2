"""host-setup on a real Open vSwitch: idempotent, checked, undone, and what it is there for."""

import json
import subprocess

import pytest

from lab.droplet import NoAnswer
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.services import BIN
from lab.wait import wait_for

META = "meta0"
CURL_TIMED_OUT = 28


def host_setup(
    host: Hypervisor, *words: str, status: int = 0, bridge: str = BRIDGE
) -> subprocess.CompletedProcess[str]:
    done = host.run(BIN / "dropletctl", "host-setup", "--bridge", bridge, *words, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def state(host: Hypervisor) -> dict[str, str]:
    """All that host-setup might change, as the host's own tools show it."""
    # UUIDs and counters of the database change with each write; the settings are what counts.
    commands = {
        "addresses": "ip -o address | grep -v ovs-netdev | sed 's/^[0-9]*: //; s/ valid_lft.*//'",
        "links": "ip -o link | grep -v ovs-netdev | sed 's/^[0-9]*: //'",
        "rules": "ip rule",
        "routes": "ip route show table all",
        "tables": "cat /etc/iproute2/rt_tables.d/*",
        "bridges": "ovs-vsctl --columns=name,fail_mode,other_config,external_ids list Bridge",
        "ports": "ovs-vsctl --columns=name,tag,trunks,vlan_mode,external_ids list Port",
        "interfaces": "ovs-vsctl --columns=name,type,mac,external_ids list Interface",
        "controllers": "ovs-vsctl --columns=target,max_backoff list Controller",
        "root": "ovs-vsctl --columns=external_ids list Open_vSwitch",
        "sysctls": "sysctl -a 2>/dev/null | grep -v -e random -e 'stat' -e dentry -e inode -e nr",
    }
    return {name: host.run("sh", "-c", line, check=False).stdout for name, line in commands.items()}


def settled(host: Hypervisor) -> dict[str, str]:
    """The state but for what the kernel changes by itself (IPv6 autoconfiguration)."""
    found = state(host)
    found.pop("sysctls")
    return found


@pytest.fixture
def bridge(host: Hypervisor) -> Hypervisor:
    """A host whose bridge is secure already, so that no controller is needed for it."""
    host.add_bridge()
    host.ovs.vsctl("set-fail-mode", BRIDGE, "secure")
    return host


@pytest.fixture(scope="module")
def ready(lab: Lab) -> Hypervisor:
    """A host that is set up; a test that changes it mends it again."""
    made = lab.hypervisor("ready")
    made.add_bridge()
    made.ovs.vsctl("set-fail-mode", BRIDGE, "secure")
    host_setup(made)
    return made


def test_a_fresh_host_is_set_up_and_found_so(bridge: Hypervisor) -> None:
    assert (
        "port meta0 is none, should be internal" in host_setup(bridge, "--check", status=1).stdout
    )
    host_setup(bridge)
    assert host_setup(bridge, "--check").stdout == "br0: all is as it should be\n"
    found = state(bridge)
    assert "inet 169.254.169.254/32" in found["addresses"]
    assert "169:\tfrom 169.254.169.254 lookup metadata" in found["rules"]
    assert "default dev meta0 table metadata scope link" in found["routes"]


def test_check_changes_nothing(bridge: Hypervisor) -> None:
    before = settled(bridge)
    host_setup(bridge, "--check", status=1)
    assert settled(bridge) == before


def test_once_more_changes_nothing(bridge: Hypervisor) -> None:
    host_setup(bridge)
    before = settled(bridge)
    assert host_setup(bridge).stdout == "br0: nothing to do\n"
    assert settled(bridge) == before


def test_undo_leaves_the_host_as_it_was(bridge: Hypervisor) -> None:
    before = settled(bridge)
    host_setup(bridge)
    host_setup(bridge, "--undo")
    assert settled(bridge) == before
    assert host_setup(bridge, "--undo").stdout == "br0: nothing to do\n"


def test_undo_leaves_what_was_there_before(bridge: Hypervisor) -> None:
    bridge.ovs.vsctl(
        *("add-port", BRIDGE, META, "--", "set", "Interface", META, "type=internal"),
        *('mac="02:00:00:00:00:07"', "--", "set", "Port", META, "tag=7"),
        *("--", "set-controller", BRIDGE, "tcp:127.0.0.1:6653"),
    )
    bridge.ovs.vsctl("set", "Controller", BRIDGE, "max_backoff=5000")
    bridge.namespace.ip(f"link set {META} up", f"address add 169.254.169.254/32 dev {META}")
    before = settled(bridge)
    host_setup(bridge)
    assert settled(bridge) != before
    host_setup(bridge, "--undo")
    after = settled(bridge)
    for part in before:
        assert after[part] == before[part], part


@pytest.mark.parametrize(
    "damage",
    [
        ("ip", "address", "del", "169.254.169.254/32", "dev", META),
        ("ip", "link", "set", META, "down"),
        ("ip", "rule", "del", "from", "169.254.169.254"),
        ("ip", "route", "flush", "table", "metadata"),
        ("rm", "/etc/iproute2/rt_tables.d/ovs-metadata.conf"),
        ("ovs-vsctl", "clear", "Port", META, "vlan_mode", "trunks"),
        ("ovs-vsctl", "clear", "Interface", META, "mac"),
        ("ovs-ofctl", "-O", "OpenFlow10", "mod-port", BRIDGE, META, "flood"),
        ("ovs-vsctl", "del-port", BRIDGE, META),
        ("sysctl", "-qw", f"net.ipv4.conf.{META}.rp_filter=0"),
        ("sysctl", "-qw", f"net.ipv6.conf.{META}.disable_ipv6=0"),
    ],
    ids=lambda words: " ".join(words[:4]),
)
def test_what_was_damaged_is_found_and_mended(ready: Hypervisor, damage: tuple[str, ...]) -> None:
    ready.run(*damage)
    host_setup(ready, "--check", status=1)
    host_setup(ready)
    host_setup(ready, "--check")


def test_the_mac_survives_a_restart_and_a_new_port(bridge: Hypervisor) -> None:
    def mac() -> str:
        return bridge.run("cat", f"/sys/class/net/{META}/address").stdout

    host_setup(bridge)
    first = mac()
    bridge.ovs.stop_vswitchd()
    bridge.ovs.start_vswitchd()
    assert mac() == first
    bridge.ovs.vsctl("del-port", BRIDGE, META)
    # Open vSwitch answers before the device is gone.
    wait_for(
        lambda: bridge.run("ip", "link", "show", META, check=False).returncode != 0,
        "the old device to go",
    )
    host_setup(bridge)
    assert mac() == first


def test_a_restart_of_open_vswitch_leaves_only_flooding_to_mend(bridge: Hypervisor) -> None:
    host_setup(bridge)
    bridge.ovs.stop_vswitchd()
    bridge.ovs.start_vswitchd()

    def found() -> list[str]:
        check = ("host-setup", "--bridge", BRIDGE, "--check", "--json")
        listed = json.loads(bridge.run(BIN / "dropletctl", *check, check=False).stdout)
        return [difference["setting"] for difference in listed]

    # The port is there a moment before Open vSwitch has set it up anew.
    wait_for(lambda: found() == ["flood"], "the flooding alone to be found")


def test_a_mac_may_be_chosen(bridge: Hypervisor) -> None:
    host_setup(bridge, "--mac", "02:00:00:00:00:07")
    assert "02:00:00:00:00:07" in bridge.run("cat", f"/sys/class/net/{META}/address").stdout


def test_fail_mode_is_not_changed_while_that_would_cut_everybody_off(host: Hypervisor) -> None:
    host.add_bridge()
    assert "fail_mode of br0 stays none until a controller is connected" in host_setup(host).stdout
    assert host.ovs.dump_flows(BRIDGE) == ["priority=0 actions=NORMAL"]
    assert "held back" in host_setup(host, "--check", status=1).stdout


def test_two_bridges_share_what_they_can(bridge: Hypervisor) -> None:
    bridge.add_bridge("br1")
    bridge.ovs.vsctl("set-fail-mode", "br1", "secure")
    config = bridge.directory / "two.conf"
    section = f"[bridge:{bridge.dpid('br1')}]\nmeta_port_name = meta1\n"
    config.write_text(f"{section}hv_local_subnet = 100.126.0.0/16\nzone_base = 30000\n")
    before = settled(bridge)
    options = ("--config-file", str(config))
    for name in (BRIDGE, "br1"):
        host_setup(bridge, *options, bridge=name)
    for name in (BRIDGE, "br1"):
        host_setup(bridge, *options, "--check", bridge=name)
    routes = bridge.run("ip", "route", "show", "table", "metadata").stdout
    assert "100.126.0.0/16 dev meta1 scope link" in routes
    host_setup(bridge, *options, "--undo", bridge=BRIDGE)
    host_setup(bridge, *options, "--check", bridge="br1")
    host_setup(bridge, *options, "--undo", bridge="br1")
    assert settled(bridge) == before


def test_undo_works_after_the_bridge_has_gone(bridge: Hypervisor) -> None:
    host_setup(bridge)
    bridge.ovs.vsctl("del-br", BRIDGE)
    host_setup(bridge, "--undo")
    found = state(bridge)
    assert "169.254.169.254" not in found["rules"] + found["addresses"]
    assert "metadata" not in found["tables"] + found["root"]


@pytest.mark.parametrize(
    ("obstacle", "told"),
    [
        (("ip", "address", "add", "169.254.169.254/32", "dev", "lo"), "lo has 169.254.169.254"),
        (("ip", "link", "add", META, "type", "bridge"), "meta0 that is no port of Open vSwitch"),
        (("sh", "-c", "echo 169 vpn > /etc/iproute2/rt_tables.d/vpn.conf"), "169 is called vpn"),
    ],
    ids=["address", "device", "table"],
)
def test_an_obstacle_is_named_and_nothing_is_changed(
    bridge: Hypervisor, obstacle: tuple[str, ...], told: str
) -> None:
    bridge.run(*obstacle)
    before = settled(bridge)
    assert told in host_setup(bridge, status=1).stderr
    assert settled(bridge) == before


def test_a_bridge_that_is_not_there_is_named_with_those_that_are(bridge: Hypervisor) -> None:
    done = host_setup(bridge, bridge="br7", status=1)
    assert "there is no bridge br7 (bridges here: br0)" in done.stderr


def test_without_open_vswitch_it_says_so(bridge: Hypervisor) -> None:
    done = host_setup(bridge, "--db", "unix:/nowhere/db.sock", status=1)
    assert "unix:/nowhere/db.sock" in done.stderr


def test_a_named_database_is_enough(bridge: Hypervisor) -> None:
    """Without OVS_RUNDIR, as on a host whose second Open vSwitch lives elsewhere."""
    command = [BIN / "dropletctl", "host-setup", "--bridge", BRIDGE, "--db", bridge.ovs.db]
    bridge.namespace.run(*command)
    assert "NO_FLOOD" in bridge.ovs.ofctl("-O", "OpenFlow10", "show", BRIDGE)


def test_json_tells_the_same(bridge: Hypervisor) -> None:
    differences = json.loads(host_setup(bridge, "--check", "--json", status=1).stdout)
    done = json.loads(host_setup(bridge, "--json").stdout)
    for steps in (differences, done):
        assert {"port", "address", "link", "table", "route", "rule"} <= {
            step["setting"] for step in steps
        }
    assert json.loads(host_setup(bridge, "--check", "--json").stdout) == []


def test_meta0_takes_only_what_is_for_the_metadata_address(bridge: Hypervisor) -> None:
    """The sysctls' purpose, with a flow that lets everything through: the host's other addresses
    cannot be reached by way of meta0, nor anything behind the host."""
    droplet = bridge.add_droplet("tap1", ofport=7, mac="02:00:00:00:00:01", addresses="10.0.0.5/24")
    host_setup(bridge)
    bridge.namespace.ip(
        "link add nic0 type bridge", "link set nic0 up", "address add 192.0.2.1/24 dev nic0"
    )
    bridge.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
    host_setup(bridge)  # ip_forward has switched forwarding on everywhere.
    mac = bridge.run("cat", f"/sys/class/net/{META}/address").stdout.strip()
    bridge.ovs.ofctl("add-flow", BRIDGE, f"ip,in_port=7,actions=mod_dl_dst:{mac},output:{META}")
    droplet.run("ip", "neigh", "add", "192.0.2.1", "lladdr", mac, "dev", "eth0")
    with pytest.raises(NoAnswer) as caught:
        droplet.get("http://192.0.2.1/", seconds=1)
    assert caught.value.status == CURL_TIMED_OUT
    counters = bridge.run("nstat", "-asz", "TcpExtIPReversePathFilter").stdout
    assert int(counters.split()[-2]) > 0, counters
