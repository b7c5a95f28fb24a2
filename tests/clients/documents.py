"""Droplets' documents the clients' tests register: one that has everything, one with the least.

The addresses are of the networks set aside for documentation (RFC 5737, RFC 3849); keys are made
up for these tests.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "v1").glob("*.json"))
"""Documents of droplets that others have published."""

GATEWAY = "203.0.113.1"
PRIVATE_GATEWAY = "10.132.0.1"
GATEWAY_MAC = "02:00:5e:00:53:01"
NAMESERVERS = ("192.0.2.53", "2001:db8::53")
"""What the controller is configured to fill in."""

KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKPB1eOGSfGVE8OUhgtHZuyMRRDMSJHVAxO0nfPHO9hR "
    "admin@example.com"
)
OTHER_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHrmqbyNfVk6BFyMIdr0x1VbWLIy7bQF3NphGWBiYdr1 "
    "second@example.com -os_user=core"
)

# DigitalOcean's own form: MIME, its first line the content type, with a cloud-config that lets
# root in and a script.
VENDOR_DATA = """\
Content-Type: multipart/mixed; boundary="===============8645434374073493512=="
MIME-Version: 1.0

--===============8645434374073493512==
MIME-Version: 1.0
Content-Type: text/cloud-config; charset="us-ascii"
Content-Transfer-Encoding: 7bit
Content-Disposition: attachment; filename="cloud-config"

#cloud-config
disable_root: false
manage_etc_hosts: true
locale: C.UTF-8
ssh_genkeytypes: [ed25519]

--===============8645434374073493512==
MIME-Version: 1.0
Content-Type: text/x-shellscript; charset="us-ascii"
Content-Transfer-Encoding: 7bit
Content-Disposition: attachment; filename="vendor-script"

#!/bin/sh
echo "vendor script of $(hostname)" >/root/from-vendor

--===============8645434374073493512==--
"""


def interface(kind: str, mac: str, **families: Mapping[str, object]) -> dict[str, Any]:
    """An interface as v1.json has it."""
    return {**families, "mac": mac, "type": kind}


def public_interface(mac: str, number: int) -> dict[str, Any]:
    """A public interface with all families; `number` (2 to 254) tells droplets apart."""
    return interface(
        "public",
        mac,
        ipv4=_ipv4(f"203.0.113.{number}", "255.255.255.0", GATEWAY),
        ipv6={
            "ip_address": f"2001:0DB8:0000:0000:0000:0000:0000:{number:04X}",
            "cidr": 64,
            "gateway": "2001:0DB8:0000:0000:0000:0000:0000:0001",
        },
        anchor_ipv4=_ipv4(f"10.17.0.{number}", "255.255.0.0", "10.17.0.1"),
    )


def private_interface(mac: str, number: int) -> dict[str, Any]:
    """A private interface."""
    return interface(
        "private", mac, ipv4=_ipv4(f"10.132.0.{number}", "255.255.0.0", PRIVATE_GATEWAY)
    )


def whole(droplet_id: int, macs: tuple[str, str], number: int, **more: Any) -> dict[str, Any]:
    """A document with every key a droplet of today has; `more` replaces some."""
    return {
        "droplet_id": droplet_id,
        "hostname": f"web-{number}.example.com",
        "user_data": "#!/bin/sh\n",
        "vendor_data": VENDOR_DATA,
        "public_keys": [KEY, OTHER_KEY],
        "auth_key": "490eac0a2fc04503267ef85064407f2f",
        "region": "nyc3",
        "interfaces": {
            "private": [private_interface(macs[1], number)],
            "public": [public_interface(macs[0], number)],
        },
        "floating_ip": {"ipv4": {"ip_address": "198.51.100.7", "active": True}},
        "reserved_ip": {
            "ipv4": {"ip_address": "198.51.100.7", "active": True},
            "ipv6": {"ip_address": "2001:db8:51::7", "active": True},
        },
        "dns": {"nameservers": ["198.51.100.53", "2001:db8:51::53"]},
        "tags": ["web", "env:prod"],
        "features": {"dhcp_enabled": False, "vpc_peering_enabled": True},
        "modify_index": 146566526,
        "managed_keys_enabled": True,
        "dotty_keys": [
            json.dumps(
                {"os_user": "root", "ssh_key": KEY, "actor_email": "a@example.com", "ttl": 180}
            )
        ],
        **more,
    }


def _ipv4(address: str, netmask: str, gateway: str) -> dict[str, str]:
    return {"ip_address": address, "netmask": netmask, "gateway": gateway}
