"""Watch events and the view they build."""

import base64

import pytest

from metadata_http.access import Options
from metadata_http.identity import Verdict, identify
from metadata_http.view import EventError, Following, advance, snapshot, taken_away

BEGIN = {
    "event": "snapshot",
    "dpid": "00000000000000a1",
    "revision": 10,
    "hv_local_subnet": "100.127.0.0/16",
    "lease": 10,
}


def port(ofport=602, address="100.127.2.90", droplet_id=7, *, name="tap7", binding=1, **given):
    droplet = None if droplet_id is None else {"metadata": {"hostname": "h"}, **given}
    return {
        "ofport": ofport,
        "name": name,
        "hv_local_ip": address,
        "droplet_id": droplet_id,
        "binding": binding,
        "state": "serving",
        "droplet": droplet,
    }


def put(revision, **given):
    return {"event": "port", "revision": revision, "port": port(**given)}


def in_sync(revision=10):
    return {"event": "in-sync", "revision": revision}


def follow(*events, start=None, now=0.0):
    return advance(start or Following(), events, now)


def synced(*ports):
    return follow(BEGIN, *ports, in_sync())


def test_nothing_is_served_before_the_full_view_is_in():
    assert follow(BEGIN, put(10)).view is None


def test_a_full_view_is_served_from_in_sync_on():
    following = synced(put(10))
    assert following.in_sync
    assert following.view.revision == 10
    assert following.view.by_address["100.127.2.90"].droplet.droplet_id == 7


def test_a_full_view_replaces_the_old_one_at_once():
    old = synced(put(10), put(10, ofport=1, address="100.127.0.1", droplet_id=8))
    half = follow({**BEGIN, "revision": 20}, put(20, droplet_id=9), start=old)
    assert half.view is old.view
    assert not half.in_sync
    whole = follow(in_sync(20), start=half)
    assert set(whole.view.by_address) == {"100.127.2.90"}
    assert whole.view.ports[602].droplet.droplet_id == 9


def test_a_full_view_cut_short_is_forgotten():
    old = synced(put(10))
    half = follow({**BEGIN, "revision": 20}, start=old)
    assert half.disconnected() == Following(view=old.view)


def test_a_change_replaces_its_port_and_leaves_the_old_view_whole():
    before = synced(put(10))
    after = follow(put(11, droplet_id=8, binding=2), start=before)
    assert after.view.ports[602].droplet.droplet_id == 8
    assert after.view.revision == 11
    assert before.view.ports[602].droplet.droplet_id == 7


def test_changes_since_a_known_revision_need_no_snapshot():
    old = Following(view=synced(put(10)).view)
    assert not old.in_sync
    new = follow({"event": "gone", "revision": 11, "ofport": 602}, in_sync(12), start=old)
    assert (new.in_sync, new.view.revision, dict(new.view.by_address)) == (True, 12, {})


def test_gone_for_a_port_not_there_changes_nothing():
    following = follow({"event": "gone", "revision": 11, "ofport": 5}, start=synced(put(10)))
    assert set(following.view.ports) == {602}


def test_heartbeat_and_unknown_events():
    following = follow(
        {"event": "heartbeat", "revision": 15}, {"event": "of-the-future"}, start=synced(put(10))
    )
    assert following.view.revision == 15


def test_waiting_keeps_the_old_view():
    old = synced(put(10))
    waiting = follow({"event": "waiting", "dpid": BEGIN["dpid"]}, start=old)
    assert (waiting.view, waiting.in_sync) == (old.view, False)


def test_two_ports_claiming_one_address_both_lose_it():
    following = synced(put(10), put(10, ofport=1, droplet_id=8))
    assert "100.127.2.90" not in following.view.by_address
    back = follow({"event": "gone", "revision": 11, "ofport": 1}, start=following)
    assert back.view.by_address["100.127.2.90"].droplet.droplet_id == 7


def test_a_third_that_claims_an_address_has_it_no_more_than_the_two():
    begun = synced(put(10, ofport=1), put(10, ofport=2))
    assert not begun.view.by_address
    third = follow(put(11, ofport=3), start=begun)
    assert not third.view.by_address
    gone = [{"event": "gone", "revision": 12, "ofport": n} for n in (1, 2)]
    assert [port.ofport for port in follow(*gone, start=third).view.by_address.values()] == [3]


def test_prepared_answers_live_as_long_as_the_binding_and_its_document():
    before = synced(put(10))
    droplet = before.view.ports[602].droplet
    droplet.prepared["/"] = "an answer"
    same = follow(put(11), start=before)
    assert same.view.ports[602].droplet is droplet
    for changed in (
        {"metadata": {"hostname": "other"}},
        {"user_data_base64": "AA=="},
        {"maintenance_event": "live_migrate"},
        {"formats": ["ec2"]},
        {"metadata_options": {"http_tokens": "required"}},
        {"metadata_options": {"http_endpoint": "disabled"}},
        {"droplet_id": 8},
        {"binding": 2},
        {"name": "tap8"},
    ):
        after = follow(put(11, **changed), start=before)
        assert after.view.ports[602].droplet is not droplet, changed
        assert not after.view.ports[602].droplet.prepared, changed


def test_waiting_time_counts_from_the_first_sight_also_over_a_new_snapshot():
    following = follow(BEGIN, put(10, droplet_id=None), in_sync(), now=5.0)
    again = follow(BEGIN, put(10, droplet_id=None), in_sync(), start=following, now=50.0)
    assert again.view.ports[602].unbound_since == 5.0
    other = follow(put(11, droplet_id=None, name="tap8"), start=again, now=60.0)
    assert other.view.ports[602].unbound_since == 60.0
    bound = follow(put(12, name="tap8"), start=other, now=61.0)
    assert bound.view.ports[602].unbound_since is None


def test_user_data_bytes():
    encoded = base64.b64encode(b"\xff\x00").decode()
    assert (
        synced(put(10, user_data_base64=encoded)).view.ports[602].droplet.user_data == b"\xff\x00"
    )


@pytest.mark.parametrize(
    ("given", "event", "formats"),
    [
        ({}, None, None),
        ({"maintenance_event": None, "formats": None}, None, None),
        ({"maintenance_event": "", "formats": []}, None, ()),
        ({"maintenance_event": "live_migrate", "formats": ["ec2"]}, "live_migrate", ("ec2",)),
    ],
)
def test_event_and_formats(given, event, formats):
    droplet = synced(put(10, **given)).view.ports[602].droplet
    assert (droplet.maintenance_event, droplet.formats) == (event, formats)


def test_metadata_options():
    given = {"http_tokens": "required", "http_endpoint": "disabled"}
    droplet = synced(put(10, metadata_options=given)).view.ports[602].droplet
    assert droplet.options == Options(token_required=True, endpoint_enabled=False)
    assert synced(put(10)).view.ports[602].droplet.options == Options()


def test_snapshot_rebuilds_the_view():
    view = synced(
        put(10, ofport=4, address="100.127.0.4", metadata_options={"http_tokens": "required"}),
        put(10, user_data_base64="AAA="),
        put(10, ofport=3, address="100.127.0.3", formats=["ec2"], maintenance_event="live_migrate"),
        put(10, ofport=1, address=None, droplet_id=None, name="uplink", binding=None),
    ).view
    rebuilt = follow(*snapshot(view)).view
    assert list(snapshot(rebuilt)) == list(snapshot(view))
    for ofport, port in view.ports.items():
        droplet = rebuilt.ports[ofport].droplet
        assert droplet is port.droplet is None or droplet.same_as(port.droplet)


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        7,
        {"event": "port", "revision": 11},
        {"event": "port", "revision": 11, "port": {}},
        put(11, address="10.0.0.1"),  # outside the subnet
        put(11, address="nonsense"),
        {"event": "gone", "revision": "x", "ofport": 1},
        {**BEGIN, "hv_local_subnet": "100.127.0.1/16"},
        {**BEGIN, "lease": None},
    ],
)
def test_what_cannot_be_is_the_controllers_fault(event):
    with pytest.raises(EventError):
        follow(event, start=synced(put(10)))


@pytest.mark.parametrize(
    "event", [put(1), in_sync(), {"event": "gone", "revision": 1, "ofport": 1}]
)
def test_a_change_without_a_view_is_the_controllers_fault(event):
    with pytest.raises(EventError):
        follow(event)


@pytest.mark.parametrize(
    "bad",
    [
        {"user_data_base64": "*"},
        {"metadata": ["secret"]},
        {"maintenance_event": ["secret"]},
        {"formats": "secret"},
        {"formats": [1]},
        {"metadata_options": "secret"},
        {"metadata_options": {"http_tokens": "secret"}},
        {"metadata_options": {"http_endpoint": ["secret"]}},
    ],
)
def test_one_bad_record_costs_its_own_port_only(bad):
    following = synced(put(10, **bad), put(10, ofport=1, address="100.127.0.1", droplet_id=8))
    caller = identify(following.view, "100.127.2.90", certain=True, now=1e9, grace=60.0)
    assert caller.verdict is Verdict.WAIT
    assert "droplet 7" in caller.reason
    assert "secret" not in caller.reason
    assert following.view.by_address["100.127.0.1"].droplet.droplet_id == 8


def test_the_fault_names_no_droplets_data():
    with pytest.raises(EventError) as fault:
        follow(put(11, address="10.0.0.1", metadata={"auth_key": "secret"}), start=synced(put(10)))
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize(
    ("then", "taken"),
    [
        ({}, False),
        ({"user_data_base64": "bmV3"}, False),
        ({"droplet_id": 8}, True),
        ({"binding": 2}, False),  # a restarted controller numbers all bindings anew
        ({"name": "tap8"}, True),
        ({"droplet_id": None, "binding": None}, True),
        ({"address": "100.127.2.91"}, True),
    ],
)
def test_what_is_taken_away_is_what_changes_hands(then, taken):
    other = put(10, ofport=1, address="100.127.0.1", droplet_id=9)
    before = synced(put(10), other)
    after = follow(put(11, **then), start=before)
    found = taken_away(before.view, after.view)
    assert found == (frozenset({"100.127.2.90"}) if taken else frozenset())


def test_a_port_that_goes_is_taken_away_and_a_view_that_comes_takes_nothing():
    before = synced(put(10))
    gone = follow({"event": "gone", "revision": 11, "ofport": 602}, start=before)
    assert taken_away(before.view, gone.view) == {"100.127.2.90"}
    assert taken_away(before.view, None) == {"100.127.2.90"}
    assert taken_away(None, before.view) == frozenset()


@pytest.mark.parametrize(
    "event",
    [
        {"event": "snapshot", "revision": "<<secret>>"},
        {"event": "port", "revision": 5, "port": "<<secret>>"},
        {"event": "port", "revision": 5, "port": {"hv_local_ip": None, "ofport": "<<secret>>"}},
        {"event": "port", "port": {"hv_local_ip": None, "ofport": 1, "droplet": "<<secret>>"}},
        {"event": "gone", "ofport": "<<secret>>"},
        "<<secret>>",
    ],
)
def test_what_cannot_be_applied_is_named_without_what_is_in_it(event):
    with pytest.raises(EventError) as refused:
        advance(Following(), [event], 0.0)
    assert "cannot apply " in str(refused.value)
    assert "secret" not in str(refused.value)
