"""A bridge with someone on each of its sides, who sends frames and sees what arrives.

Nobody there speaks by itself. That nothing arrives is shown by a sentinel which was sent later and
does arrive.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from lab.hypervisor import BRIDGE
from tests.system.cloud import META, Cloud, Host, hv_local
from tests.system.packets import METADATA_IP, arp, arp_seen, shown, udp
from tests.system.wire import Frame, Wire

A, B, UPLINK, LOCAL = "tapa", "tapb", "uplink", "LOCAL"
OFPORTS = {A: 2001, B: 2002, UPLINK: 2003}
MACS = {A: "a6:00:00:00:20:01", B: "a6:00:00:00:20:02", UPLINK: "a6:00:00:00:20:03"}
IPS = {A: "10.20.0.1", B: "10.20.0.2", UPLINK: "10.20.0.3"}
HV_LOCALS = {name: str(hv_local(ofport)) for name, ofport in OFPORTS.items()}

_SENTINEL = b"sentinel"
BURST = 64
"""Frames at once: the queues before Open vSwitch hold some hundred."""

Arrived = dict[str, list[str]]
"""What came in, in words, by where; places where nothing did are left out."""


@dataclass
class Segment:
    """The bridge with someone listening on each of its sides."""

    host: Host
    wires: dict[str, Wire]

    def __post_init__(self) -> None:
        self.meta_mac = self.host.meta_mac
        self._numbers = count()

    def arrived(self, sender: str, *frames: Frame) -> Arrived:
        """Where anything arrived of what `sender` sent."""
        came: dict[str, list[Frame]] = {name: [] for name in self.wires}
        for wire in self.wires.values():
            wire.drain()
        for start in range(0, len(frames) or 1, BURST):
            self.wires[sender].send(frames[start : start + BURST])
            receiver, before = self._settle(sender)
            came[receiver] += before
        for name, wire in self.wires.items():
            came[name] += wire.drain()
        return {
            name: seen
            for name, frames in came.items()
            if (seen := [shown(frame) for frame in frames if _SENTINEL not in frame])
        }

    def _settle(self, sender: str) -> tuple[str, list[Frame]]:
        """Wait until all that `sender` sent is dealt with; the sentinel's receiver and its frames.

        Open vSwitch takes a batch of frames at a time and sends some of them out of order. When
        the first sentinel arrives its batch was read, so the second is in a later batch.
        """
        receiver, sentinel = self._sentinel_of(sender)
        before: list[Frame] = []
        for _ in range(2):
            frame, is_sentinel = sentinel()
            before += self.wires[receiver].until(
                is_sentinel,
                f"the sentinel from {sender}",
                ask=lambda frame=frame: self.wires[sender].send([frame]),
            )
        return receiver, before

    def _sentinel_of(
        self, sender: str
    ) -> tuple[str, Callable[[], tuple[Frame, Callable[[Frame], bool]]]]:
        if sender == META:
            return META, self._arp_sentinel
        receiver = B if sender == A else A

        def ordinary() -> tuple[Frame, Callable[[Frame], bool]]:
            word = _SENTINEL + b"%d." % next(self._numbers)
            frame = udp(MACS[sender], MACS[receiver], IPS[sender], IPS[receiver], word)
            return frame, lambda seen: word in seen

        return receiver, ordinary

    def _arp_sentinel(self) -> tuple[Frame, Callable[[Frame], bool]]:
        """From meta0 only the question for an hv-local address goes anywhere: it is answered."""
        question = arp(1, eth_src=self.meta_mac, spa=METADATA_IP, tpa=HV_LOCALS[A])
        return question, lambda seen: (reply := arp_seen(seen)) is not None and reply.op == 2


@contextmanager
def segmented(cloud: Cloud) -> Iterator[Segment]:
    """Two registered droplets and an uplink, none of which speaks by itself."""
    host = cloud.host
    droplets = {
        name: cloud.plug(host, name, OFPORTS[name], ofport=OFPORTS[name], mac=MACS[name])
        for name in (A, B)
    }
    uplink = host.device(UPLINK, MACS[UPLINK])
    host.hypervisor.add_port(UPLINK, ofport=OFPORTS[UPLINK])
    cloud.wait(lambda: UPLINK in cloud.rest.ports(host.dpid), "the uplink to be seen")
    wires = {name: Wire(droplet.namespace, "eth0") for name, droplet in droplets.items()}
    wires |= {UPLINK: Wire(uplink, "eth0"), META: Wire(host.namespace, META)}
    host.namespace.ip(f"link set {BRIDGE} up")
    host.namespace.run("sysctl", "-qw", f"net.ipv6.conf.{BRIDGE}.disable_ipv6=1")
    wires[LOCAL] = Wire(host.namespace, BRIDGE)
    # A restart of Open vSwitch forgets this one, so nothing may rest on it.
    host.ovs.ofctl("-O", "OpenFlow10", "mod-port", BRIDGE, META, "flood")
    yield Segment(host, wires)
    host.ovs.ofctl("-O", "OpenFlow10", "mod-port", BRIDGE, META, "no-flood")
    for wire in wires.values():
        wire.close()
    for name, droplet in droplets.items():
        cloud.unplug(host, droplet, OFPORTS[name])
    host.namespace.ip(f"link set {BRIDGE} down")
    host.ovs.vsctl("del-port", UPLINK)
    host.namespace.ip(f"link delete {UPLINK}")
    cloud.lab.delete_namespace(uplink)
