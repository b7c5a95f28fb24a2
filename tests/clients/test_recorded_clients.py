"""The clients that cannot be had here: their recorded requests, and what their parsers demand."""

import pytest

from tests.clients.documents import NAMESERVERS
from tests.clients.recordings import recordings
from tests.clients.replay import replay

pytestmark = pytest.mark.root

every_client = pytest.mark.parametrize("recording", recordings(), ids=str)


@every_client
def test_in_a_droplet_that_has_everything(site, web, recording):
    document = site.registered(web.droplet_id)["metadata"]
    assert replay(recording, web.droplet.namespace, document) == []


@every_client
def test_in_a_droplet_that_has_the_least(bare, recording):
    document = {
        "droplet_id": bare.droplet_id,
        "hostname": f"droplet-{bare.droplet_id}",
        "public_keys": [],
        "region": "nyc3",
        "floating_ip": {"ipv4": {"active": False}},
        "reserved_ip": {"ipv4": {"active": False}},
        "dns": {"nameservers": list(NAMESERVERS)},
        "tags": None,
    }
    assert replay(recording, bare.droplet.namespace, document) == []
