"""A hypervisor: a namespace with a private Open vSwitch, and the droplets on its bridges."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lab.droplet import Droplet, connect
from lab.namespace import ETC_NETNS, Namespace
from lab.openvswitch import OpenVSwitch
from lab.process import run

if TYPE_CHECKING:
    from lab.lab import Lab

BRIDGE = "br0"

_ROUTING_TABLES = "255\tlocal\n254\tmain\n253\tdefault\n0\tunspec\n"

# The userspace datapath reads a veth beside the kernel, which sees every frame as well and would
# answer ARP and TCP for its own addresses past the switch. (The kernel datapath takes the frames
# away.) Ports of a hypervisor's own, which the kernel is to hear, are called nic*.
KERNEL_HEARS_NO_PORT = """
table inet lab {
    chain prerouting {
        type filter hook prerouting priority raw; policy accept;
        iifname "nic*" accept
        meta iifkind "veth" drop
    }
}
table arp lab {
    chain input {
        type filter hook input priority filter; policy accept;
        iifname "nic*" accept
        meta iifkind "veth" drop
    }
}
"""


class Hypervisor:
    """One host: its namespace, its Open vSwitch, its droplets by port name."""

    def __init__(self, lab: "Lab", name: str, namespace: Namespace, directory: Path) -> None:
        self.name = name
        self.namespace = namespace
        self.directory = directory
        self.ovs = OpenVSwitch(namespace, directory / "ovs")
        self.droplets: dict[str, Droplet] = {}
        self._lab = lab

    def start(self) -> None:
        """Bring up the loopback device and Open vSwitch. Raises LabError."""
        self.namespace.ip("link set lo up")
        self.namespace.run("nft", "-f", "-", text=KERNEL_HEARS_NO_PORT)
        self.ovs.start()

    def run(
        self, *command: str | Path, check: bool = True, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the hypervisor's operator would: its network, its Open vSwitch."""
        return self.namespace.run(*command, check=check, text=text, env=self.ovs.env)

    def add_bridge(self, name: str = BRIDGE, *, controller: str | None = None) -> None:
        """Make a bridge with the userspace datapath, following `controller` if given."""
        follow = ["--", "set-controller", name, controller] if controller else []
        self.ovs.vsctl(
            *("add-br", name, "--", "set", "Bridge", name, "datapath_type=netdev"), *follow
        )

    def dpid(self, bridge: str = BRIDGE) -> str:
        """The bridge's datapath id, 16 hex digits."""
        return json.loads(self.ovs.vsctl("get", "Bridge", bridge, "datapath_id"))

    def add_droplet(
        self,
        port: str,
        *,
        ofport: int,
        mac: str,
        addresses: tuple[str, ...] | str = (),
        mtu: int = 1500,
        bridge: str = BRIDGE,
    ) -> Droplet:
        """A new droplet on `bridge`, its port there with the ofport asked for.

        `port` names the switch port, as a TAP would be named. Raises CommandFailed.
        """
        addresses = (addresses,) if isinstance(addresses, str) else addresses
        namespace = self._lab.namespace(f"{self._lab.short_name(self)}{port}")
        connect(port, namespace, self.namespace, mac=mac, addresses=addresses, mtu=mtu)
        self.add_port(port, ofport=ofport, bridge=bridge)
        droplet = Droplet(port, ofport, mac, addresses, namespace)
        self.droplets[port] = droplet
        return droplet

    def add_port(self, port: str, *, ofport: int, bridge: str = BRIDGE) -> None:
        """Put a device of this host on the bridge. Raises CommandFailed."""
        self.ovs.vsctl(
            *("add-port", bridge, port, "--", "set", "Interface", port),
            f"ofport_request={ofport}",
        )

    def remove_droplet(self, droplet: Droplet) -> None:
        """Take a droplet away: its switch port, its device, its namespace."""
        del self.droplets[droplet.port]
        self.ovs.vsctl("--if-exists", "del-port", droplet.port)
        run("ip", "-n", self.namespace.name, "link", "delete", droplet.port)
        self._lab.delete_namespace(droplet.namespace)

    def stop(self) -> None:
        """End Open vSwitch."""
        self.ovs.stop()


def own_iproute2_files(namespace: Namespace) -> Path:
    """Give a namespace an /etc/iproute2 of its own: a table's name is not for the whole machine.

    `ip netns exec` puts it in place. Returns the folder to delete in the end.
    """
    folder = ETC_NETNS / namespace.name
    (folder / "iproute2" / "rt_tables.d").mkdir(parents=True)
    (folder / "iproute2" / "rt_tables").write_text(_ROUTING_TABLES)
    return folder
