"""A fleet on one controller: all its switches connect at once, while REST is asked.

The switches are stubs (`bench.stub_switch`): they take, keep, check and tell everything as a switch
does, and forward nothing; what Open vSwitch itself would need is in `connect`. 100, then 1,000 of
them with 50 droplets each, out of one registry: first with empty tables (every zone is flushed,
every meter set, every flow sent), then to a controller that was stopped and started anew and finds
all of it there. From the first connection to the last `in sync` of the controller's log. Stubs,
REST client and controller share the machine's processors. `python -m bench fleet`.
"""

import argparse
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.registry import Controller
from bench.report import Report, percentile, run_alone
from bench.stub_switch import port_name

CONNECTED = re.compile(rb"switch [0-9a-f]{16} connected from")
IN_SYNC = re.compile(rb"in sync [\d.]+ s after it connected, (\d+) flows")
SHARED_FLOWS = 16
FLOWS_OF_A_DROPLET = 8
_EVERY = 0.01
_IDLE = 20.0
_PATIENCE = 900


class Fleet(Controller):
    """A controller with the registry of the greatest fleet, and what its log and REST tell."""

    def __init__(self, folder: Path, droplets: int) -> None:
        super().__init__(folder)
        self.droplets = droplets
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.openflow = probe.getsockname()[1]
        text = self.config.read_text()
        openflow = f"ofp_tcp_listen_port = {self.openflow}"
        self.config.write_text(re.sub(r"ofp_tcp_listen_port = \d+", openflow, text))

    def register(self, switches: int) -> None:
        """Every droplet of every switch."""
        file = self.folder / "droplets.jsonl"
        with file.open("w") as lines:
            for dpid in range(1, switches + 1):
                for ofport in range(1, self.droplets + 1):
                    number = dpid * 1000 + ofport
                    mac = f"a6:a4:{number.to_bytes(4, 'big').hex(':')}"
                    port = {"name": port_name(dpid, ofport), "mac": mac}
                    droplet = {"droplet_id": number, "ports": [port]}
                    lines.write(json.dumps(droplet) + "\n")
        with self.running():
            self.put_all(file)

    def cpu(self) -> float:
        """Seconds of processor it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def thread_seconds(self) -> float:
        """Seconds that its only green thread has had a processor, to the nanosecond."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]) / 1e9

    @property
    def log_size(self) -> int:
        """Where its log ends now."""
        log = self.folder / "log"
        return log.stat().st_size if log.exists() else 0


class Stubs:
    """A process of stub switches."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def told(self) -> dict:
        """How many are connected, how many flows they have, what was out of order."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def stub_switches(fleet: Fleet, switches: int) -> Iterator[Stubs]:
    """So many switches, connecting until the end."""
    with stub_process("bench.stub_switch", fleet.openflow, switches, fleet.droplets) as process:
        yield Stubs(process)


@contextmanager
def stub_process(module: str, *numbers: int) -> Iterator[subprocess.Popen[str]]:
    """A module of stub switches as a process to talk to; it ends when it is told nothing more."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *map(str, numbers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


class Sync(threading.Thread):
    """Reads the log until all switches are in sync: the seconds from the first connection on."""

    def __init__(self, fleet: Fleet, switches: int) -> None:
        super().__init__(daemon=True)
        self.seconds: float | None = None
        self._log, self._begun = fleet.folder / "log", fleet.log_size
        self._switches = switches
        self._flows = SHARED_FLOWS + FLOWS_OF_A_DROPLET * fleet.droplets
        self.start()

    def run(self) -> None:
        first, done, rest = None, 0, b""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self._log.exists() and self._log.stat().st_size > self._begun:
                with self._log.open("rb") as log:
                    log.seek(self._begun)
                    text = rest + log.read()
                    self._begun = log.tell()
                if first is None and CONNECTED.search(text):
                    first = time.monotonic()
                lines, _, rest = text.rpartition(b"\n")
                done += sum(int(flows) == self._flows for flows in IN_SYNC.findall(lines))
                if first is not None and done >= self._switches:
                    self.seconds = time.monotonic() - first
                    return
            time.sleep(_EVERY)

    def wait(self) -> float:
        """The seconds; raises RuntimeError where not all came to be in sync."""
        self.join(_PATIENCE)
        if self.seconds is None:
            raise RuntimeError(self._log.read_text()[-4000:])
        return self.seconds


class Asking(threading.Thread):
    """Asks REST for droplets, one after the other, until it is told to stop."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self._fleet = fleet
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        headers = self._fleet.headers()
        with closing(self._fleet.connection()) as connection:
            number = 0
            while not self._stopped.wait(_EVERY):
                number = number % self._fleet.droplets + 1
                began = time.perf_counter()
                connection.request("GET", f"/v1/droplets/{1000 + number}", headers=headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status != http.client.OK:
                    raise RuntimeError(f"HTTP {answer.status}")
                self.seconds.append(time.perf_counter() - began)

    def p99(self) -> float:
        """Of the answers so far, in seconds; it stops."""
        self._stopped.set()
        self.join(60)
        return percentile(self.seconds, 99)


class Figures(dict[str, float]):
    """What one size of fleet came to, by name."""


def measure(fleet: Fleet, switches: int, *, idle: bool) -> Figures:
    """Both connections of a fleet of this size."""
    figures = Figures()
    flows = switches * (SHARED_FLOWS + FLOWS_OF_A_DROPLET * fleet.droplets)
    with stub_switches(fleet, switches) as stubs:
        for name in ("empty", "unchanged"):
            sync = Sync(fleet, switches)
            with fleet.running():
                before, asking = fleet.cpu(), Asking(fleet)
                figures[name] = sync.wait()
                figures[f"{name} REST p99"] = asking.p99()
                figures[f"{name} processor"] = fleet.cpu() - before
                figures[f"{name} MiB"] = fleet.memory()
                told = stubs.told()
                if (told["flows"], told["faults"]) != (flows, {}):
                    raise RuntimeError(f"the switches have {told}, not {flows} flows")
                if idle and name == "unchanged":
                    time.sleep(_IDLE / 4)
                    before = fleet.cpu()
                    time.sleep(_IDLE)
                    figures["idle"] = (fleet.cpu() - before) / _IDLE
    return figures


def _told(report: Report, switches: int, figures: Figures) -> None:
    for name in ("empty", "unchanged"):
        what = f"{switches} switches, {name}:"
        report.figure(f"{what} all in sync after", figures[name], "s")
        processor = figures[f"{name} processor"] / switches * 1e3
        report.figure(f"{what} the controller's processor, a switch", processor, "ms")


def main(arguments: Sequence[str] | None = None) -> Report:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, default=1000)
    parser.add_argument("--droplets", type=int, default=50)
    options = parser.parse_args(arguments)
    few, many = options.switches // 10, options.switches
    report = Report("fleet", f"A fleet of {few} and of {many} switches, {options.droplets} each")
    with tempfile.TemporaryDirectory(prefix="fleet-bench-", dir="/var/tmp") as folder:
        fleet = Fleet(Path(folder), options.droplets)
        fleet.register(many)
        small = measure(fleet, few, idle=False)
        _told(report, few, small)
        large = measure(fleet, many, idle=True)
        _told(report, many, large)
    for name in ("empty", "unchanged"):
        growth = large[name] / many / (small[name] / few)
        report.goal(f"{name}: seconds a switch, {many} / {few} switches", growth, 1.3)
        used = f"{name} processor"
        growth = large[used] / many / (small[used] / few)
        report.goal(f"{name}: processor a switch, {many} / {few} switches", growth, 1.3)
        p99 = large[f"{name} REST p99"] * 1e3
        report.goal(f"{name}: REST p99 meanwhile", p99, 100, unit="ms")
    memory = large["unchanged MiB"] * 2**20 / 1000 / many / options.droplets
    report.goal("memory, all of the process, a droplet", memory, 100, unit="KB")
    report.goal("idle: of a processor", large["idle"] * 100, 5, unit="%")
    return report


if __name__ == "__main__":
    sys.exit(run_alone(main()))
