"""The controller's own share of what a new port waits for, with few and with many droplets there.

A stub switch (`bench.stub_switch`) tells of a new port and answers whatever it is asked at once;
counted is the time in which it waits for the controller, from PORT_STATUS to the last message of
the port's opening, and from a `PUT` of a droplet whose port is there to the same; and the time that
the controller's thread had a processor meanwhile, which does not depend on who else has work. What
the switch itself, the metadata server and the network need is in `one_port`. The sockets of this
machine and the stub's reading are waited for, too, and so is a PUT's commit to disk.
`python -m bench own_share`.
"""

import argparse
import http.client
import json
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp

from bench.fleet import FLOWS_OF_A_DROPLET, SHARED_FLOWS, Fleet
from bench.report import Report, percentile, run_alone
from bench.stub_switch import StubSwitch, message, port_description

DPID = 1
_HEADER = struct.Struct("!BBHI")
_SILENCE = 0.1


class TimedSwitch(StubSwitch):
    """A stub switch on a blocking socket that counts the time it waits for the controller."""

    def __init__(self, droplets: int, port: int) -> None:
        super().__init__(DPID, droplets, Counter())
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""
        self._connection.sendall(message(ofp.OFPT_HELLO, 0))

    def waited(self, flows: int, patience: float = 60) -> float:
        """Answer until there are so many flows: the seconds spent waiting."""
        waited, deadline = 0.0, time.perf_counter() + patience
        while len(self.flows) != flows:
            began = time.perf_counter()
            self._connection.settimeout(patience)
            self._held += self._connection.recv(1 << 18)
            waited += time.perf_counter() - began
            self._answer_all()
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{len(self.flows)} flows of {flows}")
        return waited

    def settle(self) -> None:
        """Answer until nothing has been asked for a while."""
        self._connection.settimeout(_SILENCE)
        try:
            while True:
                self._held += self._connection.recv(1 << 18)
                self._answer_all()
        except TimeoutError:
            pass

    def tell(self, reason: int, ofport: int, name: str) -> None:
        """PORT_STATUS."""
        body = struct.pack("!B7x", reason) + port_description(ofport, name)
        self._connection.sendall(message(ofp.OFPT_PORT_STATUS, 0, body))

    def _answer_all(self) -> None:
        answers, position = b"", 0
        while len(self._held) - position >= _HEADER.size:
            _, kind, length, xid = _HEADER.unpack_from(self._held, position)
            if len(self._held) - position < length:
                break
            answers += self.reply(kind, xid, self._held[position : position + length])
            position += length
        self._held = self._held[position:]
        self._connection.sendall(answers)


class Share(NamedTuple):
    """Seconds until a port was open."""

    waited: float
    processor: float


class Bench:
    """A controller, a stub switch full of droplets, and one droplet more that comes and goes."""

    def __init__(self, fleet: Fleet, rest: http.client.HTTPConnection) -> None:
        self._fleet, self._rest = fleet, rest
        self._ofport, self._name = fleet.droplets + 1, f"x{DPID}"
        self._full = SHARED_FLOWS + FLOWS_OF_A_DROPLET * fleet.droplets
        self._switch = TimedSwitch(fleet.droplets, fleet.openflow)
        self._until(self._full)

    def appears(self, samples: int) -> list[Share]:
        """A port whose droplet is registered."""
        shares = []
        self._ask("PUT")
        for _ in range(samples):
            self._switch.tell(ofp.OFPPR_ADD, self._ofport, self._name)
            shares.append(self._until(self._full + FLOWS_OF_A_DROPLET))
            self._switch.tell(ofp.OFPPR_DELETE, self._ofport, self._name)
            self._until(self._full)
        return shares

    def is_registered(self, samples: int) -> list[Share]:
        """A droplet whose port is there."""
        shares = []
        self._switch.tell(ofp.OFPPR_ADD, self._ofport, self._name)
        self._until(self._full + FLOWS_OF_A_DROPLET)
        for _ in range(samples):
            self._ask("DELETE")
            self._until(self._full)
            asking = threading.Thread(target=self._ask, args=("PUT",))
            asking.start()
            shares.append(self._until(self._full + FLOWS_OF_A_DROPLET))
            asking.join()
        return shares

    def _until(self, flows: int) -> Share:
        before = self._fleet.thread_seconds()
        waited = self._switch.waited(flows)
        share = Share(waited, self._fleet.thread_seconds() - before)
        self._switch.settle()
        return share

    def _ask(self, method: str) -> None:
        droplet = {"ports": [{"name": self._name, "mac": "02:00:00:00:00:01"}]}
        body = json.dumps(droplet).encode() if method == "PUT" else None
        self._rest.request(method, "/v1/droplets/9", body, self._fleet.headers())
        answer = self._rest.getresponse()
        text = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method}: HTTP {answer.status} {text!r}")


def measure(folder: Path, droplets: int, samples: int) -> dict[str, list[Share]]:
    """The shares of both ways, on a switch with so many droplets."""
    fleet = Fleet(folder, droplets)
    fleet.register(1)
    with fleet.running(), closing(fleet.connection()) as rest:
        bench = Bench(fleet, rest)
        return {
            "PORT_STATUS": bench.appears(samples),
            "PUT": bench.is_registered(samples),
        }


def main(arguments: Sequence[str] | None = None) -> Report:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--droplets", type=int, default=10000)
    options = parser.parse_args(arguments)
    report = Report("own_share", "The controller's own share of opening a port")
    few, many = (_measured(count, options.samples) for count in (10, options.droplets))
    for what, shares in many.items():
        for kind, seconds in zip(Share._fields, zip(*shares, strict=True), strict=True):
            report.figure(f"{what}, {kind}, p99", percentile(seconds, 99) * 1e3, "ms")
            median = statistics.median(seconds)
            name = f"{what}, {kind}, p50 of {options.samples}"
            report.goal(name, median * 1e3, 1.0, unit="ms", note=f"{options.droplets} droplets")
            other = statistics.median(getattr(share, kind) for share in few[what])
            report.goal(f"{what}, {kind}: {options.droplets} droplets / 10", median / other, 1.2)
    return report


def _measured(droplets: int, samples: int) -> dict[str, list[Share]]:
    with tempfile.TemporaryDirectory(prefix="share-bench-", dir="/var/tmp") as name:
        return measure(Path(name), droplets, samples)


if __name__ == "__main__":
    sys.exit(run_alone(main()))
