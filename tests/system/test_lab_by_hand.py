"""The datapath typed by hand, without this project's processes: the lab proved, the path explained.

The flows are the talk's, as the specification gives them: what the controller is to install. A
failure here is the lab's or Open vSwitch's, not the controller's.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.droplet import Droplet
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.process import Daemon
from lab.wait import wait_for

META_MAC = "c2:91:25:64:d0:5d"
MAC = "a6:a4:8e:4a:e8:70"
OFPORTS = (1, 255, 256, 602, 32768, 65279)
SERVER = Path(__file__).parent / "say_who_asks.py"


@dataclass
class Hands:
    """The world made by hand. `droplets` by ofport: all with one MAC and one address."""

    host: Hypervisor
    droplets: dict[int, Droplet]


def hv_local(ofport: int) -> str:
    return f"100.127.{ofport >> 8}.{ofport & 0xFF}"


def number(address: str) -> str:
    """An address or MAC as the number that `load` takes."""
    if ":" in address:
        return "0x" + address.replace(":", "")
    return "0x" + "".join(f"{int(octet):02x}" for octet in address.split("."))


def arp_reply(claims: str, mac: str, asker_mac: str, asker: str) -> str:
    """Actions that turn an ARP request round: `claims` is at `mac`."""
    return ",".join(
        [
            "load:2->NXM_OF_ARP_OP[]",
            f"load:{number(mac)}->NXM_OF_ETH_SRC[]",
            f"load:{number(asker_mac)}->NXM_OF_ETH_DST[]",
            f"load:{number(mac)}->NXM_NX_ARP_SHA[]",
            f"load:{number(asker_mac)}->NXM_NX_ARP_THA[]",
            asker,
            f"load:{number(claims)}->NXM_OF_ARP_SPA[]",
            "IN_PORT",
        ]
    )


def flows_of(ofport: int, droplet_id: int, meta: int) -> list[str]:
    """A1, A2, N1, L1, R1 and R2 of one droplet."""
    address = hv_local(ofport)
    a1 = arp_reply("169.254.169.254", META_MAC, MAC, "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]")
    a2 = arp_reply(address, MAC, META_MAC, f"load:{number('169.254.169.254')}->NXM_OF_ARP_TPA[]")
    return [
        f"table=0,priority=4030,arp,in_port={ofport},dl_src={MAC},"
        f"arp_tpa=169.254.169.254,arp_op=1,actions={a1}",
        f"table=0,priority=4030,arp,in_port={meta},dl_src={META_MAC},"
        f"arp_spa=169.254.169.254,arp_tpa={address},arp_op=1,actions={a2}",
        f"table=0,priority=4010,tcp,in_port={ofport},dl_src={MAC},vlan_tci=0,"
        f"nw_dst=169.254.169.254,tp_dst=80,actions=ct(commit,zone={ofport},nat(src={address}),"
        f"exec(load:{droplet_id}->NXM_NX_CT_MARK[]),table=25)",
        f"table=25,priority=4010,tcp,in_port={ofport},ct_state=+trk-inv,ct_zone={ofport},"
        f"nw_src={address},nw_dst=169.254.169.254,tp_dst=80,"
        f"actions=mod_dl_dst:{META_MAC},output:{meta}",
        f"table=65,priority=4012,tcp,metadata=0,in_port={meta},dl_dst={MAC},"
        f"nw_src=169.254.169.254,nw_dst={address},tp_src=80,"
        f"actions=load:1->OXM_OF_METADATA[],ct(table=65,zone={ofport},nat)",
        f"table=65,priority=4010,tcp,ct_state=+est+trk,ct_zone={ofport},metadata=1,"
        f"in_port={meta},dl_dst={MAC},nw_src=169.254.169.254,tp_src=80,actions=output:{ofport}",
    ]


@pytest.fixture(scope="module")
def hands(lab: Lab) -> Iterator[Hands]:
    """A hypervisor whose meta0, routing, flows and server are made by typing."""
    host = lab.hypervisor("hands")
    host.add_bridge()
    host.ovs.vsctl(
        *("add-port", BRIDGE, "meta0", "--", "set", "Interface", "meta0", "type=internal"),
        *(f'mac="{META_MAC}"', "ofport_request=9", "--", "set-fail-mode", BRIDGE, "secure"),
    )
    host.run("ethtool", "-K", "meta0", "tx", "off")
    host.namespace.ip(
        "address add 169.254.169.254/32 dev meta0",
        "link set meta0 up",
        "rule add from 169.254.169.254 lookup 169",
        "route add default dev meta0 scope link table 169",
    )
    droplets = {}
    lines = ["table=0,priority=4001,tcp,in_port=9,tp_src=80,actions=resubmit(,65)"]
    for ofport in OFPORTS:
        droplets[ofport] = host.add_droplet(
            f"tap{ofport}", ofport=ofport, mac=MAC, addresses="10.0.0.5/24"
        )
        lines += flows_of(ofport, 7_000_000 + ofport, 9)
    host.ovs.ofctl("-O", "OpenFlow13", "--bundle", "add-flows", BRIDGE, "-", text="\n".join(lines))
    log = host.directory / "server.log"
    command = host.namespace.command(sys.executable, SERVER, "169.254.169.254", "80")
    server = lab.daemon(Daemon("server", command, log=log))
    listening = "169.254.169.254:80"
    wait_for(lambda: listening in host.run("ss", "-ltn").stdout, "server", diagnose=server.log_tail)
    yield Hands(host, droplets)


@pytest.mark.parametrize("ofport", OFPORTS)
def test_the_server_sees_the_ofport_whatever_the_droplet_s_own_address(
    hands: Hands, ofport: int
) -> None:
    assert hands.droplets[ofport].get("/").text == f"{hv_local(ofport)}\n"


def test_the_same_source_port_on_every_droplet_is_no_confusion(hands: Hands) -> None:
    answers = [d.get("/", source_port=40000).text for d in hands.droplets.values()]
    assert answers == [f"{hv_local(ofport)}\n" for ofport in hands.droplets]


def test_conntrack_knows_zone_and_droplet(hands: Hands) -> None:
    hands.droplets[602].get("/", source_port=40602)
    (entry,) = (e for e in hands.host.ovs.conntrack() if e.source_port == 40602)
    assert (entry.source, entry.translated) == ("10.0.0.5", "100.127.2.90")
    assert (entry.zone, entry.mark) == (602, 7_000_602)


@pytest.mark.parametrize("size", [1, 1024, 65536])
def test_bodies_come_whole(hands: Hands, size: int) -> None:
    assert len(hands.droplets[602].get(f"/{size}").body) == len("100.127.2.90\n") + size


def test_the_hypervisor_s_kernel_does_not_answer_past_the_switch(hands: Hands) -> None:
    """The lab's own trap: a veth's frames reach the kernel as well as the userspace datapath."""
    droplet = hands.droplets[602]
    droplet.run("ip", "neigh", "flush", "dev", "eth0")
    droplet.get("/")
    assert META_MAC in droplet.run("ip", "neigh", "show", "169.254.169.254").stdout
