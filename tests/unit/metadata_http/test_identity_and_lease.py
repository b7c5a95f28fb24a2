"""Who asks, and until when the view may be asked."""

import pytest

from metadata_http.identity import Sight, Verdict, identify
from metadata_http.lease import Lease
from metadata_http.view import Following, advance

VIEW = advance(
    Following(),
    [
        {
            "event": "snapshot",
            "dpid": "00000000000000a1",
            "revision": 1,
            "hv_local_subnet": "100.127.0.0/16",
            "lease": 10,
        },
        *(
            {
                "event": "port",
                "revision": 1,
                "port": {
                    "ofport": ofport,
                    "name": f"tap{ofport}",
                    "hv_local_ip": address,
                    "droplet_id": droplet_id,
                    "droplet": droplet_id and {"metadata": {}},
                },
            }
            for ofport, address, droplet_id in (
                (1, "100.127.0.1", 7),
                (2, "100.127.0.2", None),
            )
        ),
        {"event": "in-sync", "revision": 1},
    ],
    now=100.0,
).view


def verdict(peer, view=VIEW, certain=True, now=100.0):
    return identify(view, peer, certain=certain, now=now, grace=60.0).verdict


def test_a_known_address_is_its_droplet():
    caller = identify(VIEW, "100.127.0.1", certain=True, now=100.0, grace=60.0)
    assert (caller.verdict, caller.droplet.droplet_id) == (Verdict.KNOWN, 7)


@pytest.mark.parametrize(
    "peer", ["100.128.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "", "100.127.0.01"]
)
def test_outside_the_subnet_is_refused_certain_or_not(peer):
    assert verdict(peer) is Verdict.REFUSED
    assert verdict(peer, certain=False) is Verdict.REFUSED


def test_an_uncertain_view_serves_nobody():
    assert verdict("100.127.0.1", certain=False) is Verdict.WAIT


def test_without_a_view_everybody_waits():
    assert verdict("100.127.0.1", view=None) is Verdict.WAIT


def test_an_address_of_no_port_waits():
    assert verdict("100.127.9.9") is Verdict.WAIT


@pytest.mark.parametrize(
    ("now", "expected"),
    [(100.0, Verdict.WAIT), (160.0, Verdict.WAIT), (160.5, Verdict.NO_DROPLET)],
)
def test_a_port_without_a_droplet_waits_for_the_grace_only(now, expected):
    assert verdict("100.127.0.2", now=now) is expected


def test_a_lease_never_acknowledged_does_not_hold():
    assert not Lease().holds(0.0)


def test_a_lease_runs_from_when_the_acknowledgement_was_sent():
    lease = Lease().acknowledged(sent_at=5.0, length=10.0)
    assert lease.holds(14.9)
    assert not lease.holds(15.0)


def test_a_dead_controller_extends_a_lease_that_holds():
    lease = Lease().acknowledged(0.0, 10.0)
    for now in range(1, 100):
        lease = lease.refused(float(now), 10.0)
        assert lease.holds(now + 1.0)


def test_a_dead_controller_does_not_revive_a_lease_that_is_over():
    lease = Lease().acknowledged(0.0, 10.0)
    assert lease.refused(10.0, 10.0) == lease
    assert Lease().refused(0.0, 10.0) == Lease()


def test_nothing_shortens_a_lease():
    lease = Lease().acknowledged(5.0, 10.0)
    assert lease.acknowledged(1.0, 10.0) == lease
    assert lease.refused(5.0, 10.0) == lease


def test_a_switch_without_controllers_extends_a_lease_from_when_it_was_seen():
    lease = Lease().acknowledged(0.0, 10.0)
    lease = lease.quiet(now=7.0, since=5.0, length=10.0)
    assert lease.holds(14.9)
    assert not lease.holds(15.0)
    assert lease.quiet(now=8.0, since=2.0, length=10.0) == lease


def test_a_switch_without_controllers_does_not_revive_a_lease_that_is_over():
    lease = Lease().acknowledged(0.0, 10.0)
    assert lease.quiet(now=10.0, since=9.0, length=10.0) == lease
    assert Lease().quiet(now=1.0, since=0.0, length=10.0) == Lease()


def test_only_the_controllers_word_makes_a_view_younger():
    lease = Lease().acknowledged(5.0, 10.0)
    assert lease.confirmed == 5.0
    assert lease.refused(6.0, 10.0).confirmed == 5.0
    assert lease.quiet(9.0, 8.0, 10.0).confirmed == 5.0
    assert lease.acknowledged(7.0, 10.0).confirmed == 7.0
    assert lease.acknowledged(4.0, 10.0).confirmed == 5.0


def seen(ports, until=1000.0, now=100.0):
    sight = Sight(ports, until)
    return identify(VIEW, "100.127.0.1", certain=True, now=now, grace=60.0, sight=sight).verdict


def test_a_port_the_switch_has_elsewhere_or_not_at_all_waits():
    assert seen({1: "tap1"}) is Verdict.KNOWN
    assert seen({1: "tap9"}) is Verdict.WAIT
    assert seen({2: "tap1"}) is Verdict.WAIT
    assert seen({}) is Verdict.WAIT


def test_what_the_switch_said_too_long_ago_counts_for_nothing():
    assert seen({1: "tap1"}, until=100.1) is Verdict.KNOWN
    assert seen({1: "tap1"}, until=100.0) is Verdict.WAIT


def test_where_nobody_can_be_asked_the_view_counts():
    assert seen(None) is Verdict.KNOWN


def test_a_port_in_doubt_is_not_told_that_it_has_no_droplet():
    sight = Sight({2: "tap9"})
    caller = identify(VIEW, "100.127.0.2", certain=True, now=1000.0, grace=60.0, sight=sight)
    assert caller.verdict is Verdict.WAIT
