"""cloud-init's DigitalOcean datasource as a quick form: its own code, without the boot around it.

The program runs in a machine, on Debian's unmodified package. Source of the metadata, check of the
firmware and conversion of the network are the datasource's; only the link-local address is left
out, as the machine's NIC already has one.
"""

import json
from typing import Any

from tests.clients.machine import Machine

_PROGRAM = """
import json
from cloudinit import distros, helpers
from cloudinit.sources.DataSourceDigitalOcean import DataSourceDigitalOcean

config = {"datasource": {"DigitalOcean": {"use_ip4LL": False, "retries": 0}}}
paths = helpers.Paths({"cloud_dir": "/var/lib/cloud", "run_dir": "/run/cloud-init"})
source = DataSourceDigitalOcean(config, distros.fetch("debian")("debian", {}, paths), paths)
assert source.get_data(), "not on DigitalOcean"
network = source.network_config["config"] if source.metadata["interfaces"] else None
print(json.dumps({
    "instance_id": source.get_instance_id(),
    "hostname": str(source.get_hostname(fqdn=True).hostname),
    "keys": source.get_public_ssh_keys(),
    "region": source.availability_zone,
    "user_data": source.get_userdata_raw(),
    "vendor_data": source.get_vendordata_raw(),
    "network": network,
}))
"""


def read(machine: Machine) -> dict[str, Any]:
    """What cloud-init has read of the machine's droplet. Raises CommandFailed where it cannot."""
    return json.loads(machine.run("python3", "-c", _PROGRAM).stdout)
