"""Any document a registry could take, as EC2 and as OpenStack: whole, and told the same."""

import json

from hypothesis import given
from hypothesis import strategies as st

from metadata_http import ec2, formats, openstack
from tests.property.effort import effort
from tests.property.test_metadata_document import documents, user_data

patient = effort(100)


@patient
@given(documents, user_data)
def test_every_line_of_ec2s_indexes_leads_on_and_nothing_is_hidden(document, data):
    """As cloud-init walks it: `0=name` in the keys' index stands for 0/openssh-key."""
    nodes = formats.tree("ec2", document, 7, data, None)
    reached = {"/"}
    ahead = ["/latest/"]
    while ahead:
        path = ahead.pop()
        reached |= {path, path.rstrip("/")}
        for entry in nodes[path].body.decode().split("\n") if path.endswith("/") else ():
            name = f"{entry.partition('=')[0]}/" if "=" in entry else entry
            if name:
                ahead.append(path + name)
    assert set(nodes) == reached


@patient
@given(documents, user_data)
def test_ec2_tells_the_same_as_the_document(document, data):
    given_tree = formats.tree("digitalocean", document, 7, data, None)
    whole = json.loads(given_tree["/metadata/v1.json"].body)
    nodes = formats.tree("ec2", document, 7, data, None)
    at = "/latest/meta-data"
    assert nodes[f"{at}/hostname"].body.decode() == whole["hostname"]
    assert nodes[f"{at}/placement/region"].body.decode() == whole["region"]
    assert nodes[f"{at}/placement/availability-zone"].body.decode()[:-1] == whole["region"]
    user = given_tree["/metadata/v1/user-data"].body
    assert (nodes["/latest/user-data"].body if user else b"") == user
    assert ("/latest/user-data" in nodes) == bool(user)
    for n, key in enumerate(whole["public_keys"]):
        assert nodes[f"{at}/public-keys/{n}/openssh-key"].body.decode() == key.rstrip("\r\n")
    macs = {i["mac"] for each in whole["interfaces"].values() for i in each}
    index = nodes.get(f"{at}/network/interfaces/macs/")
    assert (
        {line.rstrip("/") for line in index.body.decode().split("\n")} == macs
        if macs
        else (index is None)
    )
    identity = json.loads(nodes["/latest/dynamic/instance-identity/document"].body)
    assert identity["instanceId"] == nodes[f"{at}/instance-id"].body.decode() == "i-00000007"


@patient
@given(documents, user_data)
def test_openstack_tells_the_same_as_the_document(document, data):
    given_tree = formats.tree("digitalocean", document, 7, data, None)
    whole = json.loads(given_tree["/metadata/v1.json"].body)
    nodes = formats.tree("openstack", document, 7, data, None)
    at = "/openstack/latest"
    meta = json.loads(nodes[f"{at}/meta_data.json"].body)
    assert meta["hostname"] == whole["hostname"]
    assert meta["uuid"] == "00000000-0000-4000-8000-000000000007"
    keys = [key.rstrip("\r\n") for key in whole["public_keys"]]
    assert list(meta["public_keys"].values()) == keys
    user = given_tree["/metadata/v1/user-data"].body
    assert (nodes[f"{at}/user_data"].body if user else b"") == user
    vendor = json.loads(nodes[f"{at}/vendor_data.json"].body)
    assert vendor == ({"cloud-init": whole["vendor_data"]} if whole.get("vendor_data") else {})


@patient
@given(documents)
def test_network_data_holds_together(document):
    """Each network has its link, and no family has two default routes."""
    nodes = formats.tree("openstack", document, 7, None, None)
    network = json.loads(nodes["/openstack/latest/network_data.json"].body)
    links = {link["id"]: link["ethernet_mac_address"] for link in network["links"]}
    assert len(links) == len(network["links"])
    defaults = []
    for each in network["networks"]:
        assert each["link"] in links
        assert each["type"] in ("ipv4", "ipv6")
        assert each["netmask"] and each["ip_address"]
        defaults += [each["type"] for _ in each["routes"]]
    assert len(defaults) == len(set(defaults))
    assert all(service["type"] == "dns" for service in network["services"])


@patient
@given(st.sampled_from([*ec2.VERSIONS, "x"]), st.text(max_size=20))
def test_dated_versions_are_one_tree(version, below):
    known = version in ec2.VERSIONS
    path = f"/{version}/{below}"
    assert ec2.canonical(path) == (f"/latest/{below}" if known else path)
    assert formats.locate(f"/openstack{path}")[0] == "openstack"


@patient
@given(st.text(max_size=40))
def test_every_path_belongs_to_one_format(path):
    name, canonical = formats.locate(path)
    assert name in formats.FORMATS
    assert formats.locate(canonical) == (name, canonical)


def test_all_openstack_versions():
    for version in openstack.VERSIONS:
        assert openstack.canonical(f"/openstack/{version}/user_data") == (
            "/openstack/latest/user_data"
        )
    assert openstack.canonical("/openstack") == "/openstack"
    assert openstack.canonical("/openstack/") == "/openstack/"
