"""Each change that is known to break a client is refused at registration, or cannot be served.

Refused: 400, with the reason and the place, and what was registered before stays. Not refused:
what the droplet then gets is taken by cloud-init's own code and by every recorded client.
"""

import pytest

from ovs_metadata_client import Refused
from tests.clients import datasource
from tests.clients.conftest import BOX_MACS
from tests.clients.demands import at
from tests.clients.documents import whole
from tests.clients.mutations import MUTATIONS
from tests.clients.recordings import recordings
from tests.clients.replay import replay

pytestmark = pytest.mark.root

REFUSED = [mutation for mutation in MUTATIONS if mutation.refused]
TAKEN = [mutation for mutation in MUTATIONS if not mutation.refused]


def good(droplet_id, hostname="good"):
    return whole(droplet_id, BOX_MACS, 3, hostname=hostname)


@pytest.fixture(scope="module")
def before(site, box):
    """The good document, registered."""
    site.register(box.guest, good(box.guest.droplet_id))
    return site.wait_until_seen(box.guest, "good")


@pytest.mark.parametrize("mutation", REFUSED, ids=str)
def test_it_is_refused_with_the_reason(site, box, before, mutation):
    with pytest.raises(Refused) as refused:
        site.register(box.guest, mutation.change(good(box.guest.droplet_id)))
    assert refused.value.status == 400
    pointer, reason = mutation.refused
    told = [(fault["pointer"], fault["detail"]) for fault in refused.value.faults]
    assert [place for place, _ in told] == [f"#/metadata{pointer}"]
    assert reason in told[0][1]
    assert site.registered(box.guest.droplet_id)["metadata"] == before


@pytest.mark.parametrize("number", range(len(TAKEN)), ids=[str(mutation) for mutation in TAKEN])
def test_what_is_served_of_it_breaks_nobody(site, box, number):
    hostname = f"taken-{number}"
    change = TAKEN[number].change
    site.register(box.guest, change(good(box.guest.droplet_id, hostname)))
    served = site.wait_until_seen(box.guest, hostname)
    namespace = box.guest.droplet.namespace
    readers = [recording for recording in recordings() if not recording.writes]
    found = {str(each): replay(each, namespace, served) for each in readers}
    assert {client: told for client, told in found.items() if told} == {}
    assert datasource.read(box.machine)["hostname"] == hostname


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("/something_new", {"of": [1, None, "text"]}), ("/interfaces/public/0/speed", 10_000)],
)
def test_what_is_unknown_is_served(site, box, pointer, value):
    hostname = f"unknown{pointer.count('/')}"
    change = next(m.change for m in TAKEN if at(m.change(good(1)), pointer) == value)
    site.register(box.guest, change(good(box.guest.droplet_id, hostname)))
    assert at(site.wait_until_seen(box.guest, hostname), pointer) == value
