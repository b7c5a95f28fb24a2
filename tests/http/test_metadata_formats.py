"""EC2's and OpenStack's trees over real sockets: where they are on, where not, as clients ask."""

import json

import pytest

from tests.http.conftest import Server
from tests.http.fake_controller import FakeController, port
from tests.http.test_metadata_api import DOCUMENT

PLAIN = "127.1.2.90"
BOTH = "127.1.2.91"
EC2_ONLY = "127.1.2.92"
BARE = "127.1.2.93"


@pytest.fixture(scope="module")
def controller():
    fake = FakeController(subnet="127.1.0.0/16").start()
    fake.put(
        port(602, PLAIN, 1, **DOCUMENT),
        port(603, BOTH, 2, formats=["digitalocean", "ec2", "openstack"], **DOCUMENT),
        port(604, EC2_ONLY, 3, formats=["ec2"], **DOCUMENT),
        port(605, BARE, 4, formats=["ec2", "openstack", "a-format-to-come"]),
    )
    yield fake
    fake.stop()


def started(folder, controller, **options):
    made = Server(folder, controller.url, **options).start()
    controller.wait_acknowledged(servers=len(controller.acknowledged) or 1)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory, controller):
    """As shipped: DigitalOcean's format alone, where a droplet has none of its own."""
    made = started(tmp_path_factory.mktemp("formats"), controller)
    yield made
    made.kill()


ASKED = {
    "digitalocean": ["/metadata/v1/id", "/metadata/v1.json", "/v1/maintenance_event"],
    "ec2": [
        "/",
        "/latest/meta-data/",
        "/2009-04-04/meta-data/instance-id",
        "/2021-03-23/meta-data/instance-id",
        "/latest/user-data",
        "/latest/dynamic/instance-identity/document",
    ],
    "openstack": [
        "/openstack",
        "/openstack/",
        "/openstack/latest/meta_data.json",
        "/openstack/2018-08-27/network_data.json",
        "/openstack/2012-08-10/user_data",
    ],
}


@pytest.mark.parametrize(
    ("address", "served"),
    [
        (PLAIN, ["digitalocean"]),
        (BOTH, ["digitalocean", "ec2", "openstack"]),
        (EC2_ONLY, ["ec2"]),
    ],
)
def test_each_droplet_is_served_in_its_formats(server, address, served):
    for name, paths in ASKED.items():
        for path in paths:
            assert server.get(path, address)[0] == (200 if name in served else 404), path


def test_the_servers_default_is_for_droplets_without_their_own(tmp_path, controller):
    made = started(tmp_path, controller, formats="digitalocean, openstack")
    try:
        assert made.get("/openstack/latest/meta_data.json", PLAIN)[0] == 200
        assert made.get("/latest/meta-data/", PLAIN)[0] == 404
        assert made.get("/openstack/latest/meta_data.json", EC2_ONLY)[0] == 404
    finally:
        made.kill()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/latest/", "dynamic/\nmeta-data/\nuser-data"),
        ("/latest", "dynamic/\nmeta-data/\nuser-data"),
        ("/2016-09-02/meta-data/instance-id", "i-00000002"),
        ("/latest/meta-data/local-hostname", "sample-droplet"),
        ("/latest/meta-data/local-ipv4", "10.132.255.113"),
        ("/latest/meta-data/public-ipv4", "104.131.20.105"),
        ("/latest/meta-data/placement/availability-zone", "nyc3a"),
        ("/latest/meta-data/placement/region", "nyc3"),
        ("/latest/meta-data/public-keys/", "0=key-0\n1=key-1"),
        ("/latest/meta-data/public-keys/0/", "openssh-key"),
        ("/latest/meta-data/public-keys/1/openssh-key", DOCUMENT["public_keys"][1]),
        ("/latest/meta-data/network/interfaces/macs/04:01:2a:0f:2a:01/device-number", "0"),
        ("/latest/meta-data/network/interfaces/macs/04%3A01%3A2a%3A0f%3A2a%3A02/mac", None),
        ("/latest/user-data", DOCUMENT["user_data"]),
        ("/openstack/latest/user_data", DOCUMENT["user_data"]),
    ],
)
def test_bodies(server, path, expected):
    status, headers, body = server.get(path, BOTH)
    assert status == 200
    assert headers["ETag"]
    assert body.decode() == (expected or "04:01:2a:0f:2a:02")


def test_json(server):
    status, headers, body = server.get("/openstack/latest/network_data.json", BOTH)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    network = json.loads(body)
    assert [link["ethernet_mac_address"] for link in network["links"]] == [
        "04:01:2a:0f:2a:01",
        "04:01:2a:0f:2a:02",
    ]
    gateways = [route["gateway"] for each in network["networks"] for route in each["routes"]]
    assert gateways == ["104.131.0.1", "2604:a880:800:10::1"]
    assert network["services"][0] == {"type": "dns", "address": "67.207.67.2"}


def test_a_droplet_with_nothing(server):
    for path in ("/latest/user-data", "/openstack/latest/user_data"):
        assert server.get(path, BARE)[0] == 404
    assert server.get("/latest/meta-data/public-keys/", BARE)[0] == 404
    assert server.get("/latest/meta-data/network/", BARE)[0] == 404
    assert server.get("/openstack/latest/vendor_data.json", BARE)[2] == b"{}"


@pytest.mark.parametrize(
    ("ttl", "expected"), [("21600", 200), ("1", 200), ("0", 400), ("21601", 400), ("x", 400)]
)
def test_a_session_token_for_clients_that_insist(server, ttl, expected):
    given = {"X-aws-ec2-metadata-token-ttl-seconds": ttl}
    status, headers, token = server.get("/latest/api/token", BOTH, "PUT", given)
    assert status == expected
    if expected == 200:
        assert headers["X-aws-ec2-metadata-token-ttl-seconds"] == ttl
        given = {"X-aws-ec2-metadata-token": token.decode()}
        assert server.get("/latest/meta-data/instance-id", BOTH, headers=given)[0] == 200


def test_a_token_is_not_for_everybody(server):
    assert server.get("/latest/api/token", BOTH, "PUT")[0] == 400
    assert server.get("/latest/api/token", PLAIN, "PUT")[0] == 405
    through_a_proxy = {"X-Forwarded-For": "x", "X-aws-ec2-metadata-token-ttl-seconds": "60"}
    assert server.get("/latest/api/token", BOTH, "PUT", through_a_proxy)[0] == 403


def test_a_report_needs_the_format_it_belongs_to(server):
    status, headers, _ = server.get("/metadata/v1.json", EC2_ONLY, "PATCH")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_change_is_in_the_next_answer_of_every_format(server, controller):
    paths = ("/latest/meta-data/hostname", "/openstack/latest/meta_data.json")
    before = [server.get(path, BOTH)[1]["ETag"] for path in paths]
    changed = {**DOCUMENT, "hostname": "other"}
    controller.put(port(603, BOTH, 2, formats=["digitalocean", "ec2", "openstack"], **changed))
    controller.wait_acknowledged()
    assert server.get(paths[0], BOTH)[2] == b"other"
    assert [server.get(path, BOTH)[1]["ETag"] for path in paths] != before
    changed = {**DOCUMENT, "hostname": "sample-droplet"}
    controller.put(port(603, BOTH, 2, formats=["digitalocean"], **changed))
    controller.wait_acknowledged()
    assert server.get(paths[0], BOTH)[0] == 404
