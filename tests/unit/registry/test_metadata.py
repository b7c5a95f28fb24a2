"""The rules for v1.json: each change known to break a client is refused or cannot be produced."""

import copy
from enum import Enum, auto

import pytest

from metadata_http import document as served_document
from ryu_apps.registry import completion
from ryu_apps.registry.completion import Defaults, complete
from ryu_apps.registry.droplet import read_droplet
from ryu_apps.registry.faults import InvalidDocument

GOOD = {
    "droplet_id": 320206672,
    "hostname": "debian-s-1vcpu-512mb-10gb-ams3-01",
    "user_data": "#!/bin/sh\n",
    "public_keys": ["ssh-rsa AAAA someone@example.com"],
    "region": "ams3",
    "interfaces": {
        "private": [
            {
                "ipv4": {
                    "ip_address": "10.133.0.2",
                    "netmask": "255.255.0.0",
                    "gateway": "10.133.0.1",
                },
                "mac": "2a:3c:79:3d:f3:b7",
                "type": "private",
            }
        ],
        "public": [
            {
                "ipv4": {
                    "ip_address": "128.199.52.32",
                    "netmask": "255.255.224.0",
                    "gateway": "128.199.32.1",
                },
                "ipv6": {
                    "ip_address": "2A03:B0C0:0002:00D0:0000:0000:1478:3001",
                    "cidr": 64,
                    "gateway": "2a03:b0c0:2:d0::1",
                },
                "anchor_ipv4": {
                    "ip_address": "10.18.0.5",
                    "netmask": "255.255.0.0",
                    "gateway": "10.18.0.1",
                },
                "mac": "12:2f:49:0c:eb:c0",
                "type": "public",
            }
        ],
    },
    "floating_ip": {"ipv4": {"active": False}},
    "reserved_ip": {"ipv4": {"active": False}},
    "dns": {"nameservers": ["67.207.67.2", "2001:4860:4860::8844"]},
    "tags": ["label123"],
    "features": {"dhcp_enabled": False},
    "modify_index": 113261986,
    "dotty_status": "running",
    "ssh_info": {"port": 22},
}
DEFAULTS = Defaults(nameservers=("192.0.2.53",))


class _Absent(Enum):
    """No value at all; one whose name, and so the test's, is the same in every process."""

    ABSENT = auto()


ABSENT = _Absent.ABSENT


def changed(path, value):
    """GOOD with the value at `path` replaced, or left out."""
    document = copy.deepcopy(GOOD)
    *parents, last = path.split("/")
    target = document
    for name in parents:
        target = target[int(name) if isinstance(target, list) else name]
    key = int(last) if isinstance(target, list) else last
    if value is ABSENT:
        del target[key]
    else:
        target[key] = value
    return document


def served(metadata):
    droplet = read_droplet({"ports": [], "metadata": metadata}, 320206672)
    return complete(droplet, DEFAULTS)


def at(document, path):
    for name in path.split("/"):
        if isinstance(document, dict) and name not in document:
            return ABSENT
        document = document[int(name) if isinstance(document, list) else name]
    return document


def test_a_whole_document_is_served_back_as_it_is_key_by_key_and_in_order():
    assert served(GOOD) == GOOD
    assert list(served(GOOD)) == list(GOOD)


REFUSED = [
    ("droplet_id", "320206672"),
    ("droplet_id", 5),
    ("droplet_id", True),
    ("hostname", ""),
    ("hostname", 7),
    ("hostname", "two\nlines"),
    ("hostname", "a" * 254),
    ("user_data", ["x"]),
    ("vendor_data", 1),
    ("public_keys", "ssh-rsa AAAA"),
    ("public_keys", ["ssh-rsa AAAA\nssh-rsa BBBB"], "public_keys/0"),
    ("public_keys", [""], "public_keys/0"),
    ("public_keys", [None], "public_keys/0"),
    ("auth_key", "a\nb"),
    ("region", ""),
    ("region", ABSENT),
    ("region", None),
    ("region", "ny c3"),
    ("interfaces", []),
    ("interfaces/private", {}),
    ("interfaces/private/0", None),
    ("interfaces/private/0/mac", ABSENT),
    ("interfaces/private/0/mac", "01:00:5e:00:00:01"),
    ("interfaces/private/0/type", "public"),
    ("interfaces/private/0/ipv4/gateway", ABSENT),
    ("interfaces/private/0/ipv4/gateway", ""),
    ("interfaces/private/0/ipv4/gateway", "10.133.0.256"),
    ("interfaces/private/0/ipv4/netmask", ABSENT),
    ("interfaces/private/0/ipv4/netmask", "0.0.255.255"),
    ("interfaces/private/0/ipv4/netmask", "255.0.255.0"),
    ("interfaces/private/0/ipv4/netmask", "16"),
    ("interfaces/private/0/ipv4/ip_address", "10.133.0.2/16"),
    ("interfaces/private/0/ipv4/ip_address", "::1"),
    ("interfaces/private/0/ipv4/ip_address", 180),
    ("interfaces/private/0/ipv4", "10.133.0.2"),
    ("interfaces/public/0/anchor_ipv4/gateway", ABSENT),
    ("interfaces/public/0/anchor_ipv4/gateway", ""),
    ("interfaces/public/0/ipv6/cidr", "64"),
    ("interfaces/public/0/ipv6/cidr", 129),
    ("interfaces/public/0/ipv6/cidr", True),
    ("interfaces/public/0/ipv6/cidr", ABSENT),
    ("interfaces/public/0/ipv6/gateway", ""),
    ("interfaces/public/0/ipv6/ip_address", "192.168.0.100"),
    ("interfaces/public/0/ipv6/ip_address", "fe80::1%eth0"),
    ("interfaces/vpc", [{"mac": "zz"}], "interfaces/vpc/0/mac"),
    ("floating_ip", True),
    ("floating_ip/ipv4/active", "false"),
    ("floating_ip/ipv4", {"ip_address": "192.0.2.1"}, "floating_ip/ipv4/active"),
    ("floating_ip/ipv4/active", True, "floating_ip/ipv4/ip_address"),
    ("floating_ip/ipv4/ip_address", "nowhere"),
    ("reserved_ip/ipv4", {"active": True, "ip_address": "::1"}, "reserved_ip/ipv4/ip_address"),
    ("dns", []),
    ("dns/nameservers", "8.8.8.8"),
    ("dns/nameservers", ["ns1.example.com"], "dns/nameservers/0"),
    ("tags", "label"),
    ("tags", ["a\nb"], "tags/0"),
    ("tags", ["x", " "], "tags/1"),
    ("tags", [1], "tags/0"),
    ("features", ["dhcp_enabled"]),
    ("features/dhcp_enabled", "false"),
    ("features", {"a/b": False}, "features/a~1b"),
    ("features/dhcp_enabled", None),
    ("modify_index", "113261986"),
    ("managed_keys_enabled", "yes"),
    ("dotty_keys", ["no json"], "dotty_keys/0"),
    ("dotty_keys", [{"os_user": "root"}], "dotty_keys/0"),
    ("dotty_keys", ['{"ssh_key":"ssh-rsa AAAA\\n"}'], "dotty_keys/0"),
    ("dotty_keys", ['{"ssh_key":"ssh-rsa AAAA%0A"}'], "dotty_keys/0"),
    ("dotty_keys", ['{"ttl":0}'], "dotty_keys/0"),
    ("dotty_keys", ['{"ttl":"180"}'], "dotty_keys/0"),
    ("dotty_status", 1),
    ("ssh_info", []),
    ("ssh_info/port", "22"),
    ("ssh_info/port", 0),
    ("ssh_info/port", 65536),
    ("ssh_info/port", True),
    ("ssh_info/port", None),
    ("ssh_info/host_keys", "ssh-rsa AAAA"),
    ("ssh_info/host_keys", ["ssh-rsa AAAA\n"], "ssh_info/host_keys/0"),
    ("ssh_info/host_keys", ["k"] * 17),
    ("troubleshooting_agent", "x"),
    ("troubleshooting_agent", {"investigation_uuid": 1},
     "troubleshooting_agent/investigation_uuid"),
    ("troubleshooting_agent", {"triggered_at": "now"}, "troubleshooting_agent/triggered_at"),
    ("troubleshooting_agent", {"triggered_at": "2026-13-01T00:00:00Z"},
     "troubleshooting_agent/triggered_at"),
    ("troubleshooting_agent", {"requesting": "file:/x"}, "troubleshooting_agent/requesting"),
    ("troubleshooting_agent", {"requesting": [1]}, "troubleshooting_agent/requesting/0"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=repr)
def test_what_would_break_a_client_is_refused_at_its_place(case):
    path, value, *elsewhere = case
    with pytest.raises(InvalidDocument) as refused:
        served(changed(path, value))
    pointers = [fault.pointer for fault in refused.value.faults]
    assert pointers == [f"/metadata/{elsewhere[0] if elsewhere else path}"]


NORMALISED = [
    ("public_keys", None, "public_keys", []),
    ("public_keys", ABSENT, "public_keys", []),
    ("public_keys", [" ssh-rsa AAAA \n"], "public_keys", ["ssh-rsa AAAA"]),
    ("interfaces/private", [], "interfaces/private", ABSENT),
    ("interfaces/private", None, "interfaces/private", ABSENT),
    ("interfaces/vpc", [], "interfaces/vpc", ABSENT),
    ("interfaces", None, "interfaces", {}),
    ("interfaces", ABSENT, "interfaces", {}),
    ("interfaces/public/0/ipv6", {}, "interfaces/public/0/ipv6", ABSENT),
    ("interfaces/public/0/ipv6", None, "interfaces/public/0/ipv6", ABSENT),
    ("interfaces/public/0/type", ABSENT, "interfaces/public/0/type", "public"),
    ("interfaces/public/0/mac", "12:2F:49:0C:EB:C0", "interfaces/public/0/mac",
     "12:2f:49:0c:eb:c0"),
    ("interfaces/private/0/ipv4/gateway", "0.0.0.0", "interfaces/private/0/ipv4/gateway",
     "0.0.0.0"),
    ("hostname", None, "hostname", "droplet-320206672"),
    ("hostname", ABSENT, "hostname", "droplet-320206672"),
    ("user_data", None, "user_data", ABSENT),
    ("user_data", "", "user_data", ""),
    ("vendor_data", None, "vendor_data", ABSENT),
    ("floating_ip", None, "floating_ip", {"ipv4": {"active": False}}),
    ("reserved_ip", {}, "reserved_ip", {"ipv4": {"active": False}}),
    ("reserved_ip", {"ipv6": {"active": True, "ip_address": "::2"}}, "reserved_ip",
     {"ipv4": {"active": False}, "ipv6": {"active": True, "ip_address": "::2"}}),
    ("dns", None, "dns", {"nameservers": ["192.0.2.53"]}),
    ("dns", ABSENT, "dns", {"nameservers": ["192.0.2.53"]}),
    ("dns/nameservers", None, "dns", {"nameservers": ["192.0.2.53"]}),
    ("dns/nameservers", [], "dns", {"nameservers": []}),
    ("tags", None, "tags", None),
    ("tags", ABSENT, "tags", None),
    ("tags", [], "tags", []),
    ("features", None, "features", {"dhcp_enabled": False}),
    ("features", {"vpc_peering_enabled": True}, "features",
     {"dhcp_enabled": False, "vpc_peering_enabled": True}),
    ("dotty_keys", ['{"os_user":"root","ssh_key":"ssh-rsa AAAA","ttl":180}'], "dotty_keys",
     ['{"os_user":"root","ssh_key":"ssh-rsa AAAA","ttl":180}']),
    ("dotty_status", None, "dotty_status", ABSENT),
    ("ssh_info", {"port": 22, "host_keys": None, "x": []}, "ssh_info",
     {"port": 22, "host_keys": None, "x": []}),
    ("troubleshooting_agent",
     {"investigation_uuid": "u", "triggered_at": "2026-01-31T23:59:59.5+01:00",
      "requesting": ["command:ps"]},
     "troubleshooting_agent/requesting", ["command:ps"]),
    ("droplet_id", ABSENT, "droplet_id", 320206672),
    ("unknown", {"kept": [1, None]}, "unknown", {"kept": [1, None]}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where", "expected"), NORMALISED)
def test_what_is_harmless_is_served_in_the_form_clients_take(path, value, where, expected):
    assert at(served(changed(path, value)), where) == expected


@pytest.mark.parametrize("metadata", [None, {}])
def test_the_least_document_is_served_complete(metadata):
    given = {"ports": [], "metadata": metadata}
    droplet = read_droplet(given, 5, default_region="nyc3")
    assert complete(droplet, DEFAULTS) == {
        "droplet_id": 5,
        "hostname": "droplet-5",
        "public_keys": [],
        "region": "nyc3",
        "interfaces": {},
        "floating_ip": {"ipv4": {"active": False}},
        "reserved_ip": {"ipv4": {"active": False}},
        "dns": {"nameservers": ["192.0.2.53"]},
        "tags": None,
        "features": {"dhcp_enabled": False},
    }
    with pytest.raises(InvalidDocument, match="/metadata/region: required"):
        read_droplet(given, 5)


def test_metadata_must_be_an_object():
    with pytest.raises(InvalidDocument, match="/metadata: must be an object, not an array"):
        served([GOOD])


def test_keys_are_ordered_as_in_digitaloceans_documents():
    metadata = {"zzz": 1, "region": "r", "tags": None, "hostname": "h", "modify_index": 5}
    interface = {
        "type": "public",
        "mac": "12:2f:49:0c:eb:c0",
        "ipv4": {"gateway": "192.0.2.1", "netmask": "255.255.255.0", "ip_address": "192.0.2.2"},
    }
    metadata["interfaces"] = {"public": [interface], "private": [interface | {"type": "private"}]}
    document = served(metadata)
    assert list(document)[:2] == ["droplet_id", "hostname"]
    assert list(document)[-2:] == ["modify_index", "zzz"]
    assert list(document["interfaces"]) == ["private", "public"]
    assert list(document["interfaces"]["public"][0]) == ["ipv4", "mac", "type"]
    assert list(document["interfaces"]["public"][0]["ipv4"]) == ["ip_address", "netmask", "gateway"]


def test_the_metadata_server_orders_them_alike():
    """Neither package may import the other, so the order stands in both."""
    assert served_document._KEY_ORDER == completion._ORDER


def test_user_data_that_is_no_text_is_served_as_go_would_write_it():
    given = {"ports": [], "metadata": {"region": "r"}, "user_data_base64": "H4sI/2HDqeKC"}
    document = complete(read_droplet(given, 5), DEFAULTS)
    # Each byte that is no UTF-8 by itself; the last two are a sequence cut short.
    assert document["user_data"] == "\x1f\ufffd\x08\ufffda\u00e9\ufffd\ufffd"


def test_empty_user_data_in_base64_is_none():
    given = {"ports": [], "metadata": {"region": "r"}, "user_data_base64": ""}
    assert "user_data" not in complete(read_droplet(given, 5), DEFAULTS)
