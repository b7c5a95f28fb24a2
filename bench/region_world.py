"""A region in small for `bench.region`: etcd's members, controllers and stub switches as processes.

What they say of themselves is read here: the controllers' logs, /proc, etcd's own status. Nothing
is measured or judged here.
"""

import http.client
import json
import os
import re
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench.fleet import FLOWS_OF_A_DROPLET, SHARED_FLOWS, Fleet, stub_process
from bench.registry import document, free_ports
from bench.stub_switch import port_name
from lab.etcd import Cluster
from lab.process import Daemon
from ryu_apps.binding.views import SwitchState

PREFIX = "bench"
_EVERY = 0.02
_PATIENCE = 200.0
_TICKS = os.sysconf("SC_CLK_TCK")
_IN_SYNC = re.compile(rb"switch ([0-9a-f]{16}): in sync")


class Member(Fleet):
    """A controller whose registry is in etcd. `start` again after `kill` is a new life of it."""

    def __init__(self, folder: Path, droplets: int, registry_url: str) -> None:
        folder.mkdir()
        super().__init__(folder, droplets)
        self.config.write_text(f"{self.config.read_text()}registry_url = {registry_url}\n")
        self._life = ExitStack()
        self.read_to = 0

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self._life = ExitStack()
        self._life.enter_context(self.running())

    def stop(self) -> None:
        """End it, whether it lives or not."""
        self._life.close()

    def kill(self) -> float:
        """`kill -9`; when, by the monotonic clock."""
        self._process.kill()
        self._process.wait()
        return time.monotonic()

    def new_lines(self) -> bytes:
        """What its log has more than when it was asked last, to the end of the last whole line."""
        with (self.folder / "log").open("rb") as log:
            log.seek(self.read_to)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.read_to += len(whole)
        return whole

    def led(self) -> set[int]:
        """The switches that it has in sync."""
        listed = json.loads(self.ask("GET", "/v1/switches"))["switches"]
        return {int(one["dpid"], 16) for one in listed if one["state"] == SwitchState.IN_SYNC}

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One request of an administrator's. Raises RuntimeError."""
        connection = self.connection()
        connection.request(method, path, body, self.headers())
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (http.client.OK, http.client.CREATED):
            raise RuntimeError(f"{method} {path}: HTTP {answer.status}: {text[:300]!r}")
        return text


class Switches:
    """A process of stub switches that know all controllers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def told(self) -> dict[str, Any]:
        """As `bench.stub_region` says it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def wait_until_whole(self, count: int) -> list[float]:
        """Until so many have had all their flows: when each had. Raises RuntimeError."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            at = self.told()["whole"]
            if len(at) == count:
                return at
            time.sleep(_EVERY)
        raise RuntimeError(f"{len(at)} of {count} switches have all their flows")

    def changed_after(self, dpid: int, since: float) -> float:
        """When the switch changed after `since`, waiting for it. Raises RuntimeError."""
        while time.monotonic() < since + _PATIENCE:
            at = self.told()["changed"][str(dpid)]
            if at > since:
                return at
            time.sleep(0.002)
        raise RuntimeError(f"switch {dpid} has heard of no change")


class Region:
    """Three members of etcd, three controllers, and switches with so many droplets each."""

    def __init__(self, folder: Path, droplets: int, size: int = 3) -> None:
        self.folder = folder
        self.droplets = droplets
        self.etcd = Cluster(folder, free_ports(2 * size))
        url = self.etcd.url(PREFIX)
        self.controllers = [Member(folder / f"controller{n}", droplets, url) for n in range(size)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """All but the switches run meanwhile."""
        try:
            self.etcd.start()
            for controller in self.controllers:
                controller.start()
            yield
        finally:
            for controller in self.controllers:
                controller.stop()
            self.etcd.stop()

    def register(self, switches: range, size: int) -> float:
        """Every droplet of these switches, in documents of so many bytes, a part of them at each
        controller; the seconds it took."""
        began = time.monotonic()
        parts = [switches[n :: len(self.controllers)] for n in range(len(self.controllers))]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._register, self.controllers, parts, [size] * len(parts)))
        return time.monotonic() - began

    def _register(self, controller: Member, switches: range, size: int) -> None:
        file = controller.folder / "droplets.ndjson"
        with file.open("wb") as lines:
            for dpid in switches:
                for ofport in range(1, self.droplets + 1):
                    lines.write(droplet(dpid, ofport, size) + b"\n")
        # A batch takes etcd many transactions, and all three are at it: within a client's patience.
        controller.put_all(file, "--batch", "100")

    @contextmanager
    def switches(self, count: int) -> Iterator[Switches]:
        """So many switches, connected to all controllers until the end."""
        ports = [controller.openflow for controller in self.controllers]
        with stub_process("bench.stub_region", count, self.droplets, *ports) as process:
            yield Switches(process)

    def flows(self, switches: int) -> int:
        """That so many switches have when all is right."""
        return switches * (SHARED_FLOWS + FLOWS_OF_A_DROPLET * self.droplets)

    def forget_logs(self, controllers: Sequence[Member]) -> None:
        """What they have logged until now is not waited for."""
        for controller in controllers:
            controller.new_lines()

    def wait_for_sync(self, controllers: Sequence[Member], dpids: Collection[int]) -> list[float]:
        """Until these controllers have had all these switches in sync: when each was, by the
        monotonic clock. Raises RuntimeError."""
        at: dict[int, float] = {}
        deadline = time.monotonic() + _PATIENCE
        while len(at) < len(dpids):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(at)} of {len(dpids)} switches are in sync")
            for controller in controllers:
                lines, now = controller.new_lines(), time.monotonic()
                for dpid in (int(told, 16) for told in _IN_SYNC.findall(lines)):
                    if dpid in dpids:
                        at.setdefault(dpid, now)
            time.sleep(_EVERY)
        return list(at.values())

    def leaders(self, switches: int) -> dict[int, int]:
        """Which controller, by its place, leads each switch, as they themselves say.

        Waits for those that are just given up to another one. Raises RuntimeError.
        """
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            found = {
                dpid: place
                for place, controller in enumerate(self.controllers)
                for dpid in controller.led()
            }
            if len(found) == switches:
                return found
            time.sleep(_EVERY)
        raise RuntimeError(f"{len(found)} of {switches} switches have a leader")


def droplet_id(dpid: int, ofport: int) -> int:
    """Which droplet is on this port."""
    return dpid * 1000 + ofport


def droplet(dpid: int, ofport: int, size: int, generation: int = 0) -> bytes:
    """The document of a switch's droplet; its MAC says which generation of it this is."""
    number = droplet_id(dpid, ofport)
    given = json.loads(document(number, size))
    mac = f"a6:{generation % 256:02x}:{number.to_bytes(4, 'big').hex(':')}"
    given["ports"] = [{"name": port_name(dpid, ofport), "mac": mac}]
    return json.dumps(given).encode()


def processor(pids: Sequence[int]) -> float:
    """Seconds of processor that these have used together."""
    return sum(_ticks(pid) for pid in pids) / _TICKS


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def memory(daemon: Daemon, which: str = "VmRSS") -> int:
    """Resident bytes; `RssAnon`: without what is mapped from files."""
    text = Path(f"/proc/{daemon.pid}/status").read_text()
    found = re.search(rf"{which}:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


def etcd_size(cluster: Cluster) -> int:
    """Bytes of the largest member's database file."""
    return max(int(_status(node.url)["dbSize"]) for node in cluster.nodes)


def _status(url: str) -> dict[str, Any]:
    request = Request(f"{url}/v3/maintenance/status", b"{}")
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)
