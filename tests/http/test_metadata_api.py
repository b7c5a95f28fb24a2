"""DigitalOcean's API byte for byte, on raw sockets: each row that a client depends on.

The rows are those of the API's description (OpenAPI 0.1.9, the how-to) and of its clients.
"""

import json

import pytest

from tests.http.conftest import serving
from tests.http.fake_controller import port

DROPLET = "127.1.2.90"
BARE = "127.1.2.91"
TEXT = "text/plain; charset=utf-8"
KEYS = ["ssh-rsa AAAA one@example", "ssh-ed25519 BBBB two@example -os_user=core"]
INTERFACE = {
    "ipv4": {"ip_address": "104.131.20.105", "netmask": "255.255.192.0", "gateway": "104.131.0.1"},
    "ipv6": {
        "ip_address": "2604:A880:0800:0010:0000:0000:017D:2001",
        "cidr": 64,
        "gateway": "2604:A880:0800:0010:0000:0000:0000:0001",
    },
    "anchor_ipv4": {"ip_address": "10.17.0.5", "netmask": "255.255.0.0", "gateway": "10.17.0.1"},
    "mac": "04:01:2a:0f:2a:01",
    "type": "public",
}
PRIVATE = {
    "ipv4": {"ip_address": "10.132.255.113", "netmask": "255.255.0.0", "gateway": "0.0.0.0"},
    "mac": "04:01:2a:0f:2a:02",
    "type": "private",
}
DOCUMENT = {
    "hostname": "sample-droplet",
    "user_data": "#cloud-config\n",
    "vendor_data": "#cloud-config\nssh_pwauth: false\n",
    "public_keys": KEYS,
    "auth_key": "490eac0a2fc04503267ef85064407f2f",
    "region": "nyc3",
    "interfaces": {"private": [PRIVATE], "public": [INTERFACE]},
    "floating_ip": {"ipv4": {"active": True, "ip_address": "192.0.2.7"}},
    "reserved_ip": {"ipv4": {"active": False}},
    "dns": {"nameservers": ["67.207.67.2", "67.207.67.3"]},
    "tags": ["web", "db"],
    "features": {"dhcp_enabled": True},
    "modify_index": 113261986,
    "dotty_status": "running",
    "ssh_info": {"port": 22},
}
DEFAULTS = {
    "public_keys": [],
    "interfaces": {},
    "floating_ip": {"ipv4": {"active": False}},
    "reserved_ip": {"ipv4": {"active": False}},
    "dns": {"nameservers": []},
    "tags": None,
    "features": {"dhcp_enabled": False},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server that nothing here changes: a droplet with all there can be, and a bare one."""
    ports = port(602, DROPLET, 2756294, **DOCUMENT), port(603, BARE, 2756295, **DEFAULTS)
    with serving(tmp_path_factory.mktemp("api"), *ports) as made:
        yield made


def exchange(server, path, address=DROPLET, method="GET", version="1.1", headers=()):
    """One raw request: (status line, headers by lower-case name, body). Headers occur once."""
    lines = [f"{method} {path} HTTP/{version}", *headers]
    if version == "1.1":
        lines += ["Host: 169.254.169.254", "Connection: close"]
    received = server.raw("\r\n".join([*lines, "", ""]).encode("latin-1"), address)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    named = [(name.lower(), value) for name, value in (each.split(": ", 1) for each in fields)]
    assert len(dict(named)) == len(named)
    return status, dict(named), body


ROOT = (
    "id hostname user-data vendor-data public-keys region interfaces/ dns/ floating_ip/ "
    "reserved_ip/ tags/ features/"
)
TREE = {
    "": ROOT,
    "id": "2756294",
    "hostname": "sample-droplet",
    "user-data": b"#cloud-config\n",
    "vendor-data": b"#cloud-config\nssh_pwauth: false\n",
    "public-keys": "\n".join(KEYS).encode(),
    "region": "nyc3",
    "auth-token": "490eac0a2fc04503267ef85064407f2f",
    "interfaces/": "public/ private/",
    "interfaces/public/": "0/",
    "interfaces/private/": "0/",
    "interfaces/public/0/": "mac type ipv4/ ipv6/ anchor_ipv4/",
    "interfaces/public/0/mac": "04:01:2a:0f:2a:01",
    "interfaces/public/0/type": "public",
    "interfaces/public/0/ipv4/": "address netmask gateway",
    "interfaces/public/0/ipv4/address": "104.131.20.105",
    "interfaces/public/0/ipv4/netmask": "255.255.192.0",
    "interfaces/public/0/ipv4/gateway": "104.131.0.1",
    "interfaces/public/0/ipv6/": "address cidr gateway",
    "interfaces/public/0/ipv6/address": "2604:A880:0800:0010:0000:0000:017D:2001",
    "interfaces/public/0/ipv6/cidr": "64",
    "interfaces/public/0/ipv6/gateway": "2604:A880:0800:0010:0000:0000:0000:0001",
    "interfaces/public/0/anchor_ipv4/": "address netmask gateway",
    "interfaces/public/0/anchor_ipv4/address": "10.17.0.5",
    "interfaces/public/0/anchor_ipv4/netmask": "255.255.0.0",
    "interfaces/public/0/anchor_ipv4/gateway": "10.17.0.1",
    "interfaces/private/0/": "mac type ipv4/",
    "interfaces/private/0/mac": "04:01:2a:0f:2a:02",
    "interfaces/private/0/type": "private",
    "interfaces/private/0/ipv4/": "address netmask gateway",
    "interfaces/private/0/ipv4/gateway": "0.0.0.0",
    "dns/": "nameservers",
    "dns/nameservers": "67.207.67.2 67.207.67.3",
    "floating_ip/": "ipv4/",
    "floating_ip/ipv4/": "active ip_address",
    "floating_ip/ipv4/active": "true",
    "floating_ip/ipv4/ip_address": "192.0.2.7",
    "reserved_ip/": "ipv4/ ipv6/",
    "reserved_ip/ipv4/": "active",
    "reserved_ip/ipv4/active": "false",
    "reserved_ip/ipv6/active": "false",
    "tags/": "web db",
    "features/": "dhcp_enabled",
    "features/dhcp_enabled": "true",
}
BARE_TREE = {
    "": ROOT,
    "id": "2756295",
    "user-data": "",
    "vendor-data": "",
    "public-keys": "",
    "interfaces/": "",
    "dns/nameservers": "",
    "tags/": "",
    "floating_ip/ipv4/": "active",
    "floating_ip/ipv4/active": "false",
    "features/dhcp_enabled": "false",
}
# A text here has its lines between spaces; bytes are as they are.
EVERY = [(DROPLET, *each) for each in TREE.items()] + [(BARE, *each) for each in BARE_TREE.items()]


@pytest.mark.parametrize(("address", "name", "told"), EVERY, ids=lambda value: str(value)[:40])
def test_the_tree(server, address, name, told):
    """200, text/plain, the bare value: no newline after it, neither after the last of several."""
    expected = told if isinstance(told, bytes) else told.replace(" ", "\n").encode()
    status, headers, body = exchange(server, f"/metadata/v1/{name}", address)
    assert (status, headers["content-type"], body) == ("HTTP/1.1 200 OK", TEXT, expected)
    assert headers["content-length"] == str(len(expected))
    assert "transfer-encoding" not in headers
    status, of_head, nothing = exchange(server, f"/metadata/v1/{name}", address, "HEAD")
    assert (status, nothing) == ("HTTP/1.1 200 OK", b"")
    assert {**of_head, "date": ""} == {**headers, "date": ""}


@pytest.mark.parametrize("name", [each for each in TREE if each.endswith("/")] + ["../v1/"])
def test_an_index_without_its_slash(server, name):
    """301 with Location, and the listing for scripts that follow none."""
    path = "/metadata/v1" if name == "../v1/" else f"/metadata/v1/{name[:-1]}"
    status, headers, body = exchange(server, path)
    assert (status, headers["location"]) == ("HTTP/1.1 301 Moved Permanently", f"{path}/")
    assert (headers["content-type"], headers["content-length"]) == (TEXT, str(len(body)))
    assert body == exchange(server, f"{path}/")[2]


@pytest.mark.parametrize(
    "path",
    [
        "/metadata/v1/id/",
        "/metadata/v1/user-data/",
        "/metadata/v1/nothing",
        "/metadata/v1/reserved_ip/ipv4/ip_address",
        "/metadata/v1/interfaces/public/1/",
        "/metadata/v1/interfaces/private/0/ipv6/",
        "/metadata/v1/tags/web",
        "/metadata/v2/",
        "/v1.json",
        "/latest/",
        "/latest/meta-data/",
        "/latest/meta-data/instance-id",
        "/latest/dynamic/instance-identity/document",
        "/2009-04-04/meta-data/instance-id",
        "/openstack",
        "/openstack/latest/meta_data.json",
        "/computeMetadata/v1/",
        "/metadata/instance?api-version=2021-02-01",
        "/opc/v1/instance/",
        "/opc/v2/instance/",
        "/hetzner/v1/metadata",
        "/v1/appkey/droplet-auth-token",
        "/",
    ],
)
def test_not_there(server, path):
    """Among them other clouds' paths: detectors ask them side by side."""
    status, headers, body = exchange(server, path)
    assert (status, headers["content-type"]) == ("HTTP/1.1 404 Not Found", TEXT)
    assert (headers["content-length"], body) == ("13", b"404 Not Found")


def test_a_token_of_another_cloud_is_not_to_be_had(server):
    ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600"
    status, headers, _ = exchange(server, "/latest/api/token", method="PUT", headers=[ttl])
    assert status == "HTTP/1.1 405 Method Not Allowed"
    assert headers["allow"] == "GET, HEAD"


def test_the_document(server):
    """One object on one line without spaces, as application/json; keys in the captures' order."""
    status, headers, body = exchange(server, "/metadata/v1.json")
    assert (status, headers["content-type"]) == ("HTTP/1.1 200 OK", "application/json")
    assert headers["content-length"] == str(len(body))
    whole = json.loads(body)
    assert body == json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
    assert whole == {"droplet_id": 2756294, **DOCUMENT}
    captured = "droplet_id hostname user_data vendor_data public_keys auth_key region interfaces"
    captured += " floating_ip reserved_ip dns tags features modify_index dotty_status ssh_info"
    assert list(whole) == captured.split()


def test_the_document_of_a_droplet_with_nothing(server):
    """Keys there are always, and those that must be absent when there is nothing."""
    whole = json.loads(exchange(server, "/metadata/v1.json", BARE)[2])
    always = {"droplet_id": 2756295, "hostname": "host-2756295", "region": "nyc3"}
    assert whole == {**always, **DEFAULTS}
    assert type(whole["droplet_id"]) is int


@pytest.mark.parametrize("path", ["/metadata/v1/id", "/metadata/v1.json", "/metadata/v1/"])
def test_no_header_is_needed_and_none_matters(server, path):
    bare = exchange(server, path)
    for header in (
        "Accept: application/vnd.coreos.ignition+json;version=3.3.0, */*;q=0.1",
        "Accept: image/png",
        "Accept-Encoding: gzip, deflate, br",
        "Accept-Encoding: identity;q=0",
        "Range: bytes=0-1",
        "Metadata-Flavor: Google",
        "Authorization: DOMETADATA x",
        "If-Modified-Since: Sat, 29 Oct 2030 19:43:31 GMT",
        "Cookie: a=b",
        "Upgrade: h2c",
    ):
        status, headers, body = exchange(server, path, headers=[header])
        assert (status, body) == (bare[0], bare[2])
        assert headers["content-type"] == bare[1]["content-type"]


@pytest.mark.parametrize("path", ["/metadata/v1/id", "/metadata/v1.json", "/metadata/v1/tags"])
def test_the_query_is_passed_over(server, path):
    for query in ("?", "?a=b", "?recursive=true&alt=json", "?%ff", "?/../x"):
        assert exchange(server, path + query)[2] == exchange(server, path)[2]


def test_a_path_by_other_spellings(server):
    assert exchange(server, "/metadata/v1/%69d")[2] == b"2756294"
    assert exchange(server, "http://169.254.169.254/metadata/v1/id")[2] == b"2756294"
    assert exchange(server, "http://metadata.example:80/metadata/v1/id")[2] == b"2756294"


@pytest.mark.parametrize("path", ["/metadata/v1/id", "/metadata/v1.json", "/nowhere"])
def test_http_1_0_without_host_closes(server, path):
    status, headers, body = exchange(server, path, version="1.0")
    assert status.startswith("HTTP/1.0 ")
    assert headers["content-length"] == str(len(body)) == str(len(exchange(server, path)[2]))


def test_http_1_0_kept_alive(server):
    one = b"GET /metadata/v1/id HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    received = server.raw(one + b"GET /metadata/v1/region HTTP/1.0\r\n\r\n", DROPLET)
    assert received.count(b"HTTP/1.0 200 OK") == 2
    assert received.endswith(b"nyc3")


def test_http_1_1_without_host_is_400(server):
    for head in (b"", b"Host:\r\n", b"Host: \r\n"):
        request = b"GET /metadata/v1/id HTTP/1.1\r\n%sConnection: close\r\n\r\n" % head
        assert server.raw(request, DROPLET).startswith(b"HTTP/1.1 400 ")


def test_the_servers_make_is_not_told(server):
    for path in ("/metadata/v1/id", "/nowhere"):
        assert exchange(server, path)[1].get("server") == "metadata"


def test_a_walk_of_the_whole_tree(server):
    """As Puppet facts do it: every line of every index, on a connection of its own each."""
    found, ahead = {}, ["/metadata/v1/"]
    while ahead:
        path = ahead.pop()
        status, _, body = exchange(server, path)
        assert status == "HTTP/1.1 200 OK"
        found[path.removeprefix("/metadata/v1/")] = body
        if path.endswith("/") and not path.endswith("/tags/"):
            ahead += [path + entry for entry in body.decode().split("\n")]
    assert set(TREE) - set(found) == {"auth-token"}
