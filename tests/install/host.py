"""A bare Debian 12 with its own systemd in namespaces, as a hypervisor somebody has just set up."""

import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from lab.hypervisor import KERNEL_HEARS_NO_PORT
from lab.process import CommandFailed, Daemon, run
from lab.wait import wait_for

MAC = "a6:a4:8e:4a:e8:70"
DROPLET = {
    "droplet_id": 7889371,
    "ports": [{"name": "tap7889371", "mac": MAC}],
    "metadata": {"hostname": "web-1", "region": "nyc3"},
}
SETUP = "ovs-metadata-host-setup@br0.service"
SET_UP = f"""
ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev
systemctl enable --now {SETUP}
ovs-vsctl set-controller br0 tcp:127.0.0.1:6653
"""
"""What a new user types. The bridge has the userspace datapath, which needs no kernel module."""

BOOT = Path(__file__).with_name("boot")
INSTALL_SECONDS = 180

_DPKG = ("Options::=--force-unsafe-io", "Options::=--force-confold")

# Processes that were killed are gone from their cgroups only a moment later.
_REMOVE_CGROUPS = """
mount -t cgroup2 cgroup2 "$1" && cd "$1" || exit
for i in $(seq 200); do
    [ -d "$2" ] || exit 0
    find "$2" -depth -type d -exec rmdir {} + 2>/dev/null
    sleep 0.05
done
exit 1
"""
_CLEAN = (
    *("env", "--chdir=/", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"),
    *("HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"),
)


class Host:
    """One that is booted; `stop` ends it."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._folder = folder / "host"
        self._folder.mkdir()
        command = [str(BOOT), str(image), str(self._folder)]
        command = ["unshare", "--mount", "--propagation=private", *command]
        self._daemon = Daemon("host", command, log=folder / "host.log")
        try:
            wait_for(self._has_booted, "the host's systemd", 60, self._daemon.log_tail)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all of it at once."""
        group = f"ovsmd-{self._daemon.pid}"
        self._daemon.stop(signal.SIGKILL)
        words = ["unshare", "--mount", "bash", "-c", _REMOVE_CGROUPS, "bash"]
        run(*words, self._folder, group)

    def run(
        self, *command: str | Path, text: str | None = None, check: bool = True, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, as root. Raises CommandFailed if `check`."""
        enter = ["nsenter", f"--target={self._init()}", "--all", "--root"]
        return run(*enter, *_CLEAN, *command, text=text, check=check, seconds=seconds)

    def said(self, *command: str | Path) -> str:
        """What a command prints. Raises CommandFailed."""
        return self.run(*command).stdout.strip()

    def path(self, path: str) -> Path:
        """A file of the host, from here."""
        return Path(f"/proc/{self._init()}/root{path}")

    def copy(self, file: Path, to: str) -> None:
        """Put a file onto the host."""
        self.path(to).write_bytes(file.read_bytes())

    def apt(self, *words: str) -> str:
        """apt-get, which finds all it needs in its cache: there is no network.

        A configuration file that was edited stays. Raises CommandFailed.
        """
        quiet = [f"-oDpkg::{way}" for way in ("Use-Pty=0", *_DPKG)]
        done = self.run(
            *("apt-get", "--yes", "--no-install-recommends", *quiet, *words),
            seconds=INSTALL_SECONDS,
        )
        return done.stdout + done.stderr

    def unit(self, unit: str, property: str) -> str:
        """A property of a unit, as `systemctl show` has it."""
        return self.said("systemctl", "show", "--value", f"--property={property}", unit)

    def is_active(self, unit: str) -> bool:
        """Whether a unit is active now."""
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip() == "active"

    def journal(self, *units: str, lines: int = 60) -> str:
        """The end of the journal, of these units alone if there are any; for people."""
        only = [f"--unit={unit}" for unit in units]
        words = ("journalctl", "--no-pager", f"--lines={lines}", "--output=short-monotonic")
        return self.run(*words, *only, check=False).stdout

    def kernel_hears_no_port(self) -> None:
        """Keep the host's kernel from hearing what droplets send into the userspace datapath."""
        words = ("nsenter", f"--target={self._init()}", "--net", "nft", "-f", "-")
        run(*words, text=KERNEL_HEARS_NO_PORT)

    def add_droplet(self, name: str, port: str, mac: str, address: str) -> None:
        """A droplet: a namespace `name` on the host, whose veth's other end is on br0."""
        script = f"""
            ip netns add {name}
            ip link add {port} type veth peer name eth0 address {mac} netns {name}
            ip -n {name} address add {address} dev eth0
            ip -n {name} link set lo up
            ip -n {name} link set eth0 up
            ip -n {name} route add default dev eth0
            ip netns exec {name} ethtool -K eth0 tx off >/dev/null
            ip link set {port} up
            ovs-vsctl add-port br0 {port}
        """
        self.run("sh", "-euc", script)

    def asks(self, droplet: str, path: str, at: str = "169.254.169.254", seconds: int = 5) -> str:
        """What a droplet gets for a path; nothing where it gets no 200."""
        curl = ("curl", "--silent", "--fail", "--max-time", str(seconds), f"http://{at}{path}")
        return self.run("ip", "netns", "exec", droplet, *curl, check=False).stdout

    def wait_until_served(self) -> None:
        """Wait for the droplet to get its id."""
        wait_for(
            lambda: self.asks("web-1", "/metadata/v1/id") == "7889371",
            "the droplet to get its id",
            60,
            self.journal,
        )

    def _has_booted(self) -> bool:
        self._daemon.require_running()
        with suppress(CommandFailed, IndexError):
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
            return state in ("running", "degraded")
        return False

    def _init(self) -> int:
        """Process 1 of the host by its number here."""
        pid = self._daemon.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
