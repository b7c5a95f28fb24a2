"""Debian's clients beside cloud-init: Ignition, ohai, python-digitalocean."""

import json

import pytest

from tests.clients.conftest import BOX_MACS
from tests.clients.documents import whole

pytestmark = pytest.mark.root

# Where Debian's package has it: it is meant for the initramfs.
IGNITION = "/usr/lib/dracut/modules.d/30ignition/ignition"
CONFIG = {
    "ignition": {"version": "3.3.0"},
    "storage": {"files": [{"path": "/etc/from-ignition", "contents": {"source": "data:,hello"}}]},
}


def register(site, box, hostname, **more):
    document = whole(box.guest.droplet_id, BOX_MACS, 3, hostname=hostname, **more)
    document = {key: value for key, value in document.items() if value is not None}
    site.register(box.guest, document)
    site.wait_until_seen(box.guest, hostname)
    return document


def fetch(box):
    """Ignition's stage `fetch`: what it has made of the user data."""
    box.machine.run("rm", "-f", "/run/ignition.json", "/run/ignition/state")
    options = ("--platform=digitalocean", "--stage=fetch", "--log-to-stdout")
    said = box.machine.run(IGNITION, *options).stdout
    assert "Ignition finished successfully" in said
    return json.loads(box.machine.read("/run/ignition.json"))


def test_ignition_takes_its_config_from_user_data(site, box):
    register(site, box, "ignited", user_data=json.dumps(CONFIG))
    (file,) = fetch(box)["storage"]["files"]
    assert (file["path"], file["contents"]["source"]) == ("/etc/from-ignition", "data:,hello")


def test_ignition_boots_without_user_data(site, box):
    """A 404 would fail the boot, an empty body is an empty config."""
    register(site, box, "no-user-data", user_data=None)
    assert "files" not in fetch(box)["storage"]


def test_ohai_finds_the_droplet_by_its_firmware_and_reads_all_of_it(site, box):
    document = register(site, box, "chef")
    found = json.loads(box.machine.run("ohai", "digital_ocean").stdout)
    assert found == {key: value for key, value in document.items() if key != "vendor_data"}


def test_python_digitalocean_of_debian(site, box):
    document = register(site, box, "python")
    program = (
        "import json\n"
        "from digitalocean.Metadata import Metadata\n"
        "loaded = Metadata().load()\n"
        f"print(json.dumps({{key: getattr(loaded, key) for key in {list(document)}}}))"
    )
    assert json.loads(box.machine.run("python3", "-c", program).stdout) == document
