"""Public v1.json documents: each is registered and served back, or refused for a stated reason.

And the table of what broke the real clients (cloud-init, go-metadata, afterburn, coreos-cloudinit,
cloud-detect, csi): each change to each sample is refused, or served as if it had not been made.
"""

import copy
import json
from pathlib import Path

import pytest

from ryu_apps.registry.completion import Defaults, complete
from ryu_apps.registry.droplet import read_droplet
from ryu_apps.registry.faults import InvalidDocument

SAMPLES = {
    path.stem: json.loads(path.read_text())
    for path in (Path(__file__).parents[2] / "data" / "v1").glob("*.json")
}
REFUSED = {
    "v1-cloudinit-2015": {
        "/metadata/droplet_id": "must be a number, not a string: go-metadata fails otherwise"
    },
    "v1-gometadata-test": {
        "/metadata/interfaces/public/0/ipv6/ip_address": '"192.168.0.100" is no IPv6 address',
        "/metadata/interfaces/public/0/ipv6/gateway": '"192.168.0.1" is no IPv6 address',
    },
}
TAKEN = sorted(SAMPLES.keys() - REFUSED)
DEFAULTS = Defaults(nameservers=("192.0.2.53",))


def served(document, droplet_id=None):
    droplet_id = droplet_id or int(document["droplet_id"])
    droplet = read_droplet({"ports": [], "metadata": document}, droplet_id)
    return complete(droplet, DEFAULTS)


def test_the_samples_are_there():
    assert len(TAKEN) == 3


@pytest.mark.parametrize("name", TAKEN)
def test_a_sample_is_served_back_key_by_key(name):
    given = SAMPLES[name]
    document = served(given)
    assert {key: document[key] for key in given} == given
    assert document.keys() - given.keys() <= {"reserved_ip", "tags", "features"}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_sample_that_breaks_a_client_is_refused_with_the_reason(name):
    with pytest.raises(InvalidDocument) as refused:
        served(SAMPLES[name])
    assert {f.pointer: f.reason for f in refused.value.faults} == REFUSED[name]


def key(name, value):
    """The change that gives a key of the document another value."""
    return lambda document: document.__setitem__(name, value)


def without(name):
    """The change that leaves a key of the document out."""
    return lambda document: document.pop(name, None)


def of_type(kind, value):
    """The change of the interfaces of one type."""
    return lambda document: document["interfaces"].__setitem__(kind, value)


def nic(family, **members):
    """The change of one address family of the first public interface; None leaves a member out."""

    def change(document):
        interface = document["interfaces"]["public"][0]
        changed = {**interface.get(family, {}), **members} if members else {}
        interface[family] = {name: value for name, value in changed.items() if value is not None}

    return change


def macs_in_upper_case(document):
    for interfaces in document["interfaces"].values():
        for interface in interfaces:
            interface["mac"] = interface["mac"].upper()


def nothing(document):
    """The change that leaves all as it is."""


NIC = "interfaces/public/0"
NAMESERVERS = key("dns", {"nameservers": ["192.0.2.53"]})
STRING_CIDR = {"ip_address": "2001:db8::2", "cidr": "64", "gateway": "2001:db8::1"}

# Who broke on what, and where it is refused, or instead of which change it is served.
BREAKS = [
    ("go-metadata: newline after the hostname", key("hostname", "web\n"), "hostname"),
    ("go-metadata, csi: newline after the region", key("region", "nyc3\n"), "region"),
    ("nomad: region empty", key("region", ""), "region"),
    ("go-metadata, cloud-detect: id a string", key("droplet_id", "7"), "droplet_id"),
    ("afterburn: public_keys null", key("public_keys", None), key("public_keys", [])),
    ("afterburn: public_keys absent", without("public_keys"), key("public_keys", [])),
    ("cloud-init: private []", of_type("private", []),
     lambda document: document["interfaces"].pop("private", None)),
    ("cloud-init: private null", of_type("private", None),
     lambda document: document["interfaces"].pop("private", None)),
    ("cloud-init: a further type []", of_type("vpc", []), nothing),
    ("cloud-init: a further type null", of_type("vpc", None), nothing),
    ("cloud-init: a type no array", of_type("private", {}), "interfaces/private"),
    ("afterburn: ipv6 {}", nic("ipv6"),
     lambda document: document["interfaces"]["public"][0].pop("ipv6", None)),
    ("afterburn: anchor without gateway", nic("anchor_ipv4", gateway=None),
     f"{NIC}/anchor_ipv4/gateway"),
    ("afterburn: anchor's gateway empty", nic("anchor_ipv4", gateway=""),
     f"{NIC}/anchor_ipv4/gateway"),
    ("afterburn: no gateway", nic("ipv4", gateway=None), f"{NIC}/ipv4/gateway"),
    ("afterburn: gateway empty", nic("ipv4", gateway=""), f"{NIC}/ipv4/gateway"),
    ("go-metadata, afterburn, coreos-cloudinit: cidr a string", nic("ipv6", **STRING_CIDR),
     f"{NIC}/ipv6/cidr"),
    ("cloud-init: MACs in upper case", macs_in_upper_case, nothing),
    ("cloud-init, afterburn: no dns", without("dns"), NAMESERVERS),
    ("afterburn: nameservers null", key("dns", {"nameservers": None}), NAMESERVERS),
]  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize(("what", "change", "outcome"), BREAKS, ids=[row[0] for row in BREAKS])
def test_no_change_that_broke_a_client_is_served(what, change, outcome, name):
    changed, expected = (copy.deepcopy(SAMPLES[name]) for _ in range(2))
    change(changed)
    if isinstance(outcome, str):
        with pytest.raises(InvalidDocument) as refused:
            served(changed, SAMPLES[name]["droplet_id"])
        assert [fault.pointer for fault in refused.value.faults] == [f"/metadata/{outcome}"]
    else:
        outcome(expected)
        assert served(changed) == served(expected)


HARMLESS = {
    "tags null": key("tags", None),
    "user_data null": key("user_data", None),
    "user_data empty": key("user_data", ""),
    "unknown keys": key("unknown", {"kept": []}),
    "gateway 0.0.0.0": nic("ipv4", gateway="0.0.0.0"),
    "no floating_ip": without("floating_ip"),
    "no reserved_ip": without("reserved_ip"),
    "no features": without("features"),
}


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_breaks_nobody_is_taken(change, name):
    document = copy.deepcopy(SAMPLES[name])
    change(document)
    assert served(document)["floating_ip"] == {"ipv4": {"active": False}}
