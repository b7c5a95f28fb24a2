"""A view built change by change equals one built from scratch, and never outlives its lease."""

import json

from hypothesis import given
from hypothesis import strategies as st

from metadata_http.lease import Lease
from metadata_http.view import Following, advance, snapshot
from tests.property.effort import effort

patient = effort(100)

LENGTH = 10.0


def begin(revision):
    return {
        "event": "snapshot",
        "dpid": "00000000000000a1",
        "revision": revision,
        "hv_local_subnet": "100.127.0.0/16",
        "lease": LENGTH,
    }


@st.composite
def ports(draw):
    ofport = draw(st.integers(1, 4))
    droplet_id = draw(st.none() | st.integers(1, 3))
    address = draw(st.none() | st.integers(1, 4).map(lambda n: f"100.127.0.{n}"))
    user_data = draw(st.sampled_from([None, "AA=="]))
    droplet = {"metadata": {"hostname": f"h{droplet_id}"}, "user_data_base64": user_data}
    return {
        "ofport": ofport,
        "name": f"tap{ofport}",
        "hv_local_ip": address,
        "droplet_id": droplet_id,
        "binding": droplet_id,
        "droplet": None if droplet_id is None else droplet,
    }


changes = st.lists(st.one_of(ports(), st.integers(1, 4)), max_size=20)


def events_of(given_changes):
    for revision, change in enumerate(given_changes, start=1):
        if isinstance(change, int):
            yield {"event": "gone", "revision": revision, "ofport": change}
        else:
            yield {"event": "port", "revision": revision, "port": change}


@patient
@given(changes, st.data())
def test_change_by_change_equals_from_scratch(given_changes, data):
    """However the changes are cut into batches."""
    events = [begin(0), {"event": "in-sync", "revision": 0}, *events_of(given_changes)]
    following = Following()
    while events:
        size = data.draw(st.integers(1, len(events)))
        following = advance(following, events[:size], 0.0)
        events = events[size:]
    last = {}
    for change in given_changes:
        ofport = change if isinstance(change, int) else change["ofport"]
        last.pop(ofport, None)
        if not isinstance(change, int):
            last[ofport] = change
    revision = len(given_changes)
    scratch = [begin(revision)]
    scratch += [{"event": "port", "revision": revision, "port": port} for port in last.values()]
    scratch.append({"event": "in-sync", "revision": revision})
    rebuilt = advance(Following(), scratch, 0.0)
    assert by_ofport(following.view) == by_ofport(rebuilt.view)
    assert answers(following.view) == answers(rebuilt.view)


@patient
@given(changes)
def test_a_snapshot_rebuilds_its_view(given_changes):
    start = [begin(0), {"event": "in-sync", "revision": 0}]
    view = advance(Following(), [*start, *events_of(given_changes)], 0.0).view
    on_disk = [json.loads(json.dumps(event)) for event in snapshot(view)]
    rebuilt = advance(Following(), on_disk, 0.0).view
    assert list(snapshot(rebuilt)) == list(snapshot(view))
    assert answers(rebuilt) == answers(view)


@patient
@given(changes)
def test_no_address_is_answered_for_two_droplets(given_changes):
    start = [begin(0), {"event": "in-sync", "revision": 0}]
    view = advance(Following(), [*start, *events_of(given_changes)], 0.0).view
    for address, port in view.by_address.items():
        claims = [each for each in view.ports.values() if each.hv_local_ip == address]
        assert claims == [port]


def by_ofport(view):
    first, *ports, last = snapshot(view)
    return first, sorted(ports, key=lambda event: event["port"]["ofport"]), last


def answers(view):
    return {
        address: (port.ofport, port.droplet and port.droplet.document)
        for address, port in view.by_address.items()
    }


steps = st.lists(
    st.tuples(st.sampled_from(["acknowledge", "refused", "silence"]), st.floats(0.01, 12.0)),
    max_size=30,
)


@patient
@given(steps)
def test_a_lease_never_outlasts_what_the_controller_promised(given_steps):
    """Silent longer than a lease after the last acknowledgement, it no longer holds.

    While the controller is dead it opens nothing, so that time does not count, but once the lease
    is over it never comes back without an acknowledgement.
    """
    lease, now, last_word = Lease(), 0.0, float("-inf")
    for step, seconds in given_steps:
        now += seconds
        held = lease.holds(now)
        if step == "acknowledge":
            lease, last_word = lease.acknowledged(now, LENGTH), now
        elif step == "refused":
            lease = lease.refused(now, LENGTH)
            assert lease.holds(now) == held
            last_word = now if held else last_word
        assert lease.until <= last_word + LENGTH
