"""EC2's and OpenStack's trees by example: the corners of what a document can say of its NICs."""

import json

import pytest

from metadata_http import ec2, formats, openstack

NET = {"netmask": "255.255.255.0"}


def nic(n, gateway="192.0.2.1", **more):
    ipv4 = {"ip_address": f"192.0.2.{n}", "gateway": gateway, **NET}
    return {"mac": f"02:00:00:00:00:{n:02x}", "ipv4": ipv4, **more}


def network(**interfaces):
    nodes = formats.tree("openstack", {"interfaces": interfaces}, 7, None, None)
    return json.loads(nodes["/openstack/latest/network_data.json"].body)


def routed(**interfaces):
    """The addresses of the networks that have a default route."""
    return [each["ip_address"] for each in network(**interfaces)["networks"] if each["routes"]]


def test_one_default_route_and_the_public_nics():
    assert routed(public=[nic(1), nic(2)], private=[nic(3)]) == ["192.0.2.1"]
    assert routed(private=[nic(3), nic(4)]) == ["192.0.2.3"]


@pytest.mark.parametrize("gateway", ["0.0.0.0", "", None])
def test_a_gateway_that_is_none(gateway):
    assert routed(public=[nic(1, gateway)], private=[nic(3)]) == []


def test_the_anchor_has_no_route():
    anchor = {"ip_address": "10.17.0.5", "gateway": "10.17.0.1", **NET}
    given = network(public=[nic(1, anchor_ipv4=anchor)])
    assert [bool(each["routes"]) for each in given["networks"]] == [True, False]


def test_ipv6_with_its_prefix_as_a_mask():
    ipv6 = {"ip_address": "2001:DB8:0:0:0:0:0:2", "cidr": 56, "gateway": "2001:db8::1"}
    (_, six) = network(public=[nic(1, ipv6=ipv6)])["networks"]
    assert (six["ip_address"], six["netmask"]) == ("2001:db8::2", "ffff:ffff:ffff:ff00::")
    assert six["routes"] == [{"network": "::", "netmask": "::", "gateway": "2001:db8::1"}]


def test_ec2_leaves_out_a_network_that_is_none():
    odd = nic(1)
    odd["ipv4"] = {**odd["ipv4"], "netmask": "255.0.255.0"}
    nodes = formats.tree("ec2", {"interfaces": {"public": [odd]}}, 7, None, None)
    at = "/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01"
    assert nodes[f"{at}/local-ipv4s"].body == b"192.0.2.1"
    assert f"{at}/subnet-ipv4-cidr-block" not in nodes


def test_ids():
    assert ec2.instance_id(7889371) == "i-007861db"
    assert ec2.instance_id(2**32 - 1) == "i-ffffffff"
    assert openstack.uuid(2**32 - 1) == "00000000-0000-4000-8000-0000ffffffff"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/metadata", "digitalocean"),
        ("/metadata/v1/id", "digitalocean"),
        ("/v1/maintenance_event", "digitalocean"),
        ("/openstack", "openstack"),
        ("/openstack/x", "openstack"),
        ("/openstackx", "ec2"),
        ("/metadatax", "ec2"),
        ("/", "ec2"),
        ("", "ec2"),
        ("*", "ec2"),
    ],
)
def test_whose_path_it_is(path, name):
    assert formats.locate(path)[0] == name
