"""cloud-init, Debian's package by its real command line, boots droplets from the server."""

import json
import re
from ipaddress import IPv4Address

import pytest

from tests.clients.boots import INIT_LOCAL, LOG
from tests.clients.documents import GATEWAY, KEY, NAMESERVERS, OTHER_KEY

pytestmark = pytest.mark.root

every_boot = pytest.mark.parametrize("name", ["whole", "private", "late"])


@every_boot
def test_ds_identify_finds_digitalocean_by_itself(boots, name):
    """It decides before all stages whether cloud-init runs at all, and from where."""
    found = boots[name].machine.read("/run/cloud-init/cloud.cfg")
    assert found == "datasource_list: [ DigitalOcean, None ]\n"


@every_boot
def test_it_boots_from_the_server_without_a_complaint(boots, name):
    boot = boots[name]
    status = boot.status()
    assert (status["status"], status["errors"]) == ("done", [])
    assert status["datasource"] == "digitalocean"
    warnings = re.findall(r".*(?:WARNING|ERROR|CRITICAL)\]: .*", boot.machine.read(LOG))
    # The machine's root has no partition that could grow.
    assert [line for line in warnings if "cc_resizefs" not in line] == []
    instance = json.loads(boot.machine.read("/run/cloud-init/instance-data.json"))["v1"]
    assert instance["instance_id"] == str(boot.guest.droplet_id)
    assert instance["cloud_id"] == "digitalocean"
    assert instance["subplatform"] == "metadata (http://169.254.169.254/metadata/v1.json)"


@every_boot
def test_it_asks_on_link_from_a_random_link_local_address(boots, name):
    boot = boots[name]
    (source,) = {IPv4Address(entry.source) for entry in boot.asked}
    assert IPv4Address("169.254.1.0") <= source <= IPv4Address("169.254.168.255")
    assert {entry.mark for entry in boot.asked} == {boot.guest.droplet_id}


def test_one_request_is_all_it_needs(boots):
    assert len(boots["whole"].asked) == 1
    assert "after 1 attempts" in boots["whole"].machine.read(LOG)


@every_boot
def test_no_link_local_address_stays(boots, name):
    assert "169.254." not in boots[name].machine.run("ip", "address").stdout


def test_the_network_is_as_the_document_says(boots):
    boot = boots["whole"]
    assert boot.addresses("eth0") == {"203.0.113.11/24", "2001:db8::b/64", "10.17.0.11/16"}
    assert boot.addresses("eth1") == {"10.132.0.11/16"}
    routes = json.loads(boot.machine.run("ip", "-json", "route", "show", "default").stdout)
    assert [(route["gateway"], route["dev"]) for route in routes] == [(GATEWAY, "eth0")]
    six = json.loads(boot.machine.run("ip", "-json", "-6", "route", "show", "default").stdout)
    assert [(route["gateway"], route["dev"]) for route in six] == [("2001:db8::1", "eth0")]
    assert nameservers(boot) == ["198.51.100.53", "2001:db8:51::53"]


def test_a_private_droplets_network_and_the_configured_nameservers(boots):
    """Its only NIC is the first one, but eth1 is what cloud-init names a private one."""
    boot = boots["private"]
    links = json.loads(boot.machine.run("ip", "-json", "link").stdout)
    assert {link["ifname"] for link in links} == {"lo", "eth1"}
    assert boot.addresses("eth1") == {"10.132.0.12/16"}
    assert nameservers(boot) == list(NAMESERVERS)


def nameservers(boot):
    lines = boot.machine.read("/etc/resolv.conf").splitlines()
    return [line.split()[1] for line in lines if line.startswith("nameserver ")]


def test_the_host_name(boots):
    machine = boots["whole"].machine
    assert machine.run("hostname", "--fqdn").stdout == "web-11.example.com\n"
    assert boots["private"].machine.run("hostname").stdout == "db-12\n"


def test_the_keys_let_in_whom_the_document_names(boots):
    machine = boots["whole"].machine
    # disable_root: false is vendor data's doing.
    for home in ("/root", "/home/debian"):
        lines = machine.read(f"{home}/.ssh/authorized_keys").splitlines()
        assert sorted(lines) == sorted([KEY, OTHER_KEY])
    without = boots["private"].machine
    assert without.read("/home/debian/.ssh/authorized_keys").splitlines() == [KEY]
    refused = without.read("/root/.ssh/authorized_keys")
    assert 'Please login as the user \\"debian\\" rather than the user \\"root\\".' in refused


def test_vendor_data_is_applied(boots):
    machine = boots["whole"].machine
    assert machine.read("/root/from-vendor") == "vendor script of web-11\n"
    assert "127.0.1.1 web-11.example.com web-11" in machine.read("/etc/hosts").splitlines()
    keys = machine.run("sh", "-c", "ls /etc/ssh/ssh_host_*_key.pub").stdout.split()
    assert keys == ["/etc/ssh/ssh_host_ed25519_key.pub"]


def test_user_data_is_applied(boots):
    assert boots["whole"].machine.read("/root/from-user") == "user data of 7900011"
    assert boots["private"].machine.read("/root/from-user") == "script of db-12\n"


def test_what_user_data_runs_reaches_the_server_through_the_gateway(boots):
    assert boots["whole"].machine.read("/root/own-id") == "7900011"


def test_a_droplet_that_is_registered_late_is_told_to_wait_and_boots(site, boots):
    log = boots["late"].machine.read(LOG)
    attempts = int(re.search(r"Read from .* after (\d+) attempts", log)[1])
    assert attempts > 1
    told = (site.host.directory / "metadata-http.log").read_text().splitlines()
    port = boots["late"].guest.droplet.port
    assert [line for line in told if port in line and " 503 " in line]
    assert boots["late"].addresses("eth0") >= {"203.0.113.13/24"}


def test_at_the_next_boot_it_knows_the_droplet_by_its_serial_number(boots):
    machine = boots["private"].machine
    machine.run("rm", "-rf", "/run/cloud-init")
    machine.write(LOG, "")
    machine.run(*INIT_LOCAL)
    log = machine.read(LOG)
    assert "restored from checked cache: DataSourceDigitalOcean" in log
