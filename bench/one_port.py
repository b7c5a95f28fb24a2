"""From a port that appears in Open vSwitch to the first answer inside its droplet.

Ours: registered beforehand, the port is added, the first 200. The peer: the same flows added by
one `ovs-ofctl add-flow` after the other once the port is there, as the talk's sample does, and the
first HTTP answer of any status. Taken in turn, so that a busy moment of the machine hits both; read
the ratio. `python -m bench one_port` (root), or `python -m bench.one_port --samples 200`.
"""

import argparse
import errno
import select
import socket
import statistics
import time
from collections.abc import Callable, Sequence

from bench.report import Report, percentile, run_alone, version_of
from lab.droplet import Droplet
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.services import CONTROLLER, Services
from lab.wait import wait_for

METADATA = ("169.254.169.254", 80)
REQUEST = b"GET /metadata/v1/id HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n"
OFPORT, DROPLET_ID, MAC = 602, 7889371, "a6:a4:8e:4a:e8:70"
# A SYN that was dropped is repeated after a second: instead, a new connection every so often.
_EVERY = 0.002
_MOST = 500
_PATIENCE = 20.0


class Host:
    """One hypervisor with both processes and one droplet whose port comes and goes."""

    def __init__(self, lab: Lab) -> None:
        self.hypervisor: Hypervisor = lab.hypervisor("bench")
        self.hypervisor.add_bridge()
        self.services = Services(lab, self.hypervisor)
        self.services.dropletctl("host-setup", "--bridge", BRIDGE)
        self.services.start()
        self.hypervisor.ovs.vsctl("set-controller", BRIDGE, CONTROLLER)
        self.services.server.wait_until_ready()
        self.droplet: Droplet = self.hypervisor.add_droplet(
            "tap0", ofport=OFPORT, mac=MAC, addresses="10.0.0.5/24"
        )
        self.services.register(
            {
                "droplet_id": DROPLET_ID,
                "ports": [{"name": "tap0", "mac": MAC}],
                "metadata": {"hostname": "bench"},
            }
        )
        wait_for(lambda: self.services.ports()["tap0"]["state"] == "serving", "a served droplet")
        self.flows = self._flows()
        # What the droplet's own ARP takes, a second where the first question comes too early, is
        # not measured.
        mac = self.hypervisor.ovs.vsctl("get", "Interface", "meta0", "mac_in_use").strip('"\n')
        self.droplet.namespace.ip(
            f"neighbour replace {METADATA[0]} lladdr {mac} dev eth0 nud permanent"
        )

    def _flows(self) -> list[str]:
        """The port's flows as lines for `ovs-ofctl add-flow`."""
        lines = self.hypervisor.ovs.dump_flows(BRIDGE)
        own = f"cookie={0x6D64 << 48 | OFPORT << 32 | DROPLET_ID:#x},"
        return [line.replace(" actions", ",actions") for line in lines if line.startswith(own)]

    def unplug(self) -> None:
        """Take the port away, and all that was for it."""
        self.hypervisor.ovs.vsctl("--if-exists", "del-port", "tap0")
        wait_for(lambda: not self._flows(), "the flows to be gone")

    def ours(self) -> float:
        """Seconds from before the port is added to the first 200."""
        wait_for(lambda: "tap0" not in self.services.ports(), "the port to be forgotten")
        return self._first(lambda: None, b"HTTP/1.1 200")

    def peer(self) -> float:
        """The same with flows added one by one, to any answer; the controller stands aside."""

        def add() -> None:
            for flow in self.flows:
                self.hypervisor.run("ovs-ofctl", "-O", "OpenFlow13", "add-flow", BRIDGE, flow)

        return self._first(add, b"HTTP/1.1 ")

    def _first(self, then: Callable[[], None], answer: bytes) -> float:
        started = time.perf_counter()
        self.hypervisor.add_port("tap0", ofport=OFPORT)
        then()
        return self._until_answered(answer) - started

    def _until_answered(self, wanted: bytes) -> float:
        """The time of the first answer that begins so, from inside the droplet."""
        with self.droplet.namespace.entered():
            under_way: dict[int, socket.socket] = {}
            deadline = time.perf_counter() + _PATIENCE
            while time.perf_counter() < deadline:
                if len(under_way) < _MOST:
                    _begin(under_way)
                ready = select.select([], list(under_way.values()), [], _EVERY)[1]
                for connection in ready:
                    del under_way[connection.fileno()]
                    if _ask(connection).startswith(wanted):
                        now = time.perf_counter()
                        for other in under_way.values():
                            other.close()
                        return now
        raise RuntimeError(f"no {wanted!r} in {_PATIENCE} s")


def _begin(under_way: dict[int, socket.socket]) -> None:
    connection = socket.socket()
    connection.setblocking(False)
    if connection.connect_ex(METADATA) in (0, errno.EINPROGRESS):
        under_way[connection.fileno()] = connection
    else:
        connection.close()


def _ask(connection: socket.socket) -> bytes:
    connection.setblocking(True)
    connection.settimeout(2)
    try:
        connection.sendall(REQUEST)
        return connection.recv(65536)
    except OSError:
        return b""
    finally:
        connection.close()


def _told(report: Report, name: str, seconds: Sequence[float]) -> None:
    report.figure(f"{name}, p50", statistics.median(seconds) * 1e3, "ms")
    report.figure(f"{name}, p99", percentile(seconds, 99) * 1e3, "ms")


def main(arguments: list[str]) -> Report:
    """Take the samples and report both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args(arguments)
    report = Report("one_port", "One port")
    report.peer("ovs-ofctl", version_of("ovs-ofctl", "--version"))
    with Lab() as lab:
        host = Host(lab)
        ours: list[float] = []
        peers: list[float] = []
        for _ in range(options.samples):
            host.unplug()
            ours.append(host.ours())
        # Without a controller in its database Open vSwitch would drop all flows; a dead one is one.
        host.services.controller.kill()
        for _ in range(options.samples):
            host.hypervisor.ovs.vsctl("--if-exists", "del-port", "tap0")
            host.hypervisor.run(
                *("ovs-ofctl", "-O", "OpenFlow13", "del-flows", BRIDGE),
                f"cookie={0x6D64 << 48 | OFPORT << 32 | DROPLET_ID:#x}/-1",
            )
            peers.append(host.peer())
    _told(report, "add-port to the first answer", ours)
    _told(report, f"the same by {len(host.flows)} x ovs-ofctl add-flow", peers)
    ratio = statistics.median(ours) / statistics.median(peers)
    sampled = f"{options.samples} times each"
    report.goal("add-port to 200, p50 / ovs-ofctl add-flow in turn", ratio, 0.2, note=sampled)
    return report


if __name__ == "__main__":
    import sys

    sys.exit(run_alone(main(sys.argv[1:])))
