"""What `http_servers` asks: the server as shipped on a real switch, and its peers.

Both processes as an operator starts them, with droplets on the bridge of a hypervisor of the lab.
A droplet asks from its namespace through the datapath. Through loopback the same server is asked:
the namespace of the host is given the hv-local address of another droplet, and prefers it as the
source of what it sends to 169.254.169.254. Limits of rates are off: one droplet asks for all.
"""

import base64
import json
from pathlib import Path

from bench.http_candidates import HOSTNAME
from bench.many_ports import add_patch_ports
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.process import Daemon
from lab.services import CONTROLLER, Services
from lab.wait import wait_for

ROOT = Path(__file__).parents[1]
METADATA = "http://169.254.169.254"
PATH = "/metadata/v1/hostname"
BIG = "/metadata/v1/user-data"
BIG_BYTES = 64 * 1024
_OFPORT, _LOOPBACK = 602, 603  # the droplet that asks, and the one that loopback stands for
_FIRST = 1001  # the ofport of the first of the others
_PATIENCE = 240
_OFF = {
    "metadata": {"meter_pps": 0},
    "metadata_http": {"rate_limit": 0, "max_connections_per_droplet": 4096},
}


class Site:
    """A hypervisor with so many droplets."""

    def __init__(self, lab: Lab, name: str, droplets: int) -> None:
        self.lab = lab
        self.host: Hypervisor = lab.hypervisor(name)
        self.host.add_bridge()
        self.services = Services(lab, self.host, _OFF)
        self.services.dropletctl("host-setup", "--bridge", BRIDGE)
        self.services.start()
        self.host.ovs.vsctl("set-controller", BRIDGE, CONTROLLER)
        self.droplet = self.host.add_droplet(
            "tap0", ofport=_OFPORT, mac=_mac(_OFPORT), addresses="10.0.0.5/24"
        )
        add_patch_ports(self._database, BRIDGE, [("loop0", _LOOPBACK)])
        self.droplets = 0
        self._register([("tap0", _OFPORT), ("loop0", _LOOPBACK)])
        self.grow(droplets)
        self._loopback()

    @property
    def _database(self) -> Path:
        return self.host.ovs.directory / "db.sock"

    @property
    def pid(self) -> int:
        """Of the metadata server's first process."""
        assert self.services.server.daemon is not None
        return self.services.server.daemon.pid

    def grow(self, droplets: int) -> None:
        """Have so many droplets on the bridge and in the registry, all served. Raises LabError."""
        first = _FIRST + self.droplets - 2 if self.droplets else _FIRST
        new = [(f"tap{n}", n) for n in range(first, first + droplets - self.droplets)]
        self._register(new)
        add_patch_ports(self._database, BRIDGE, new)
        health = self.services.server.health

        def known() -> bool:
            return (health("/readyz") or {}).get("droplets") == droplets

        wait_for(known, f"{droplets} droplets known", _PATIENCE)
        wait_for(lambda: self._served() == droplets, f"{droplets} served", _PATIENCE)

    def _served(self) -> int | None:
        """How many ports are served: those after which the server's view comes to rest.

        None where the controller is too busy with them to say.
        """
        listing = self.services.dropletctl("ports", "--json", check=False)
        if listing.returncode:
            return None
        return sum(port["state"] == "serving" for port in json.loads(listing.stdout))

    def _register(self, ports: list[tuple[str, int]]) -> None:
        lines = (json.dumps(_document(name, n)) for name, n in ports)
        file = self.host.directory / "droplets.jsonl"
        file.write_text("".join(f"{line}\n" for line in lines))
        self.services.dropletctl("import", file)
        self.droplets += len(ports)

    def _loopback(self) -> None:
        address = next(
            port["hv_local_ip"]
            for port in self.services.ports().values()
            if port["name"] == "loop0"
        )
        own = METADATA.removeprefix("http://")
        self.host.namespace.ip(
            f"address add {address}/32 dev lo",
            f"route replace local {own} dev meta0 table local src {address}",
        )

    def peer(self, name: str, command: list[str], url: str) -> Daemon:
        """A peer that runs in this host's namespace and answers at `url` by now."""
        log = self.host.directory / f"{name}.log"
        command = self.host.namespace.command(*command)
        env = {"PYTHONPATH": str(ROOT)}
        daemon = self.lab.daemon(Daemon(name, command, log=log, env=env))

        def answers() -> bool:
            daemon.require_running()
            asked = self.host.run("curl", "--silent", "--fail", "--max-time", "5", url, check=False)
            return asked.returncode == 0

        wait_for(answers, f"{name} to answer", _PATIENCE, daemon.log_tail)
        return daemon


def _mac(ofport: int) -> str:
    return f"a6:a4:8e:00:{ofport >> 8:02x}:{ofport & 255:02x}"


def _document(name: str, ofport: int) -> dict[str, object]:
    """About 4 KiB; those that ask have a user-data of 64 KiB besides."""
    big = {"user_data_base64": base64.b64encode(b"x" * BIG_BYTES).decode()}
    asking = ofport in (_OFPORT, _LOOPBACK)
    return {
        "droplet_id": 100_000 + ofport,
        "ports": [{"name": name, "mac": _mac(ofport)}],
        "metadata": {"hostname": HOSTNAME, "region": "ams3", "vendor_data": "x" * 3500},
        **(big if asking else {}),
    }
