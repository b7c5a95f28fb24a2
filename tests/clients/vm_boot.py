"""`make test-vm`: Debian with cloud-init boots as a virtual machine from a TAP on the bridge.

Software emulation takes minutes, so no test run collects this file by itself.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import CLIENT_IMAGE
from tests.clients.documents import KEY, OTHER_KEY, whole
from tests.clients.vm import power_on

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200)]

DROPLET_ID = 7_930_001
MACS = ("a6:a4:8e:00:03:01", "a6:a4:8e:01:03:01")
BOOT_SECONDS = 1000
"""A net: about four minutes where two cores are busy."""

# Said on the console, in one write: others write there as well.
SAYS = """\
#!/bin/sh
printf '\\n@id %s\\n@name %s\\n@addresses %s\\n@keys %s\\n@vendor %s\\n@tries %s\\n@end\\n' \\
    "$(curl --silent http://169.254.169.254/metadata/v1/id)" \\
    "$(hostname --fqdn)" \\
    "$(ip -oneline address | awk '$2 ~ /^eth/ && $NF != "link" { print $2 "=" $4 }' | xargs)" \\
    "$(paste -sd, /root/.ssh/authorized_keys)" \\
    "$(cat /root/from-vendor)" \\
    "$(grep -o 'Read from http.* after .* attempts' /var/log/cloud-init.log)" >/dev/ttyS0
systemctl --no-block poweroff
"""


@pytest.fixture(scope="module")
def said(site) -> dict[str, str]:
    """What the machine said of itself at the end of its first boot."""
    done = subprocess.run(
        [CLIENT_IMAGE, "--vm"], stdout=subprocess.PIPE, text=True, check=True, timeout=900
    )
    plugged = site.plug_taps(DROPLET_ID, MACS)
    site.register(plugged, whole(DROPLET_ID, MACS, 31, user_data=SAYS))
    site.wait_until_served(plugged)
    console = site.lab.directory / "console"
    machine = power_on(site.lab, site.host.namespace, plugged, Path(done.stdout.strip()), console)
    machine.wait_until_ended(BOOT_SECONDS)
    text = console.read_text(errors="replace").replace("\r", "")
    found = dict(re.findall(r"^@(\w+) (.*)$", text, re.MULTILINE))
    assert found, text[-4000:]
    return found


def test_it_knows_itself_from_the_server(said):
    assert said["id"] == str(DROPLET_ID)
    assert said["name"] == "web-31.example.com"


def test_its_nics_are_named_and_configured(said):
    """The kernel names them otherwise; cloud-init goes by the document's MACs."""
    assert {"eth0=203.0.113.31/24", "eth0=10.17.0.31/16", "eth0=2001:db8::1f/64"} <= set(
        said["addresses"].split()
    )
    assert "eth1=10.132.0.31/16" in said["addresses"].split()


def test_its_keys_and_vendor_data_are_applied(said):
    assert sorted(said["keys"].split(",")) == sorted([KEY, OTHER_KEY])
    assert said["vendor"] == "vendor script of web-31"


def test_one_request_on_link_was_enough(said):
    assert said["tries"].endswith("after 1 attempts")
