"""A walk of the whole tree, as a well-known Puppet fact does it: Ruby's open-uri, path by path.

The fact gives the walk one second in all. How long it takes here is said, not judged: the machine
this runs on has other things to do.
"""

import json

import pytest

from tests.clients.conftest import BOX_MACS
from tests.clients.documents import KEY, OTHER_KEY, VENDOR_DATA, whole

pytestmark = pytest.mark.root

# Tags look like an index and have nothing below them.
WALK = """
require 'json'
require 'open-uri'

BASE = 'http://169.254.169.254/metadata/v1/'

def walk(path, found)
  body = URI.open(BASE + path).read
  found[path] = body
  return if path == 'tags/' || !(path.empty? || path.end_with?('/'))
  body.split("\\n").each { |entry| walk(path + entry, found) }
end

found = {}
started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
walk('', found)
seconds = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
puts JSON.generate(found: found, seconds: seconds)
"""

PUBLIC = "interfaces/public/0/"
PRIVATE = "interfaces/private/0/"
TREE = {
    "": "id\nhostname\nuser-data\nvendor-data\npublic-keys\nregion\ninterfaces/\ndns/\n"
    "floating_ip/\nreserved_ip/\ntags/\nfeatures/",
    "id": "7900003",
    "hostname": "web-3.example.com",
    "user-data": "#!/bin/sh\n",
    "vendor-data": VENDOR_DATA,
    "public-keys": f"{KEY}\n{OTHER_KEY}",
    "region": "nyc3",
    "interfaces/": "public/\nprivate/",
    "interfaces/public/": "0/",
    PUBLIC: "mac\ntype\nipv4/\nipv6/\nanchor_ipv4/",
    f"{PUBLIC}mac": BOX_MACS[0],
    f"{PUBLIC}type": "public",
    f"{PUBLIC}ipv4/": "address\nnetmask\ngateway",
    f"{PUBLIC}ipv4/address": "203.0.113.3",
    f"{PUBLIC}ipv4/netmask": "255.255.255.0",
    f"{PUBLIC}ipv4/gateway": "203.0.113.1",
    f"{PUBLIC}ipv6/": "address\ncidr\ngateway",
    f"{PUBLIC}ipv6/address": "2001:0DB8:0000:0000:0000:0000:0000:0003",
    f"{PUBLIC}ipv6/cidr": "64",
    f"{PUBLIC}ipv6/gateway": "2001:0DB8:0000:0000:0000:0000:0000:0001",
    f"{PUBLIC}anchor_ipv4/": "address\nnetmask\ngateway",
    f"{PUBLIC}anchor_ipv4/address": "10.17.0.3",
    f"{PUBLIC}anchor_ipv4/netmask": "255.255.0.0",
    f"{PUBLIC}anchor_ipv4/gateway": "10.17.0.1",
    "interfaces/private/": "0/",
    PRIVATE: "mac\ntype\nipv4/",
    f"{PRIVATE}mac": BOX_MACS[1],
    f"{PRIVATE}type": "private",
    f"{PRIVATE}ipv4/": "address\nnetmask\ngateway",
    f"{PRIVATE}ipv4/address": "10.132.0.3",
    f"{PRIVATE}ipv4/netmask": "255.255.0.0",
    f"{PRIVATE}ipv4/gateway": "10.132.0.1",
    "dns/": "nameservers",
    "dns/nameservers": "198.51.100.53\n2001:db8:51::53",
    "floating_ip/": "ipv4/",
    "floating_ip/ipv4/": "active\nip_address",
    "floating_ip/ipv4/active": "true",
    "floating_ip/ipv4/ip_address": "198.51.100.7",
    "reserved_ip/": "ipv4/\nipv6/",
    "reserved_ip/ipv4/": "active\nip_address",
    "reserved_ip/ipv4/active": "true",
    "reserved_ip/ipv4/ip_address": "198.51.100.7",
    "reserved_ip/ipv6/": "active\nip_address",
    "reserved_ip/ipv6/active": "true",
    "reserved_ip/ipv6/ip_address": "2001:db8:51::7",
    "tags/": "web\nenv:prod",
    "features/": "dhcp_enabled\nvpc_peering_enabled",
    "features/dhcp_enabled": "false",
    "features/vpc_peering_enabled": "true",
}


def test_a_walk_finds_the_whole_tree_with_one_request_a_path(site, box, record_property, capsys):
    site.register(box.guest, whole(box.guest.droplet_id, BOX_MACS, 3))
    site.wait_until_seen(box.guest, "web-3.example.com")
    asked = requests_answered(site)
    walked = json.loads(box.machine.run("ruby", "-e", WALK).stdout)
    assert walked["found"] == TREE
    assert requests_answered(site) - asked == len(TREE)
    record_property("seconds", walked["seconds"])
    with capsys.disabled():
        print(f"\n{len(TREE)} paths walked in {walked['seconds']:.3f} s")


def requests_answered(site):
    """How many requests the metadata server has answered so far."""
    metrics = site.host.run("curl", "--silent", "http://127.0.0.1:9180/metrics").stdout
    counted = [line for line in metrics.splitlines() if line.startswith("metadata_http_answers_to")]
    return sum(float(line.split()[-1]) for line in counted)
