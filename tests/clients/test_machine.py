"""A droplet's system: apart from every other and from this host, and gone without a trace."""

import os
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.process import run
from tests.clients import smbios
from tests.clients.machine import boot

pytestmark = pytest.mark.root


@pytest.fixture
def guests(site):
    plugged = [site.plug(7_920_000 + n, (f"a6:a4:8e:00:02:0{n}",)) for n in (1, 2)]
    yield plugged
    for guest in plugged:
        site.unplug(guest)


def test_it_has_the_firmware_of_a_droplet_and_real_looking_nics(site, image, guests):
    guest = guests[0]
    firmware = {**smbios.tables(guest.droplet_id), **smbios.identity(guest.droplet_id)}
    machine = boot(site.lab, guest.droplet, image, firmware)
    strings = {
        "bios-vendor": "DigitalOcean",
        "system-manufacturer": "DigitalOcean",
        "system-serial-number": str(guest.droplet_id),
    }
    said = {name: machine.run("dmidecode", "--string", name).stdout.strip() for name in strings}
    assert said == strings
    assert machine.read("/sys/class/dmi/id/sys_vendor") == "DigitalOcean\n"
    assert machine.exists("/sys/class/net/eth0/device")
    assert not machine.exists("/sys/class/net/lo/device")
    assert machine.read("/sys/class/net/eth0/address").strip() == guest.droplet.mac


def test_two_of_one_image_know_nothing_of_each_other(site, image, guests):
    machines = [boot(site.lab, g.droplet, image, smbios.tables(g.droplet_id)) for g in guests]
    machines[0].write("/etc/mine", "first")
    machines[0].run("hostname", "first")
    assert not machines[1].exists("/etc/mine")
    assert not (image / "etc/mine").exists()
    assert machines[1].run("hostname").stdout == "localhost\n"
    assert os.uname().nodename not in ("first", "localhost")
    assert not machines[1].exists("/sys/class/dmi")


def test_nothing_of_it_stays(image):
    """Whatever runs in it, and whatever is mounted: its first process takes all of it along."""
    with Lab() as lab:
        host = lab.hypervisor()
        host.add_bridge()
        droplet = host.add_droplet("tap1", ofport=9, mac="a6:a4:8e:00:02:09")
        machine = boot(lab, droplet, image, smbios.tables(1))
        machine.run("sh", "-c", "sleep 1000 >/dev/null 2>&1 &")
        inside = Path(f"/proc/{machine.first_pid}/ns/pid").readlink()
        assert processes_in(inside)
        folder = lab.directory
    assert processes_in(inside) == []
    assert not folder.exists()
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    assert lab.prefix not in run("ip", "netns", "list").stdout


def processes_in(namespace):
    found = []
    for entry in Path("/proc").glob("[0-9]*/ns/pid"):
        try:
            if entry.readlink() == namespace:
                found.append(entry.parts[2])
        except FileNotFoundError:
            continue  # It ended meanwhile.
    return found
