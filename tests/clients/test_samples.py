"""Documents of real droplets, published by others: each is registered and served back as it is.

One of them is of the year a droplet's id was a string, and one was made up by its authors with an
IPv4 address for IPv6: these are refused with that reason, and taken once it is mended.
"""

import copy
import json

import pytest

from ovs_metadata_client import Refused
from tests.clients import datasource, smbios
from tests.clients.demands import at
from tests.clients.documents import KEY, SAMPLES
from tests.clients.machine import boot
from tests.clients.recordings import recordings
from tests.clients.replay import replay

pytestmark = pytest.mark.root

NAMES = [path.stem for path in SAMPLES]
every_sample = pytest.mark.parametrize("name", NAMES)

# Refused for this reason at this place, and taken with this value there.
FAULTS = {
    "v1-cloudinit-2015": ("/droplet_id", "must be a number, not a string", 22532410),
    "v1-gometadata-test": (
        "/interfaces/public/0/ipv6/ip_address",
        "is no IPv6 address",
        "2001:db8::192:168:0:100",
    ),
}
MORE = {"v1-gometadata-test": {"/interfaces/public/0/ipv6/gateway": "2001:db8::1"}}

# What the server adds where a document of its time has nothing, and says in its own way.
ADDED = {
    "tags": None,
    "reserved_ip": {"ipv4": {"active": False}},
    "features": {"dhcp_enabled": False},
}


def sample(name):
    return json.loads(SAMPLES[NAMES.index(name)].read_text())


def mended(name):
    """The sample with its faults, if any, put right."""
    document = copy.deepcopy(sample(name))
    if name in FAULTS:
        pointer, _, value = FAULTS[name]
        for where, what in {pointer: value, **MORE.get(name, {})}.items():
            parent, _, key = where.rpartition("/")
            at(document, parent)[key] = what
    return document


def macs(document):
    """Public first, as NICs are."""
    kinds = [kind for kind in ("public", "private") if kind in document["interfaces"]]
    return tuple(document["interfaces"][kind][0]["mac"].lower() for kind in kinds)


@pytest.fixture(scope="module")
def droplets(site):
    """A droplet for each sample, with its id and its NICs."""
    plugged = {}
    for name in NAMES:
        document = mended(name)
        plugged[name] = site.plug(int(document["droplet_id"]), macs(document))
        plugged[name].droplet.namespace.ip("address add 169.254.9.9/16 dev eth0")
    yield plugged
    for guest in plugged.values():
        site.unplug(guest)


@pytest.mark.parametrize("name", FAULTS)
def test_a_sample_that_would_break_a_client_is_refused_with_the_reason(site, droplets, name):
    pointer, reason, _ = FAULTS[name]
    with pytest.raises(Refused) as refused:
        site.register(droplets[name], sample(name))
    assert refused.value.status == 400
    told = {fault["pointer"]: fault["detail"] for fault in refused.value.faults}
    assert reason in told[f"#/metadata{pointer}"]
    assert set(told) <= {f"#/metadata{place}" for place in (pointer, *MORE.get(name, {}))}


@pytest.fixture(scope="module")
def served(site, droplets):
    """What each droplet gets of its sample."""
    for name, guest in droplets.items():
        site.register(guest, mended(name))
    for guest in droplets.values():
        site.wait_until_served(guest)
    return {name: guest.v1_json() for name, guest in droplets.items()}


@every_sample
def test_a_sample_is_served_back_equal_key_by_key(served, name):
    expected = {**ADDED, **mended(name)}
    for interfaces in expected["interfaces"].values():
        interfaces[0]["mac"] = interfaces[0]["mac"].lower()
    for key in expected.keys() | served[name].keys():
        assert served[name].get(key, "absent") == expected.get(key, "absent"), key


@pytest.fixture(scope="module")
def with_keys(site, droplets, served):
    """The same with keys that are some: those in the samples have been blanked."""
    for name, guest in droplets.items():
        document = {**mended(name), "hostname": f"{name}-with-keys"}
        site.register(guest, {**document, "public_keys": [KEY for _ in document["public_keys"]]})
    return {
        name: site.wait_until_seen(guest, f"{name}-with-keys") for name, guest in droplets.items()
    }


@every_sample
def test_the_recorded_clients_take_it(with_keys, droplets, name):
    namespace = droplets[name].droplet.namespace
    readers = [recording for recording in recordings() if not recording.writes]
    found = {str(each): replay(each, namespace, with_keys[name]) for each in readers}
    assert {client: told for client, told in found.items() if told} == {}


@every_sample
def test_cloud_init_takes_it(site, image, with_keys, droplets, name):
    guest, document = droplets[name], with_keys[name]
    machine = boot(site.lab, guest.droplet, image, smbios.tables(guest.droplet_id))
    guest.droplet.namespace.ip("link set eth0 up", "address add 169.254.9.9/16 dev eth0")
    read = datasource.read(machine)
    assert read["instance_id"] == str(guest.droplet_id)
    assert read["keys"] == document["public_keys"]
    named = {entry["name"]: entry["mac_address"] for entry in read["network"] if "name" in entry}
    kinds = {"public": "eth0", "private": "eth1"}
    assert named == {
        kinds[kind]: interfaces[0]["mac"] for kind, interfaces in document["interfaces"].items()
    }
    assert read["network"][-1] == {
        "type": "nameserver",
        "address": document["dns"]["nameservers"],
    }
