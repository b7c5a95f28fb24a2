"""Images that know EC2 or OpenStack and not DigitalOcean: cloud-init boots them from the same.

The firmware says which cloud it is, as a hypervisor's operator would have it say for such images,
and the droplet is registered with that format. Both datasources begin with DHCP, so there is a
DHCP server on the bridge: dnsmasq, in a droplet of its own.
"""

import json
import re
from dataclasses import dataclass

import pytest

from tests.clients import smbios
from tests.clients.boots import AFTER_INIT_LOCAL, DS_IDENTIFY, INIT_LOCAL, LOG, Boot
from tests.clients.documents import GATEWAY, KEY, OTHER_KEY, whole
from tests.clients.machine import boot

pytestmark = pytest.mark.root

SCRIPT = '#!/bin/sh\necho "script of $(hostname)" >/root/from-user\n'


_EC2_UUID = "ec2e1916-9099-7caf-fd21-0000007927c9"
_NOVA_UUID = "00000000-0000-4000-8000-0000007927ca"


@dataclass(frozen=True)
class Cloud:
    """Formats, the datasource they are for, and the firmware that makes images choose it."""

    name: str
    formats: tuple[str, ...]
    datasource: str
    droplet_id: int
    macs: tuple[str, ...]
    instance_id: str
    firmware: dict[str, str]

    @property
    def number(self):
        """The last octet of its addresses."""
        return self.droplet_id % 100


CLOUDS = {
    "ec2": Cloud(
        "ec2",
        ("ec2",),
        "Ec2",
        7_940_041,
        ("a6:a4:8e:00:04:29",),
        "i-007927c9",
        {"vendor": "Amazon EC2", "product_uuid": _EC2_UUID, "product_serial": _EC2_UUID},
    ),
    "openstack": Cloud(
        "openstack",
        # As OpenStack itself: its clients ask for EC2's tree as well.
        ("openstack", "ec2"),
        "OpenStack",
        7_940_042,
        ("a6:a4:8e:00:04:2a", "a6:a4:8e:01:04:2a"),
        _NOVA_UUID,
        {
            "vendor": "OpenStack Foundation",
            "product_name": "OpenStack Nova",
            "product_uuid": _NOVA_UUID,
        },
    ),
}


def document(cloud):
    """All of a droplet, with the NICs this one has."""
    made = whole(cloud.droplet_id, (*cloud.macs, "")[:2], cloud.number, user_data=SCRIPT)
    if len(cloud.macs) == 1:
        del made["interfaces"]["private"]
    return made


@pytest.fixture(scope="module")
def dhcp(site, image):
    """A DHCP server that gives each droplet the address of its document."""
    guest = site.plug(7_940_001, ("a6:a4:8e:00:04:01",))
    machine = boot(site.lab, guest.droplet, image, smbios.tables(guest.droplet_id))
    guest.droplet.namespace.ip("link set eth0 up", "address add 203.0.113.40/24 dev eth0")
    hosts = [f"--dhcp-host={cloud.macs[0]},203.0.113.{cloud.number}" for cloud in CLOUDS.values()]
    machine.run(
        *("dnsmasq", "--port=0", "--dhcp-range=203.0.113.0,static,255.255.255.0,1h"),
        *("--user=root", "--leasefile-ro", "--dhcp-authoritative", "--no-ping", *hosts),
        *(f"--dhcp-option=option:router,{GATEWAY}", "--pid-file=/run/dnsmasq.pid"),
    )


@pytest.fixture(scope="module", params=CLOUDS)
def booted(request, site, image, dhcp):
    """A droplet that has booted as that cloud's instance."""
    cloud = CLOUDS[request.param]
    guest = site.plug(cloud.droplet_id, cloud.macs)
    site.register(guest, document(cloud), formats=list(cloud.formats))
    site.wait_until_served(guest)
    firmware = smbios.identity(cloud.droplet_id, **cloud.firmware)
    machine = boot(site.lab, guest.droplet, image, firmware)
    machine.run("/etc/init.d/resolvconf", "start")
    machine.run(DS_IDENTIFY, "--force")
    for stage in (INIT_LOCAL, *AFTER_INIT_LOCAL):
        machine.run(*stage)
    return cloud, Boot(guest, machine, ())


def test_it_is_chosen_by_the_firmware_and_boots_without_a_complaint(booted):
    cloud, boot = booted
    listed = boot.machine.read("/run/cloud-init/cloud.cfg")
    assert listed == f"datasource_list: [ {cloud.datasource}, None ]\n"
    status = boot.status()
    assert (status["status"], status["errors"]) == ("done", [])
    warnings = re.findall(r".*(?:WARNING|ERROR|CRITICAL)\]: .*", boot.machine.read(LOG))
    assert [line for line in warnings if "cc_resizefs" not in line] == []
    instance = json.loads(boot.machine.read("/run/cloud-init/instance-data.json"))["v1"]
    assert instance["instance_id"] == cloud.instance_id
    assert instance["platform"] == cloud.name


def test_its_name_keys_and_data_are_the_droplets(booted):
    cloud, boot = booted
    assert boot.machine.run("hostname").stdout == f"web-{cloud.number}\n"
    keys = boot.machine.read("/home/debian/.ssh/authorized_keys").splitlines()
    assert sorted(keys) == sorted([KEY, OTHER_KEY])
    assert boot.machine.read("/root/from-user") == f"script of web-{cloud.number}\n"


def test_its_network_is_the_droplets(booted):
    cloud, boot = booted
    assert f"203.0.113.{cloud.number}/24" in boot.addresses("eth0")
    routes = json.loads(boot.machine.run("ip", "-json", "route", "show", "default").stdout)
    assert [(route["gateway"], route["dev"]) for route in routes] == [(GATEWAY, "eth0")]


def test_what_only_the_format_tells(booted):
    """OpenStack's network is in its document; EC2's is DHCP's, whose lease names no anchor."""
    cloud, boot = booted
    known = (
        {"203.0.113.41/24"}
        if cloud.name == "ec2"
        else {
            "203.0.113.42/24",
            "2001:db8::2a/64",
            "10.17.0.42/16",
        }
    )
    assert boot.addresses("eth0") == known
    if cloud.name == "openstack":
        assert boot.addresses("eth1") == {"10.132.0.42/16"}
