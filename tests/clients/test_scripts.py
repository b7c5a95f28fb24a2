"""Shell lines as they stand in public scripts and how-tos, run by Debian's sh, curl and jq."""

import gzip
from http import HTTPStatus

import pytest

from tests.clients.conftest import BOX_MACS
from tests.clients.documents import KEY, OTHER_KEY, whole

pytestmark = pytest.mark.root

PREAMBLE = "M=http://169.254.169.254/metadata/v1\n"

LINES = {
    # Install scripts: the bare value, put into a string or compared.
    "id": ('echo "[$(curl -s $M/id)]"', "[7900003]"),
    "hostname": ("curl -fsS $M/hostname", "web-3.example.com"),
    "region compared": ('[ "$(curl -s $M/region)" = nyc3 ] && echo same', "same"),
    "public address": ("curl -s $M/interfaces/public/0/ipv4/address", "203.0.113.3"),
    "private address": ("PRIVATE=`curl -sL $M/interfaces/private/0/ipv4/address`; echo $PRIVATE",
                        "10.132.0.3"),
    "public address by IPv6": ("curl -s $M/interfaces/public/0/ipv6/address",
                               "2001:0DB8:0000:0000:0000:0000:0000:0003"),
    "mask to prefix": ("python3 -c \"import ipaddress; print(ipaddress.ip_network('0.0.0.0/'"
                       "+'$(curl -s $M/interfaces/public/0/ipv4/netmask)').prefixlen)\"", "24"),
    "IPv6 prefix": ("echo $(($(curl -s $M/interfaces/public/0/ipv6/cidr) + 0))", "64"),
    "interface by MAC": (
        "ip -o link | grep -i $(curl -s $M/interfaces/public/0/mac) | cut -d: -f2 | cut -d@ -f1",
        " eth0",
    ),
    # The Reserved IP how-to: answers leave by the anchor's gateway.
    "anchor gateway": ("curl -s $M/interfaces/public/0/anchor_ipv4/gateway", "10.17.0.1"),
    "anchor address": ("curl -s $M/interfaces/public/0/anchor_ipv4/address", "10.17.0.3"),
    # The keepalived how-to.
    "floating address active": (
        'HAS=$(curl -s $M/floating_ip/ipv4/active); if [ $HAS = "false" ]; then echo take; '
        "else echo have; fi",
        "have",
    ),
    "floating address": ("curl -s $M/floating_ip/ipv4/ip_address", "198.51.100.7"),
    "reserved address": ("curl -s $M/reserved_ip/ipv4/ip_address", "198.51.100.7"),
    # Without the slash and without -L: the listing is the redirect's body.
    "tags unfollowed": ("curl -s $M/tags | grep -cx env:prod", "1"),
    "tags followed": ("for tag in $(curl -sL $M/tags); do echo \"<$tag>\"; done",
                      "<web>\n<env:prod>"),
    "types of interfaces": ("curl -s $M/interfaces/ | sed 's,/$,,'", "public\nprivate"),
    "resolv.conf": ("for ns in $(curl -s $M/dns/nameservers); do echo nameserver $ns; done",
                    "nameserver 198.51.100.53\nnameserver 2001:db8:51::53"),
    "authorized_keys": ("curl -s $M/public-keys", f"{KEY}\n{OTHER_KEY}"),
    "a feature": ('[ "$(curl -s $M/features/dhcp_enabled)" = true ] || echo static', "static"),
    "what there is not": ("curl -sf $M/nothing || echo none", "none"),
    "how it answered": ("curl -s -o /dev/null -w '%{http_code} %{content_type}' $M.json",
                        "200 application/json"),
    "no proxy": ("no_proxy=169.254.169.254 http_proxy=http://127.0.0.1:1 curl -s $M/id", "7900003"),
    # jq on the whole document.
    "jq id": ("curl -s $M.json | jq .droplet_id+0", "7900003"),
    "jq address": ("curl -s $M.json | jq -r '.interfaces.public[0].ipv4.ip_address'",
                   "203.0.113.3"),
    "jq tags": ("curl -s $M.json | jq -r '.tags | join(\",\")'", "web,env:prod"),
    "jq active": ("curl -s $M.json | jq -e .floating_ip.ipv4.active", "true"),
    # NixOS' digital-ocean-init.
    "nix keys": ("curl -fsSL $M.json | jq -r '.public_keys[]'", f"{KEY}\n{OTHER_KEY}"),
    "nix user data": ("curl -fsSL $M.json | jq -er .user_data", "#!/bin/sh\n"),
    "nix password": ("curl -fsSL $M.json | jq -er .auth_key", "490eac0a2fc04503267ef85064407f2f"),
    "nix vendor data": (
        "cd $(mktemp -d) && curl -fsSL $M.json | jq -r .vendor_data | munpack -tq >files && "
        "head -n 1 cloud-config vendor-script",
        "==> cloud-config <==\n#cloud-config\n\n==> vendor-script <==\n#!/bin/sh",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def shell(site, box):
    """A machine whose droplet has everything."""
    site.register(box.guest, whole(box.guest.droplet_id, BOX_MACS, 3))
    site.wait_until_seen(box.guest, "web-3.example.com")
    return box.machine


@pytest.mark.parametrize("name", LINES)
def test_line(shell, name):
    line, wanted = LINES[name]
    assert shell.run("sh", "-c", PREAMBLE + line).stdout.rstrip("\n") == wanted.rstrip("\n")


def test_user_data_that_is_no_text(site, box):
    """Compressed user data is what the leaf is for: JSON cannot carry it."""
    packed = gzip.compress(b"#!/bin/sh\necho unpacked\n")
    site.register(box.guest, {"region": "nyc3", "hostname": "packed"}, user_data=packed)
    site.wait_until_seen(box.guest, "packed")
    line = "curl -s http://169.254.169.254/metadata/v1/user-data | gunzip | sh"
    assert box.machine.run("sh", "-c", line).stdout == "unpacked\n"


def test_no_user_data(site, box):
    """The leaf is there and empty; the key is not, so that jq -e can tell."""
    site.register(box.guest, {"region": "nyc3", "hostname": "without"})
    site.wait_until_seen(box.guest, "without")
    answer = box.guest.get("/metadata/v1/user-data")
    assert (answer.status, answer.body) == (HTTPStatus.OK, b"")
    line = "curl -fsSL http://169.254.169.254/metadata/v1.json | jq -er .user_data"
    assert box.machine.run("sh", "-c", line, check=False).returncode == 1


@pytest.mark.parametrize(
    "path",
    [
        "/latest/meta-data/",
        "/latest/dynamic/instance-identity/document",
        "/latest/user-data",
        "/2009-04-04/meta-data/instance-id",
        "/openstack",
        "/openstack/latest/meta_data.json",
        "/computeMetadata/v1/instance/id",
        "/metadata/instance?api-version=2017-12-01",
        "/opc/v1/instance/",
        "/opc/v2/instance/",
        "/hetzner/v1/metadata",
        "/v1.json",
        "/v1/",
        "/",
    ],
)
def test_other_clouds_paths_are_not_there(web, path):
    assert web.get(path).status == HTTPStatus.NOT_FOUND


def test_no_session_token_is_to_be_had(web):
    """EC2's, which its clients ask for before anything else; any refusal will do."""
    ttl = ("--request", "PUT", "--header", "X-aws-ec2-metadata-token-ttl-seconds: 60")
    assert web.droplet.get("/latest/api/token", *ttl).status in range(400, 500)
