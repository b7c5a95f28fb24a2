"""A droplet that is a virtual machine: QEMU in software, its NICs the TAPs of the bridge.

What a namespace has to imitate is there by itself: firmware that names the vendor, NICs on a bus,
a boot by systemd, a kernel of the droplet's own.
"""

from pathlib import Path

from lab.lab import Lab
from lab.namespace import Namespace
from lab.process import Daemon
from tests.clients.site import Plugged
from tests.clients.smbios import VENDOR

# Userspace conntrack takes a checksum that is left to a NIC for a wrong one.
_NOTHING_LEFT_TO_THE_NIC = "csum=off,guest_csum=off,gso=off," + ",".join(
    f"{side}_{what}=off" for side in ("guest", "host") for what in ("tso4", "tso6", "ufo")
)


def power_on(lab: Lab, host: Namespace, plugged: Plugged, image: Path, console: Path) -> Daemon:
    """Start the machine; it ends when the guest powers off. What it prints goes to `console`."""
    command = [
        *("qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,thread=multi", "-m", "768"),
        *("-smp", "2", "-no-reboot", "-display", "none", "-monitor", "none"),
        *("-serial", f"file:{console}"),
        *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img")),
        *("-append", "root=/dev/vda rw console=ttyS0 quiet"),
        # What it writes is forgotten: the disk is everybody's.
        *("-drive", f"file={image / 'disk'},format=raw,if=virtio,snapshot=on"),
        *("-smbios", f"type=0,vendor={VENDOR}"),
        *("-smbios", f"type=1,manufacturer={VENDOR},serial={plugged.droplet_id}"),
    ]
    for number, (port, mac) in enumerate(plugged.ports):
        device = f"virtio-net-pci,netdev=nic{number},mac={mac},romfile="
        command += [
            *("-netdev", f"tap,id=nic{number},ifname={port},script=no,downscript=no"),
            *("-device", f"{device},{_NOTHING_LEFT_TO_THE_NIC}"),
        ]
    log = lab.directory / "qemu.log"
    return lab.daemon(Daemon("qemu", host.command(*command), log=log))
