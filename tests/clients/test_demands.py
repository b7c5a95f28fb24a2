"""The demands of recorded clients are as strict as the clients: each known breakage breaks them.

Without this, a recorded client that takes anything would pass for ever. Needs no droplet.
"""

import copy
import json

import pytest

from tests.clients.demands import Reply, complaints
from tests.clients.documents import whole
from tests.clients.mutations import MUTATIONS
from tests.clients.recordings import recordings

GOOD = whole(7_900_001, ("a6:a4:8e:00:00:01", "a6:a4:8e:01:00:01"), 1)
READERS = {str(recording): recording for recording in recordings()}
CELLS = [
    (mutation, client)
    for mutation in MUTATIONS
    for client in mutation.breaks
    if client != "cloud-init"
]


def told(recording, document, content_type="application/json"):
    """What a client would say of a server that serves just this document."""
    body = json.dumps(document).encode()
    reply = Reply(200, {"content-type": content_type, "content-length": str(len(body))}, body)
    exchanges = [exchange for exchange in recording.exchanges if "schema" in exchange.body]
    return [
        complaint
        for exchange in exchanges
        for complaint in complaints(exchange, reply, {})
        if not complaint.endswith("yet")
    ]


@pytest.mark.parametrize("client", READERS)
def test_a_good_document_is_taken(client):
    assert told(READERS[client], copy.deepcopy(GOOD)) == []


@pytest.mark.parametrize(("mutation", "client"), CELLS, ids=lambda value: str(value))
def test_what_breaks_a_client_is_not_taken(mutation, client):
    assert told(READERS[client], mutation.change(copy.deepcopy(GOOD))) != []


@pytest.mark.parametrize(
    "mutation", [m for m in MUTATIONS if not m.breaks and m.refused is None], ids=str
)
@pytest.mark.parametrize("client", READERS)
def test_what_breaks_nobody_is_taken(mutation, client):
    assert told(READERS[client], mutation.change(copy.deepcopy(GOOD))) == []


def test_v1_json_as_text_is_not_taken():
    assert told(READERS["beats"], GOOD, "text/plain") != []


@pytest.mark.parametrize("wrong", [b"nyc3\n", b" nyc3", b""])
def test_a_leaf_is_the_bare_value(wrong):
    region = next(e for e in READERS["csi-digitalocean"].exchanges if e.path.endswith("/region"))
    assert complaints(region, Reply(200, {"content-length": "0"}, wrong), GOOD) != []


@pytest.mark.parametrize(
    ("status", "headers"),
    [(404, {"content-length": "4"}), (200, {"transfer-encoding": "chunked"}), (200, {})],
)
def test_status_and_framing_count(status, headers):
    region = next(e for e in READERS["nomad"].exchanges if e.path.endswith("/region"))
    assert complaints(region, Reply(status, headers, b"nyc3"), GOOD) != []
    assert complaints(region, Reply(200, {"content-length": "4"}, b"nyc3"), GOOD) == []
