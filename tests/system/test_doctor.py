"""dropletctl doctor: what may be wrong is broken on a real host, and is named, and nothing else."""

import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.hypervisor import BRIDGE
from lab.lab import Lab
from lab.services import BIN, CONTROLLER
from lab.wait import wait_for
from tests.system.world import META, World

pytestmark = pytest.mark.root

METADATA_IP = "169.254.169.254"
HOST_SETUP = "dropletctl host-setup"
"""Stands among shell lines for the command with this host's options."""


@pytest.fixture(scope="module")
def patient(lab: Lab) -> Iterator[World]:
    """A host of this module's own with nothing wrong; each test that breaks it mends it."""
    world = World(lab)
    healthy(world)
    yield world


def doctor(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    return world.services.dropletctl("doctor", "--bridge", BRIDGE, *words, check=False)


def found(world: World, *words: str) -> set[str]:
    """The checks that found something; the exit status tells of faults among them."""
    done = doctor(world, "--json", *words)
    findings = json.loads(done.stdout)
    faults = any(finding["weight"] == "fault" for finding in findings)
    assert done.returncode == (1 if faults else 0), done.stderr
    assert all(finding["what"] and finding["why"] for finding in findings)
    return {finding["check"] for finding in findings}


def healthy(world: World) -> None:
    wait_for(lambda: found(world) == set(), "a clean bill", diagnose=lambda: doctor(world).stdout)


def sees(world: World, *checks: str, words: tuple[str, ...] = ()) -> None:
    wait_for(
        lambda: found(world, *words) == set(checks),
        f"the findings {checks}",
        diagnose=lambda: doctor(world, *words).stdout,
    )


@dataclass(frozen=True)
class Ill:
    """What breaks the host, as shell lines, what mends it, and the checks that must say so."""

    broken: tuple[str, ...]
    mended: tuple[str, ...]
    checks: tuple[str, ...]


def setup_again(*broken: str, checks: tuple[str, ...]) -> Ill:
    """Something that host-setup mends by itself."""
    return Ill(broken, (HOST_SETUP,), tuple(f"host-setup:{check}" for check in checks))


ILLS = {
    "an old Open vSwitch": Ill(
        ("ovs-vsctl --no-wait set Open_vSwitch . ovs_version=2.5.9",),
        ("ovs-vsctl --no-wait set Open_vSwitch . ovs_version=3.1.0",),
        ("ovs-version",),
    ),
    "OpenFlow 1.0 only": Ill(
        (f"ovs-vsctl set Bridge {BRIDGE} protocols=OpenFlow10",),
        (f"ovs-vsctl clear Bridge {BRIDGE} protocols",),
        ("protocols",),
    ),
    "no controller": Ill(
        (f"ovs-vsctl del-controller {BRIDGE}",),
        (f"ovs-vsctl set-controller {BRIDGE} {CONTROLLER}",),
        ("controller",),
    ),
    "a controller that is not there": Ill(
        (f"ovs-vsctl set Controller {BRIDGE} 'target=\"tcp:127.0.0.1:1\"'",),
        (f"ovs-vsctl set Controller {BRIDGE} 'target=\"{CONTROLLER}\"'",),
        ("controller",),
    ),
    "a second controller": Ill(
        (f"ovs-vsctl set-controller {BRIDGE} {CONTROLLER} ptcp:6699",),
        (
            f"ovs-vsctl set-controller {BRIDGE} {CONTROLLER} "
            f"-- set Controller {BRIDGE} max_backoff=1000 connection_mode=out-of-band",
        ),
        ("rivals", "controller", "in-band", "host-setup:max_backoff"),
    ),
    "in-band control": Ill(
        (f"ovs-vsctl set Controller {BRIDGE} connection_mode=in-band",),
        (f"ovs-vsctl set Controller {BRIDGE} connection_mode=out-of-band",),
        ("in-band",),
    ),
    "another's zone": Ill(
        (
            "ovs-vsctl add-br br9 -- set Bridge br9 datapath_type=netdev",
            "ovs-ofctl add-flow br9 'priority=5,ip,actions=ct(commit,zone=77)'",
        ),
        ("ovs-vsctl del-br br9",),
        ("zones",),
    ),
    "zones of registers, as OVN has them": Ill(
        (
            "ovs-vsctl add-br br9 -- set Bridge br9 datapath_type=netdev",
            "ovs-ofctl add-flow br9 'ip,actions=ct(table=1,zone=NXM_NX_REG13[0..15])'",
        ),
        ("ovs-vsctl del-br br9",),
        ("zones",),
    ),
    "an address of the hv-local subnet": Ill(
        ("ip address add 100.127.5.5/32 dev lo",),
        ("ip address del 100.127.5.5/32 dev lo",),
        ("addresses",),
    ),
    "a route into the hv-local subnet": Ill(
        ("ip link set lo up", "ip route add 100.127.9.0/24 dev lo"),
        ("ip route del 100.127.9.0/24 dev lo",),
        ("routes",),
    ),
    "a cloud's own link-local network": Ill(
        ("ip route add 169.254.0.0/16 dev lo",),
        ("ip route del 169.254.0.0/16 dev lo",),
        ("routes",),
    ),
    "a rule before ours": Ill(
        (f"ip rule add from {METADATA_IP} blackhole priority 90",),
        (f"ip rule del from {METADATA_IP} blackhole priority 90",),
        ("reply-route",),
    ),
    "a small port": Ill(
        (
            "ip link add small0 mtu 1280 type veth peer name small1",
            f"ovs-vsctl add-port {BRIDGE} small0 -- set Interface {META} mtu_request=1500",
        ),
        (
            f"ovs-vsctl del-port small0 -- clear Interface {META} mtu_request",
            "ip link delete small0",
        ),
        ("mtu",),
    ),
    "standalone": setup_again(f"ovs-vsctl del-fail-mode {BRIDGE}", checks=("fail_mode",)),
    "a slow backoff": setup_again(
        f"ovs-vsctl set Controller {BRIDGE} max_backoff=8000", checks=("max_backoff",)
    ),
    "a MAC of chance": setup_again(f"ovs-vsctl clear Interface {META} mac", checks=("mac",)),
    "flooding": setup_again(f"ovs-vsctl clear Port {META} vlan_mode trunks", checks=("vlan",)),
    "no address": setup_again(
        f"ip address del {METADATA_IP}/32 dev {META}", checks=("address", "route")
    ),
    "no rule": setup_again(f"ip rule del from {METADATA_IP} lookup 169", checks=("rule",)),
    "no route": setup_again(f"ip route del default dev {META} table 169", checks=("route",)),
    "a link that is down": setup_again(f"ip link set {META} down", checks=("link", "route")),
    "no reverse path filter": setup_again(
        f"sysctl -qw net.ipv4.conf.{META}.rp_filter=0", checks=("rp_filter",)
    ),
    "a host that answers ARP": setup_again(
        f"sysctl -qw net.ipv4.conf.{META}.arp_ignore=0", checks=("arp_ignore",)
    ),
}


TOGETHER = (
    ("an old Open vSwitch", "another's zone", "an address of the hv-local subnet", "a small port"),
    ("OpenFlow 1.0 only", "a cloud's own link-local network"),
    ("no controller", "a rule before ours"),
    ("a controller that is not there", "a route into the hv-local subnet"),
    ("in-band control", "zones of registers, as OVN has them", "standalone", "a slow backoff"),
    ("a MAC of chance", "flooding", "no reverse path filter", "a host that answers ARP", "no rule"),
    ("a link that is down",),
    ("no address",),
    ("no route", "a second controller"),
)
"""Ills that have nothing to do with each other, at once: each look at a host takes a second."""


def test_every_ill_is_tried() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(ILLS)


@pytest.mark.parametrize("names", TOGETHER, ids=lambda names: names[0])
def test_they_are_named_and_nothing_else(patient: World, names: tuple[str, ...]) -> None:
    ills = [ILLS[name] for name in names]
    try:
        for line in (line for ill in ills for line in ill.broken):
            patient.host.run("sh", "-c", line)
        sees(patient, *(check for ill in ills for check in ill.checks))
    finally:
        for line in dict.fromkeys(line for ill in ills for line in ill.mended):
            mend(patient, line)
    healthy(patient)


def mend(world: World, line: str) -> None:
    if line == HOST_SETUP:
        world.services.dropletctl("host-setup", "--bridge", BRIDGE)
    else:
        world.host.run("sh", "-c", line, check=False)


def test_a_meta0_that_is_gone_is_said_by_all_it_concerns(patient: World) -> None:
    patient.ovs.vsctl("del-port", META)
    wait_for(lambda: "host-setup:port" in found(patient), "the port missed")
    patient.services.dropletctl("host-setup", "--bridge", BRIDGE)
    healthy(patient)


def test_a_bridge_that_is_not_there_is_no_reason_for_others(patient: World) -> None:
    done = patient.services.dropletctl("doctor", "--bridge", "br7", "--json", check=False)
    whats = [finding["what"] for finding in json.loads(done.stdout)]
    assert whats == [
        f"there is no bridge br7 (bridges here: {BRIDGE})",
        f"meta0 is a port of {BRIDGE}; each bridge needs a port of its own",
    ]


def test_no_metadata_server(patient: World) -> None:
    patient.services.server.stop()
    sees(patient, "server")
    with patient.host.namespace.entered():
        another = socket.create_server((METADATA_IP, 80))
    try:
        sees(patient, "server", "listener")
    finally:
        another.close()
    patient.services.server.start()
    healthy(patient)


def test_no_controller_process(patient: World) -> None:
    patient.services.controller.kill()
    try:
        # The server goes on from its last view, and says that it does.
        sees(patient, "registry", "controller", "server")
    finally:
        patient.services.controller.start()
    healthy(patient)


def test_a_wrong_token(patient: World) -> None:
    sees(patient, "registry", words=("--token", "wrong"))


def test_a_port_in_error(patient: World) -> None:
    document = {
        "droplet_id": 41,
        "ports": [{"name": "lost0", "mac": "02:00:00:00:00:41", "dpid": "00000000000000ee"}],
        "metadata": {"hostname": "lost"},
    }
    patient.host.namespace.ip("link add lost0 type veth peer name lost1")
    patient.services.register(document)
    patient.ovs.vsctl("add-port", BRIDGE, "lost0")
    sees(patient, "ports")
    assert "claims lost0 on switch 00000000000000ee only" in doctor(patient).stdout
    patient.ovs.vsctl("del-port", "lost0")
    patient.services.dropletctl("delete", "41")
    healthy(patient)


def test_for_people_it_says_what_why_and_how_to_mend(patient: World) -> None:
    assert doctor(patient).stdout == f"{BRIDGE}: 17 checks, nothing wrong\n"
    patient.ovs.vsctl("del-fail-mode", BRIDGE)
    lines = doctor(patient).stdout.splitlines()
    assert lines == [
        f"fault: fail_mode of {BRIDGE} is none, should be secure [host-setup:fail_mode]",
        "    why:  in standalone mode Open vSwitch drops our flows soon after it loses its "
        "controller",
        f"    mend: dropletctl host-setup --bridge {BRIDGE}",
        f"{BRIDGE}: 17 checks, faults: 1, warnings: 0",
    ]
    patient.services.dropletctl("host-setup", "--bridge", BRIDGE)
    healthy(patient)


def test_without_open_vswitch_it_says_so(patient: World) -> None:
    done = patient.host.run(
        *(BIN / "dropletctl", "doctor", "--bridge", BRIDGE, "--db", "unix:/nowhere/db.sock"),
        check=False,
    )
    assert done.returncode == 1
    assert "/nowhere/db.sock" in done.stderr
