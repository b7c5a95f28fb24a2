"""Who asks, and until when the view may be asked."""

import pytest

from metadata_http.identity import Verdict, identify
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
