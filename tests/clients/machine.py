"""A droplet's own system: the clients' Debian, running in the droplet's network namespace.

The shared image lies read-only below a layer of the droplet's own (overlayfs on tmpfs). Mount,
PID, host name and network are namespaces of the machine, so whatever is mounted, started or
changed in it is gone with its first process. Its programs are Debian's, unmodified; what differs
from a droplet is the hardware, and what /sys says of that is completed: the firmware's tables,
and for each NIC the `device` that a NIC on a bus has and a veth has not.
"""

import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.droplet import Droplet
from lab.lab import Lab
from lab.process import Daemon, run
from lab.wait import wait_for
from tests.clients import smbios
from tests.clients.site import Guest

# As cloud-init's units have it, and a person's shell.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}

# $1 the image, $2 a folder of the machine's own on the host, with its part of /sys in $2/sys.
_BOOT = """
set -e
image=$1 own=$2
mount -t tmpfs machine "$own/disk"
cd "$own/disk"
mkdir upper work root sys-work
cp -a "$own/sys" sys-upper
mount -t overlay machine -o "lowerdir=$image,upperdir=upper,workdir=work" root
mount -t proc proc root/proc
mount -t overlay sysfs -o "lowerdir=/sys,upperdir=sys-upper,workdir=sys-work" root/sys
mount -t tmpfs run root/run
mount -t tmpfs tmp root/tmp
chmod 1777 root/tmp
mkdir -p root/dev/pts root/run/lock root/run/network
mount -t devpts devpts root/dev/pts
cd root
mkdir run/host
pivot_root . run/host
umount --lazy /run/host
rmdir /run/host
hostname localhost
: >/run/booted
exec sleep infinity
"""


class Machine:
    """A running system of a droplet; made by `boot`."""

    def __init__(self, droplet: Droplet, first_pid: int) -> None:
        self.droplet = droplet
        self.first_pid = first_pid

    def run(
        self,
        *command: str,
        text: str | None = None,
        check: bool = True,
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the machine as its root user. Raises CommandFailed if `check`."""
        enter = ("nsenter", f"--target={self.first_pid}", "--all", "--root")
        clean = ("env", "-i", *(f"{name}={value}" for name, value in _ENVIRONMENT.items()))
        return run(*enter, *clean, *command, text=text, check=check, seconds=seconds)

    def read(self, path: str) -> str:
        """A text file of the machine. Raises CommandFailed."""
        return self.run("cat", path).stdout

    def exists(self, path: str) -> bool:
        """Whether the machine has this file."""
        return self.run("test", "-e", path, check=False).returncode == 0

    def write(self, path: str, content: str) -> None:
        """Write a text file, and the folders above it. Raises CommandFailed."""
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1"', "sh", path, text=content)


@dataclass(frozen=True, slots=True)
class Box:
    """A guest with its machine."""

    guest: Guest
    machine: Machine


def boot(lab: Lab, droplet: Droplet, image: Path, firmware: Mapping[str, bytes]) -> Machine:
    """Power a droplet on: its NICs are down and bare, its disk is as fresh from the image.

    `firmware` is what the firmware shows below /sys. Raises LabError.
    """
    own = Path(tempfile.mkdtemp(prefix=f"machine-{droplet.port}-", dir=lab.directory))
    (own / "disk").mkdir()
    _lay_over_sys(own / "sys", firmware, _power_off_nics(droplet))
    namespaces = ("--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL")
    script = ("sh", "-c", _BOOT, "boot", image, own)
    command = droplet.namespace.command("unshare", *namespaces, *script)
    power = Daemon(f"machine of {droplet.port}", command, log=own / "log")
    lab.on_close(lambda: _power_off(power))

    def booted() -> int:
        power.require_running()
        pid = _first_pid(power)
        return pid if pid and os.path.exists(f"/proc/{pid}/root/run/booted") else 0

    return Machine(droplet, wait_for(booted, "the machine to boot", diagnose=power.log_tail))


def _first_pid(power: Daemon) -> int | None:
    """The machine's first process, as this host counts; None where there is none."""
    children = Path(f"/proc/{power.pid}/task/{power.pid}/children").read_text().split()
    return int(children[0]) if children else None


def _power_off(power: Daemon) -> None:
    """End the first process: it ends when all others of its PID namespace have."""
    if power.running and (pid := _first_pid(power)):
        os.kill(pid, signal.SIGKILL)
        power.wait_until_ended()
    power.kill()


def _lay_over_sys(folder: Path, firmware: Mapping[str, bytes], nics: list[str]) -> None:
    """Make what the machine's /sys shows beside, or instead of, what is there."""
    for name, content in firmware.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    if not (folder / smbios.CLASS).exists():
        (folder / smbios.CLASS).parent.mkdir(parents=True, exist_ok=True)
        # Overlayfs takes a 0/0 device for "not there": nothing of this host's own shows through.
        os.mknod(folder / smbios.CLASS, stat.S_IFCHR, os.makedev(0, 0))
    for nic in nics:
        (folder / "devices/virtual/net" / nic / "device").mkdir(parents=True)


def _power_off_nics(droplet: Droplet) -> list[str]:
    """Take all NICs down and off their addresses; their names."""
    shown = run("ip", "-n", droplet.namespace.name, "-oneline", "link", "show", "type", "veth")
    nics = [line.split(": ")[1].partition("@")[0] for line in shown.stdout.splitlines()]
    for nic in nics:
        droplet.namespace.ip(f"address flush dev {nic}", f"link set {nic} down")
    return nics
