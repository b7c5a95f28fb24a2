"""From TCP connect to in-sync: one bridge full of droplets, beside `ovs-ofctl` with the same flows.

The bridge has 10,000 patch ports (`bench.many_ports`): everything but packets is real. In each
round: the controller starts, the empty switch connects; the controller is killed and takes the full
switch over; then the very same flows, as `dump-flows` tells them, go into the empty switch by one
`ovs-ofctl --bundle add-flows`, and some of them by one `ovs-ofctl add-flow` each, scaled to all.
`python -m bench connect`, or with options `python -m bench.connect --droplets 1000 --rounds 1`. The
controller's own figures are those of its log: from the accepted connection to the last
acknowledged bundle. Without meters, which `ovs-ofctl` could put into no bundle.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.many_ports import add_patch_ports
from bench.report import Report, run_alone, version_of
from lab.dummy_openvswitch import DummyOvs
from lab.services import write_config

BIN = Path(sys.executable).parent
BRIDGE = "br0"
META_OFPORT = 60000
IN_SYNC = re.compile(r"in sync ([\d.]+) s after it connected, (\d+) flows")


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Site:
    """A bridge with its ports, a registry with their droplets."""

    def __init__(self, ovs: DummyOvs, droplets: int, *, meter_pps: int = 0) -> None:
        self.ovs = ovs
        self.droplets = droplets
        self.openflow, self.rest = free_port(), free_port()
        self.config = ovs.directory / "ovs-metadata.conf"
        self.log = ovs.directory / "controller.log"
        write_config(
            self.config,
            {
                "DEFAULT": {
                    **{"ofp_listen_host": "127.0.0.1", "ofp_tcp_listen_port": self.openflow},
                    **{"wsapi_host": "127.0.0.1", "wsapi_port": self.rest},
                },
                "metadata": {
                    "state_dir": ovs.directory / "state",
                    "ovsdb": f"unix:{ovs.directory / 'db.sock'}",
                    "meter_pps": meter_pps,
                },
            },
        )

    def make_bridge(self) -> None:
        """The bridge, meta0 and a port for each droplet."""
        command = ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "fail_mode=secure"]
        command += ["--", "add-port", BRIDGE, "meta0", "vlan_mode=trunk", "trunks=4095"]
        command += ["--", "set", "interface", "meta0", f"ofport_request={META_OFPORT}"]
        self.ovs.run("ovs-vsctl", *command, "type=internal")
        ports = [(f"tap{n}", n) for n in range(1, self.droplets + 1)]
        add_patch_ports(self.ovs.directory / "db.sock", BRIDGE, ports)
        deadline = time.monotonic() + 120
        while self.port_count() < self.droplets:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the bridge has {self.port_count()} ports after two minutes")
            time.sleep(0.2)

    def port_count(self) -> int:
        """How many of the droplets' ports the switch has."""
        ports = self.ovs.run("ovs-ofctl", "-OOpenFlow13", "dump-ports-desc", BRIDGE)
        return ports.count("(tap")

    def register(self) -> None:
        """A droplet for each port, by `dropletctl import`."""
        file = self.ovs.directory / "droplets.jsonl"
        with file.open("w") as lines:
            for n in range(1, self.droplets + 1):
                port = {"name": f"tap{n}", "mac": _mac(n)}
                droplet = {"droplet_id": 100000 + n, "ports": [port]}
                lines.write(json.dumps(droplet) + "\n")
        tokens = self.ovs.directory / "state" / "tokens"
        command = [BIN / "dropletctl", "--url", f"http://127.0.0.1:{self.rest}"]
        command += ["--tokens-file", tokens, "import", file]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    @contextmanager
    def controller(self) -> Iterator[None]:
        """The controller runs; in the end it is killed as `kill -9` would."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [BIN / "ryu-manager", "--config-file", self.config, "ryu_apps.metadata_controller"],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def wait_until_listening(self) -> None:
        """Wait until the controller takes switches."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.openflow), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the controller does not listen:\n{self.log.read_text()[-4000:]}")

    def point_at_controller(self) -> None:
        """Let the bridge follow the controller, with everything set that it would see to."""
        self.ovs.run(
            *("ovs-vsctl", "set-controller", BRIDGE, f"tcp:127.0.0.1:{self.openflow}"),
            *("--", "set", "controller", BRIDGE, "max_backoff=1000"),
            *("connection_mode=out-of-band",),
        )

    def in_sync(self, begun: int) -> tuple[float, int]:
        """Wait for the log, from byte `begun` on, to tell (seconds, flows)."""
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            with self.log.open("rb") as log:
                log.seek(begun)
                text = log.read().decode()
            for seconds, flows in IN_SYNC.findall(text):
                if int(flows) > 8 * self.droplets:
                    return float(seconds), int(flows)
            time.sleep(0.2)
        raise RuntimeError(f"never in sync:\n{self.log.read_text()[-4000:]}")

    def log_size(self) -> int:
        """Where the log ends now."""
        return self.log.stat().st_size if self.log.exists() else 0

    def flows(self) -> list[str]:
        """All flows as text that `add-flows` takes."""
        text = self.ovs.run("ovs-ofctl", "-OOpenFlow14", "--no-stats", "dump-flows", BRIDGE)
        return [line.strip() for line in text.splitlines() if "cookie=" in line]

    def clear(self) -> None:
        """Delete all flows."""
        self.ovs.run("ovs-ofctl", "-OOpenFlow14", "del-flows", BRIDGE)

    def add_bundle(self, flows: list[str]) -> float:
        """Seconds for all flows by one command in one bundle."""
        file = self.ovs.directory / "all.flows"
        file.write_text("\n".join(flows) + "\n")
        begun = time.monotonic()
        self.ovs.run("ovs-ofctl", "-OOpenFlow14", "--bundle", "add-flows", BRIDGE, str(file))
        return time.monotonic() - begun

    def add_each(self, flows: list[str]) -> float:
        """Seconds for these flows by a command each."""
        begun = time.monotonic()
        for flow in flows:
            self.ovs.run("ovs-ofctl", "-OOpenFlow14", "add-flow", BRIDGE, flow)
        return time.monotonic() - begun


def _mac(n: int) -> str:
    return f"a6:a4:8e:00:{n >> 8:02x}:{n & 255:02x}"


def measure(site: Site, rounds: int, singles: int, report: Report) -> None:
    """Print the seconds of each round, then report the ratios of their medians."""
    print(f"{'round':>6} {'connect':>8} {'unchanged':>10} {'bundle':>8} {'one by one':>11}  flows")
    figures: list[tuple[float, float, float, float]] = []
    for count in range(rounds):
        begun = site.log_size()
        with site.controller():
            fresh, total = site.in_sync(begun)
        begun = site.log_size()
        with site.controller():
            unchanged, _ = site.in_sync(begun)
        flows = site.flows()
        site.clear()
        bundle = site.add_bundle(flows)
        site.clear()
        each = site.add_each(flows[:singles]) * len(flows) / singles
        site.clear()
        figures.append((fresh, unchanged, bundle, each))
        row = f"{fresh:8.2f} {unchanged:10.2f} {bundle:8.2f} {each:11.0f}"
        print(f"{count + 1:6} {row}  {total}", flush=True)
    medians = (statistics.median(column) for column in zip(*figures, strict=True))
    fresh, unchanged, bundle, each = medians
    report.goal("connect / ovs-ofctl --bundle add-flows", fresh / bundle, 1.0)
    scaled = f"{singles} single ones measured, scaled to {total} flows"
    report.goal("one ovs-ofctl add-flow a flow / connect", each / fresh, 300, ">=", note=scaled)
    report.goal("reconnect with nothing changed / connect", unchanged / fresh, 1.0)
    report.figure("connect to in sync", fresh, "s", f"{site.droplets} droplets, {total} flows")


def main(arguments: list[str] | None = None) -> Report:
    """Parse options and measure."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--droplets", type=int, default=10000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--singles", type=int, default=500)
    chosen = options.parse_args(arguments)
    report = Report("connect", "Connect to in-sync")
    report.peer("ovs-ofctl", version_of("ovs-ofctl", "--version"))
    with DummyOvs() as ovs:
        site = Site(ovs, chosen.droplets)
        site.make_bridge()
        with site.controller():
            site.wait_until_listening()
            site.register()
        site.point_at_controller()
        measure(site, chosen.rounds, chosen.singles, report)
    return report


if __name__ == "__main__":
    sys.exit(run_alone(main()))
