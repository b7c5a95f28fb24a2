"""Whatever is sent: it is refused in our words, or served in a form every known client takes."""

import ipaddress
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.registry import jsontext
from ryu_apps.registry.checks import check_address
from ryu_apps.registry.completion import Defaults, complete
from ryu_apps.registry.droplet import decode_stored, read_droplet
from ryu_apps.registry.faults import Findings, InvalidDocument, Place
from ryu_apps.registry.status import NO_STATUS, patched, read_agent_report

MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")
DEFAULTS = Defaults(nameservers=("192.0.2.53", "2001:db8::53"))

FAMILY4 = {"ip_address": "10.0.0.2", "netmask": "255.255.0.0", "gateway": "10.0.0.1"}
FAMILY6 = {"ip_address": "2001:DB8::2", "cidr": 64, "gateway": "2001:db8::1"}
GOOD = {
    "droplet_id": 7,
    "ports": [{"name": "tap7", "mac": "a6:a4:8e:4a:e8:70", "dpid": "00000000000000ab"}],
    "metadata": {
        "droplet_id": 7,
        "hostname": "h",
        "user_data": "#!/bin/sh\n",
        "vendor_data": "#cloud-config\n",
        "public_keys": ["ssh-rsa AAAA a@b"],
        "auth_key": "0" * 32,
        "region": "nyc3",
        "interfaces": {
            "private": [{"ipv4": FAMILY4, "mac": "02:00:00:00:00:01", "type": "private"}],
            "public": [
                {
                    "ipv4": FAMILY4,
                    "ipv6": FAMILY6,
                    "anchor_ipv4": FAMILY4,
                    "mac": "02:00:00:00:00:02",
                    "type": "public",
                }
            ],
        },
        "floating_ip": {"ipv4": {"ip_address": "192.0.2.1", "active": True}},
        "reserved_ip": {"ipv4": {"active": False}, "ipv6": {"active": False}},
        "dns": {"nameservers": ["192.0.2.1"]},
        "tags": ["a"],
        "features": {"dhcp_enabled": True},
        "modify_index": 1,
        "managed_keys_enabled": True,
        "dotty_keys": ['{"os_user":"root"}'],
        "dotty_status": "running",
        "ssh_info": {"port": 22},
        "unknown": [{"x": None}],
    },
    "formats": ["digitalocean", "ec2"],
    "metadata_options": {
        "http_tokens": "required",
        "http_endpoint": "enabled",
        "http_put_response_hop_limit": 2,
    },
}

near = st.sampled_from(
    [None, True, False, 0, 1, -1, 64, 2**32, 1.5, "", " ", "\n", "a\nb", "true", "64", "0.0.0.0",
     "::", "fe80::1%0", "10.0.0.1", "255.0.255.0", "02:00:00:00:00:0A", "00:00:00:00:00:00",
     "public", "private", [], {}, [None], [[]], [{}], {"": None}, {"ipv4": None}, ["a", ""],
     "\U0001f600", "\x00", "\u2028"]
)  # fmt: skip
json_values = st.recursive(
    near | st.text(max_size=20) | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(value, path=()):
    """The path of every value inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from places(item, (*path, key))


PLACES = list(places(GOOD))


def good():
    """A copy of GOOD in which no two places are the same object."""
    return json.loads(json.dumps(GOOD))


def container_of(document, path):
    """The object or array that holds the last key of `path`."""
    for key in path[:-1]:
        document = document[key]
    return document


def check_clients_take(document):
    """What the parsers of the known clients demand, each as strict as the strictest."""
    assert isinstance(document["droplet_id"], int)
    assert isinstance(document["hostname"], str) and document["hostname"]
    assert isinstance(document["region"], str) and document["region"].strip()
    for key in document["public_keys"]:
        assert isinstance(key, str) and key.strip() and key.splitlines() == [key]
    assert isinstance(document.get("user_data", ""), str)
    assert isinstance(document.get("vendor_data", ""), str)
    for kind, interfaces in document["interfaces"].items():
        assert isinstance(interfaces, list) and interfaces
        for interface in interfaces:
            check_interface(interface, kind)
    for name in ("floating_ip", "reserved_ip"):
        for version, family in ((4, "ipv4"), (6, "ipv6")):
            entry = document[name].get(family)
            assert isinstance(entry["active"], bool) if entry else family == "ipv6"
            if entry and (entry["active"] or "ip_address" in entry):
                assert ipaddress.ip_address(entry["ip_address"]).version == version
    for address in document["dns"]["nameservers"]:
        assert ipaddress.ip_address(address)
    assert all(isinstance(tag, str) and tag.strip() for tag in document["tags"] or [])
    assert all(isinstance(on, bool) for on in document["features"].values())
    assert isinstance(document.get("managed_keys_enabled", False), bool)
    assert all(isinstance(json.loads(key), dict) for key in document.get("dotty_keys", []))
    assert isinstance(document.get("dotty_status", ""), str)
    ssh_info = document.get("ssh_info", {})
    assert type(ssh_info.get("port", 22)) is int and 1 <= ssh_info.get("port", 22) <= 65535
    assert all(isinstance(key, str) for key in ssh_info.get("host_keys") or [])


def check_interface(interface, kind):
    assert MAC.fullmatch(interface["mac"])
    assert interface["type"] == kind
    for family in ("ipv4", "ipv6", "anchor_ipv4", "anchor_ipv6"):
        if family not in interface:
            continue
        value = interface[family]
        version = int(family[-1])
        assert ipaddress.ip_address(value["ip_address"]).version == version
        assert ipaddress.ip_address(value["gateway"]).version == version
        if version == 4:
            assert ipaddress.ip_network(f"0.0.0.0/{value['netmask']}").netmask == (
                ipaddress.ip_address(value["netmask"])
            )
        else:
            assert type(value["cidr"]) is int and 0 <= value["cidr"] <= 128


def refused_or_served(document):
    """Read `document`; whether it was taken. What was taken must hold all promises."""
    try:
        droplet = read_droplet(document, 7)
    except InvalidDocument as refused:
        assert refused.faults
        return False
    assert read_droplet(jsontext.parse(droplet.encode()), 7) == droplet
    assert decode_stored(droplet.encode()) == droplet
    served = complete(droplet, DEFAULTS)
    assert jsontext.parse(jsontext.encode(served)) == served
    check_clients_take(served)
    return True


def test_the_harness_takes_the_good_document_and_would_notice_a_bad_one():
    assert refused_or_served(GOOD)
    for path in (("interfaces", "public"), ("dns", "nameservers"), ("public_keys",)):
        served = complete(read_droplet(good(), 7), DEFAULTS)
        container_of(served, path)[path[-1]] = None
        try:
            check_clients_take(served)
        except (AssertionError, TypeError):
            continue
        raise AssertionError(f"{path} null went unnoticed")


@given(json_values)
def test_any_json_value(value):
    refused_or_served(value)


@given(st.dictionaries(st.sampled_from(sorted(GOOD["metadata"])), json_values, max_size=6))
def test_any_values_under_the_known_keys(metadata):
    refused_or_served({"ports": [], "metadata": {"region": "r"} | metadata})


@settings(max_examples=500)
@given(st.dictionaries(st.sampled_from(PLACES), near | json_values, min_size=1, max_size=3))
def test_a_good_document_with_some_values_replaced(changes):
    document = good()
    for path in sorted(changes, key=len, reverse=True):  # Inner before outer: all paths hold.
        container_of(document, path)[path[-1]] = changes[path]
    refused_or_served(document)


@given(st.sampled_from(PLACES))
def test_a_good_document_with_a_value_left_out(path):
    document = good()
    del container_of(document, path)[path[-1]]
    refused_or_served(document)


reports = st.fixed_dictionaries(
    {},
    optional={
        "dotty_status": near | st.just("stopped"),
        "ssh_info": json_values
        | st.fixed_dictionaries(
            {"port": near | st.integers(1, 65535)}, optional={"host_keys": json_values}
        ),
    },
)


@given(st.lists(reports | json_values, max_size=3))
def test_whatever_an_agent_reports_is_refused_or_keeps_the_document_sound(given_reports):
    droplet = read_droplet(good(), 7)
    status = NO_STATUS
    for report in given_reports:
        try:
            status = patched(status, read_agent_report(report))
        except InvalidDocument as refused:
            assert refused.faults
            continue
    served = complete(droplet, DEFAULTS, status)
    check_clients_take(served)
    untouched = served.keys() - {"dotty_status", "ssh_info"}
    before = complete(droplet, DEFAULTS)
    assert {key: served[key] for key in untouched} == {key: before[key] for key in untouched}


def array(data, piece):
    """The elements of an array that comes in pieces of so many bytes."""
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    return jsontext.array_elements(pieces, max_bytes=1000)


@given(
    st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
    st.integers(1, 50),
)
def test_any_bytes_are_one_value_or_refused_and_read_the_same_alone_and_in_a_batch(data, piece):
    try:
        value = jsontext.parse(data)
    except InvalidDocument:
        return
    assert list(array(b"[" + data + b"," + data + b"]", piece)) == [(None, value)] * 2
    if b"\n" not in data and data.strip():
        assert list(jsontext.ndjson_elements([data])) == [(1, value)]


@given(
    st.binary(max_size=100)
    | st.lists(json_values, max_size=3).map(
        lambda values: json.dumps(values, ensure_ascii=False).encode()
    ),
    st.integers(1, 20),
)
def test_any_bytes_as_a_batch(data, piece):
    try:
        elements = list(array(data, piece))
    except InvalidDocument:
        with pytest.raises(InvalidDocument):
            list(array(data, len(data) or 1))
        return
    if not any(isinstance(value, InvalidDocument) for _, value in elements):
        assert [value for _, value in elements] == json.loads(data)


octets = st.integers(0, 300).map(str) | st.text("0123456789 +-_.\u0661", max_size=4)


@given(st.lists(octets, min_size=3, max_size=5).map(".".join) | st.ip_addresses(v=4).map(str))
def test_an_ipv4_address_is_what_the_standard_library_takes_for_one(text):
    findings = Findings()
    try:
        expected = ipaddress.ip_address(text).version == 4
    except ValueError:
        expected = False
    assert check_address(text, 4, Place(findings)) == expected
    assert bool(findings.faults) != expected
