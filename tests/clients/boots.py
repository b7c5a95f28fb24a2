"""Droplets that boot with cloud-init, from power on to the last stage, all at the same time.

The stages are cloud-init's own command lines in the order of Debian's init scripts, and between
them Debian's scripts bring up the network that cloud-init has written down. Nothing is told to
cloud-init but by the firmware and by the metadata server.
"""

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.openvswitch import ConntrackEntry
from lab.process import CommandFailed
from lab.wait import wait_for
from tests.clients import smbios
from tests.clients.documents import KEY, private_interface, whole
from tests.clients.machine import Machine, boot
from tests.clients.site import Guest, Site

LOG = "/var/log/cloud-init.log"
DS_IDENTIFY = "/usr/lib/cloud-init/ds-identify"

INIT_LOCAL = ("cloud-init", "init", "--local")
AFTER_INIT_LOCAL = (
    ("/etc/init.d/networking", "start"),
    ("cloud-init", "init"),
    ("cloud-init", "modules", "--mode=config"),
    ("cloud-init", "modules", "--mode=final"),
)

# What it asks while it runs comes from the droplet as it is then: routed, by its own address.
USER_DATA = """\
#cloud-config
write_files:
- path: /root/from-user
  content: user data of 7900011
runcmd:
- [sh, -c, "curl --silent http://169.254.169.254/metadata/v1/id >/root/own-id"]
"""
SCRIPT = '#!/bin/sh\necho "script of $(hostname)" >/root/from-user\n'


@dataclass(frozen=True, slots=True)
class Boot:
    """A booted droplet. `asked` is what conntrack had of it right after stage init-local."""

    guest: Guest
    machine: Machine
    asked: tuple[ConntrackEntry, ...]

    def status(self) -> dict[str, Any]:
        """What `cloud-init status` says in the end."""
        shown = self.machine.run("cloud-init", "status", "--format", "json", check=False)
        return json.loads(shown.stdout)

    def addresses(self, nic: str) -> set[str]:
        """The addresses of a NIC with their prefix lengths, without link-local IPv6."""
        shown = self.machine.run("ip", "-json", "address", "show", "dev", nic).stdout
        return {
            f"{address['local']}/{address['prefixlen']}"
            for address in json.loads(shown)[0]["addr_info"]
            if address["scope"] != "link"
        }


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a droplet boots. A `late` one is registered only after cloud-init was told to wait."""

    droplet_id: int
    macs: tuple[str, ...]
    metadata: Mapping[str, Any]
    firmware: Callable[[int], Mapping[str, bytes]]
    late: bool = False


def _everything(droplet_id: int) -> Mapping[str, bytes]:
    return {**smbios.tables(droplet_id), **smbios.identity(droplet_id)}


WHOLE_MACS = ("a6:a4:8e:00:00:11", "a6:a4:8e:01:00:11")
PRIVATE_MAC = "a6:a4:8e:00:00:12"
LATE_MACS = ("a6:a4:8e:00:00:13", "a6:a4:8e:01:00:13")

_PLANS = {
    "whole": _Plan(
        7_900_011,
        WHOLE_MACS,
        whole(7_900_011, WHOLE_MACS, 11, user_data=USER_DATA),
        _everything,
    ),
    # No public interface, no vendor data, a kernel without /sys/class/dmi.
    "private": _Plan(
        7_900_012,
        (PRIVATE_MAC,),
        {
            "hostname": "db-12",
            "region": "ams3",
            "user_data": SCRIPT,
            "public_keys": [KEY],
            "interfaces": {"private": [private_interface(PRIVATE_MAC, 12)]},
        },
        smbios.tables,
    ),
    "late": _Plan(7_900_013, LATE_MACS, whole(7_900_013, LATE_MACS, 13), _everything, late=True),
}


def boot_together(site: Site, image: Path) -> dict[str, Boot]:
    """Plug, register and boot the droplets of all plans. Raises LabError."""
    guests = {name: site.plug(plan.droplet_id, plan.macs) for name, plan in _PLANS.items()}
    for name, plan in _PLANS.items():
        if not plan.late:
            site.register(guests[name], plan.metadata)
            site.wait_until_served(guests[name])
    # cloud-init calls a private NIC eth1 and would rename it; this /sys does not bear a renaming.
    guests["private"].droplet.namespace.ip("link set eth0 down", "link set eth0 name eth1")
    # Here, as a machine ends with the thread that started it.
    machines = {
        name: boot(site.lab, guests[name].droplet, image, plan.firmware(plan.droplet_id))
        for name, plan in _PLANS.items()
    }

    def run(name: str) -> Boot:
        plan, guest, machine = _PLANS[name], guests[name], machines[name]
        machine.run("/etc/init.d/resolvconf", "start")
        machine.run(DS_IDENTIFY, "--force")
        if plan.late:
            _register_late(site, guest, machine, plan.metadata)
        else:
            machine.run(*INIT_LOCAL)
        asked = tuple(e for e in site.host.ovs.conntrack() if e.zone == guest.droplet.ofport)
        for stage in AFTER_INIT_LOCAL:
            machine.run(*stage)
        return Boot(guest, machine, asked)

    with ThreadPoolExecutor(len(_PLANS)) as pool:
        return dict(zip(_PLANS, pool.map(run, _PLANS), strict=True))


def _register_late(site: Site, guest: Guest, machine: Machine, metadata: object) -> None:
    """Run stage init-local and register the droplet as soon as it has been told to wait."""
    stage = threading.Thread(target=machine.run, args=INIT_LOCAL, kwargs={"check": False})
    stage.start()
    try:
        wait_for(
            lambda: "while we wait to try again" in machine.read(LOG),
            "cloud-init to wait and try again",
            diagnose=site.services.diagnosis,
            not_yet=(CommandFailed,),
        )
        site.register(guest, metadata)
    finally:
        stage.join()
