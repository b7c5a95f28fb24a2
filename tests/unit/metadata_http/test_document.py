"""The tree and v1.json, path by path, as DigitalOcean's clients know them."""

import json
from pathlib import Path

import pytest

from metadata_http.document import JSON, TEXT, served, tree, v1_json

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "v1").glob("*.json"))

DROPLET = {
    "droplet_id": 2756294,
    "hostname": "sample-droplet",
    "user_data": "#cloud-config\n",
    "vendor_data": "#cloud-config\nssh_pwauth: false\n",
    "public_keys": ["ssh-rsa AAAA one@example", "ssh-ed25519 BBBB two@example -os_user=core"],
    "auth_key": "490eac0a2fc04503267ef85064407f2f",
    "region": "nyc3",
    "interfaces": {
        "private": [
            {
                "ipv4": {
                    "ip_address": "10.132.255.113",
                    "netmask": "255.255.0.0",
                    "gateway": "10.132.0.1",
                },
                "mac": "04:01:2a:0f:2a:02",
                "type": "private",
            }
        ],
        "public": [
            {
                "ipv4": {
                    "ip_address": "104.131.20.105",
                    "netmask": "255.255.192.0",
                    "gateway": "104.131.0.1",
                },
                "ipv6": {
                    "ip_address": "2604:A880:0800:0010:0000:0000:017D:2001",
                    "cidr": 64,
                    "gateway": "2604:A880:0800:0010:0000:0000:0000:0001",
                },
                "anchor_ipv4": {
                    "ip_address": "10.17.0.5",
                    "netmask": "255.255.0.0",
                    "gateway": "10.17.0.1",
                },
                "mac": "04:01:2A:0F:2A:01",
                "type": "public",
            }
        ],
    },
    "floating_ip": {"ipv4": {"ip_address": "192.0.2.7", "active": True}},
    "reserved_ip": {
        "ipv4": {"ip_address": "192.0.2.7", "active": True},
        "ipv6": {"active": False},
    },
    "dns": {"nameservers": ["67.207.67.2", "67.207.67.3"]},
    "tags": ["web", "env:prod"],
    "features": {"dhcp_enabled": False, "vpc_peering_enabled": True},
    "modify_index": 113261986,
}

PUBLIC = "/metadata/v1/interfaces/public/0"
PRIVATE = "/metadata/v1/interfaces/private/0"
BODIES = {
    "/metadata/": "v1/\nv1.json",
    "/metadata/v1/": "id\nhostname\nuser-data\nvendor-data\npublic-keys\nregion\ninterfaces/\n"
    "dns/\nfloating_ip/\nreserved_ip/\ntags/\nfeatures/",
    "/metadata/v1/id": "2756294",
    "/metadata/v1/hostname": "sample-droplet",
    "/metadata/v1/user-data": "#cloud-config\n",
    "/metadata/v1/vendor-data": "#cloud-config\nssh_pwauth: false\n",
    "/metadata/v1/public-keys": "ssh-rsa AAAA one@example\n"
    "ssh-ed25519 BBBB two@example -os_user=core",
    "/metadata/v1/region": "nyc3",
    "/metadata/v1/auth-token": "490eac0a2fc04503267ef85064407f2f",
    "/v1/maintenance_event": "",
    "/metadata/v1/interfaces/": "public/\nprivate/",
    "/metadata/v1/interfaces/public/": "0/",
    "/metadata/v1/interfaces/private/": "0/",
    f"{PUBLIC}/": "mac\ntype\nipv4/\nipv6/\nanchor_ipv4/",
    f"{PUBLIC}/mac": "04:01:2a:0f:2a:01",
    f"{PUBLIC}/type": "public",
    f"{PUBLIC}/ipv4/": "address\nnetmask\ngateway",
    f"{PUBLIC}/ipv4/address": "104.131.20.105",
    f"{PUBLIC}/ipv4/netmask": "255.255.192.0",
    f"{PUBLIC}/ipv4/gateway": "104.131.0.1",
    f"{PUBLIC}/ipv6/": "address\ncidr\ngateway",
    f"{PUBLIC}/ipv6/address": "2604:A880:0800:0010:0000:0000:017D:2001",
    f"{PUBLIC}/ipv6/cidr": "64",
    f"{PUBLIC}/ipv6/gateway": "2604:A880:0800:0010:0000:0000:0000:0001",
    f"{PUBLIC}/anchor_ipv4/": "address\nnetmask\ngateway",
    f"{PUBLIC}/anchor_ipv4/address": "10.17.0.5",
    f"{PUBLIC}/anchor_ipv4/netmask": "255.255.0.0",
    f"{PUBLIC}/anchor_ipv4/gateway": "10.17.0.1",
    f"{PRIVATE}/": "mac\ntype\nipv4/",
    f"{PRIVATE}/mac": "04:01:2a:0f:2a:02",
    f"{PRIVATE}/type": "private",
    f"{PRIVATE}/ipv4/": "address\nnetmask\ngateway",
    f"{PRIVATE}/ipv4/address": "10.132.255.113",
    f"{PRIVATE}/ipv4/netmask": "255.255.0.0",
    f"{PRIVATE}/ipv4/gateway": "10.132.0.1",
    "/metadata/v1/dns/": "nameservers",
    "/metadata/v1/dns/nameservers": "67.207.67.2\n67.207.67.3",
    "/metadata/v1/floating_ip/": "ipv4/",
    "/metadata/v1/floating_ip/ipv4/": "active\nip_address",
    "/metadata/v1/floating_ip/ipv4/active": "true",
    "/metadata/v1/floating_ip/ipv4/ip_address": "192.0.2.7",
    "/metadata/v1/reserved_ip/": "ipv4/\nipv6/",
    "/metadata/v1/reserved_ip/ipv4/": "active\nip_address",
    "/metadata/v1/reserved_ip/ipv4/active": "true",
    "/metadata/v1/reserved_ip/ipv4/ip_address": "192.0.2.7",
    "/metadata/v1/reserved_ip/ipv6/": "active",
    "/metadata/v1/reserved_ip/ipv6/active": "false",
    "/metadata/v1/tags/": "web\nenv:prod",
    "/metadata/v1/features/": "dhcp_enabled\nvpc_peering_enabled",
    "/metadata/v1/features/dhcp_enabled": "false",
    "/metadata/v1/features/vpc_peering_enabled": "true",
}


def test_the_tree_is_exactly_these_paths():
    assert set(tree(DROPLET, 2756294)) == {*BODIES, "/metadata/v1.json"}


@pytest.mark.parametrize("path", BODIES)
def test_body(path):
    node = tree(DROPLET, 2756294)[path]
    assert (node.body, node.content_type) == (BODIES[path].encode(), TEXT)


def test_v1_json_is_one_line_of_json_without_spaces():
    node = tree(DROPLET, 2756294)["/metadata/v1.json"]
    assert node.content_type == JSON
    assert node.body.startswith(b'{"droplet_id":2756294,"hostname":"sample-droplet","user_data":')
    assert b"\n" not in node.body
    assert json.loads(node.body) == {
        **DROPLET,
        "interfaces": {
            **DROPLET["interfaces"],
            "public": [{**DROPLET["interfaces"]["public"][0], "mac": "04:01:2a:0f:2a:01"}],
        },
    }


def test_keys_stand_in_the_order_of_captures_whatever_order_they_came_in():
    backwards = dict(reversed([*DROPLET.items(), ("something_new", 1)]))
    assert list(served(backwards, 2756294)) == [*DROPLET, "something_new"]


# What there is to see of a droplet with the least that can be registered.
LEAST = {"hostname": "h", "region": "r"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/metadata/v1/user-data", b""),
        ("/metadata/v1/vendor-data", b""),
        ("/metadata/v1/public-keys", b""),
        ("/metadata/v1/interfaces/", b""),
        ("/metadata/v1/dns/nameservers", b""),
        ("/metadata/v1/tags/", b""),
        ("/metadata/v1/features/", b""),
        ("/metadata/v1/floating_ip/ipv4/", b"active"),
        ("/metadata/v1/floating_ip/ipv4/active", b"false"),
        ("/metadata/v1/reserved_ip/ipv6/active", b"false"),
    ],
)
def test_what_there_is_none_of(path, body):
    assert tree(LEAST, 1)[path].body == body


@pytest.mark.parametrize(
    "path",
    [
        "/metadata/v1/auth-token",
        "/metadata/v1/floating_ip/ipv4/ip_address",
        "/metadata/v1/interfaces/public/",
    ],
)
def test_what_is_not_there_at_all(path):
    assert path not in tree(LEAST, 1)


def test_the_least_document_has_what_clients_need_and_no_more():
    assert served(LEAST, 1) == {
        "droplet_id": 1,
        "hostname": "h",
        "public_keys": [],
        "region": "r",
        "interfaces": {},
        "floating_ip": {"ipv4": {"active": False}},
        "reserved_ip": {"ipv4": {"active": False}},
        "dns": {"nameservers": []},
        "tags": None,
    }


@pytest.mark.parametrize(
    ("given", "key", "shown"),
    [
        ({"droplet_id": "22532410"}, "droplet_id", 7),  # a string breaks go-metadata
        ({"public_keys": None}, "public_keys", []),  # null breaks afterburn
        ({"dns": {"nameservers": None}}, "dns", {"nameservers": []}),
        ({"interfaces": {"private": [], "public": None}}, "interfaces", {}),  # breaks cloud-init
        ({"interfaces": {"wifi": []}}, "interfaces", {}),
        (
            {"interfaces": {"public": [{"mac": "AA:BB:CC:00:11:22", "ipv6": {}}]}},
            "interfaces",
            {"public": [{"mac": "aa:bb:cc:00:11:22"}]},
        ),
    ],
)
def test_what_would_break_a_client_is_not_served(given, key, shown):
    assert served({**LEAST, **given}, 7)[key] == shown


@pytest.mark.parametrize("key", ["user_data", "vendor_data", "auth_key"])
def test_null_is_left_out(key):
    assert key not in served({**LEAST, key: None}, 1)


def test_user_data_bytes_are_untouched():
    gzip = b"\x1f\x8b\x08\x00\xff\xfe\x00\r\n"
    nodes = tree(LEAST, 1, gzip)
    assert nodes["/metadata/v1/user-data"].body == gzip
    assert json.loads(nodes["/metadata/v1.json"].body)["user_data"] == gzip.decode(
        "utf-8", "replace"
    )


def test_empty_user_data_bytes_are_no_user_data():
    assert "user_data" not in served(LEAST, 1, b"")
    assert tree(LEAST, 1, b"")["/metadata/v1/user-data"].body == b""


def test_a_lone_surrogate_is_served_as_a_replacement_character():
    nodes = tree({**LEAST, "hostname": "a\ud800b"}, 1)
    assert nodes["/metadata/v1/hostname"].body == "a\ufffdb".encode()
    assert json.loads(nodes["/metadata/v1.json"].body)["hostname"] == "a\ufffdb"


def test_a_feature_that_is_no_path_stands_only_in_json():
    document = {**LEAST, "features": {"a/b": True, "ok": True}}
    assert tree(document, 1)["/metadata/v1/features/"].body == b"ok"
    assert json.loads(v1_json(served(document, 1)))["features"] == {"a/b": True, "ok": True}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_served_key_by_key(sample):
    """Published documents come back as they are, but for what is known to break a client."""
    given = json.loads(sample.read_text())
    body = json.loads(tree(given, int(given["droplet_id"]))["/metadata/v1.json"].body)
    expected = {"tags": None, "reserved_ip": {"ipv4": {"active": False}}, **given}
    expected["droplet_id"] = int(given["droplet_id"])
    for interface in expected["interfaces"].get("public", []):
        interface["mac"] = interface["mac"].lower()
    assert body == expected


def test_there_are_samples():
    assert len(SAMPLES) == 5
