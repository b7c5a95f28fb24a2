"""PyPI's clients, from an environment of their own, in a droplet's network."""

import json

import pytest

pytestmark = pytest.mark.root

# A droplet has no name server of this machine's: with an empty resolv.conf names fail at once.
OWN_NAMES = 'mount --bind /dev/null "$(readlink -f /etc/resolv.conf)" && exec "$@"'


def run(guest, python, program):
    without_names = ("unshare", "--mount", "sh", "-c", OWN_NAMES, "sh")
    return guest.droplet.namespace.run(*without_names, python, "-c", program).stdout


def test_python_digitalocean(site, web, pypi_python):
    document = site.registered(web.droplet_id)["metadata"]
    program = (
        "import json\n"
        "from digitalocean.Metadata import Metadata\n"
        "loaded = Metadata().load()\n"
        f"print(json.dumps({{key: getattr(loaded, key) for key in {list(document)}}}))"
    )
    assert json.loads(run(web, pypi_python, program)) == document


@pytest.mark.parametrize("guest", ["web", "bare"])
def test_cloud_detect_takes_it_for_digitalocean_and_for_no_other_cloud(request, guest, pypi_python):
    """It asks for the paths of seven clouds side by side and takes the first that answers."""
    program = "import cloud_detect; print(cloud_detect.provider(timeout=30))"
    assert run(request.getfixturevalue(guest), pypi_python, program) == "do\n"


@pytest.mark.parametrize("provider", ["AWS", "Azure", "GCP", "OCI", "Vultr"])
def test_each_other_clouds_detector_says_no(web, pypi_python, provider):
    program = (
        "import asyncio, cloud_detect.providers as known\n"
        f"print(asyncio.run(known.{provider}Provider().check_metadata_server()))"
    )
    assert run(web, pypi_python, program) == "False\n"
