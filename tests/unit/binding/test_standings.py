"""Whether a droplet is served, and the reason an operator is told where it is not."""

import pytest

from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.standings import Standing, served, sightings, standing
from ryu_apps.binding.views import PortState, PortView, SwitchState, SwitchView
from ryu_apps.registry.claims import Claim

HERE, THERE = 0xAB, 0xCD
CLAIM = Claim(7, "tap7", "a6:a4:8e:4a:e8:70", None, 1)
SERVED = PortView(2, "tap7", "100.127.0.2", 7, PortState.SERVING)
ELSEWHERE = "droplet 7: a newer port tap7 is on switch 00000000000000cd"
DENIED = PortView(3, "tap7", "100.127.0.3", None, PortState.ERROR, ELSEWHERE, elsewhere=True)
WAITING = PortView(2, "tap7", "100.127.0.2", None, PortState.BINDING)
BROKEN = PortView(2, "tap7", "100.127.0.2", 7, PortState.ERROR, "the bridge has no port meta0")


def switch(dpid, *views, state=SwitchState.IN_SYNC, reason=None):
    feed = PortFeed(dpid, "100.127.0.0/16", 1)
    for view in views:
        feed.publish(view)
    connected = state is not SwitchState.DISCONNECTED
    return SwitchView(dpid, connected, state, reason, len(views), 0, 0, "100.127.0.0/16"), feed


def judged(*switches, claims=(CLAIM,)):
    ports = [(view, port) for view, feed in switches for port in feed.views()]
    return standing(claims, sightings(ports, {claim.port_name for claim in claims}))


@pytest.mark.parametrize(
    ("switches", "state", "reason"),
    [
        ([switch(HERE, SERVED)], Standing.SERVING, None),
        ([switch(HERE, DENIED), switch(THERE, SERVED)], Standing.SERVING, None),
        ([switch(HERE, WAITING)], Standing.BINDING, None),
        ([switch(HERE, BROKEN)], Standing.ERROR, "the bridge has no port meta0"),
        ([switch(HERE)], Standing.ABSENT, "no switch has a port tap7"),
        ([], Standing.ABSENT, "no switch has a port tap7"),
        # What was installed goes on working, but nothing new is.
        ([switch(HERE, SERVED, state=SwitchState.DISCONNECTED)], Standing.SERVING, None),
        (
            [switch(HERE, WAITING, state=SwitchState.DISCONNECTED)],
            Standing.ERROR,
            "its switch is disconnected, so nothing new is bound there",
        ),
        (
            [switch(HERE, SERVED, state=SwitchState.REFUSED, reason="zones clash")],
            Standing.ERROR,
            "its switch is refused: zones clash",
        ),
        # Another droplet has the port still: ours is on its way.
        ([switch(HERE, SERVED._replace(droplet_id=8))], Standing.BINDING, None),
    ],
)
def test_a_droplet_stands_as_its_port_does(switches, state, reason):
    told = judged(*switches)
    assert (told.state, told.reason) == (state, reason)


def test_a_claim_on_one_switch_counts_there_alone():
    claim = CLAIM._replace(dpid=THERE)
    told = judged(switch(HERE, SERVED), switch(THERE), claims=[claim])
    assert told.state is Standing.ABSENT
    assert told.reason == "switch 00000000000000cd has no port tap7"
    assert judged(switch(THERE, SERVED), claims=[claim]).ports[0].dpid == THERE


def test_the_best_port_decides_and_each_is_told():
    second = CLAIM._replace(port_name="tap7b")
    told = judged(switch(HERE, SERVED), claims=[second, CLAIM])
    assert told.state is Standing.SERVING
    assert [(port.name, port.state, port.dpid) for port in told.ports] == [
        ("tap7b", Standing.ABSENT, None),
        ("tap7", Standing.SERVING, HERE),
    ]


def test_a_droplet_without_a_claim_is_absent():
    assert judged(claims=[]).reason == "it claims no port"


def test_the_served_are_those_on_ports_that_serve():
    feeds = [switch(HERE, SERVED)[1], switch(THERE, BROKEN._replace(droplet_id=8))[1]]
    assert served(view for feed in feeds for view in feed.views()) == {7}


def test_what_another_controller_leads_is_his_to_tell():
    def elsewhere(name):
        return (THERE, "hv9:123") if name == "tap7" else None

    ports = [(view, port) for view, feed in [switch(HERE, DENIED)] for port in feed.views()]
    seen = sightings(ports, {"tap7"})
    found = standing((CLAIM,), seen, elsewhere)
    reason = "tap7 is on switch 00000000000000cd, which hv9:123 leads: ask that one"
    assert (found.state, found.reason, found.ports[0].dpid) == (Standing.ELSEWHERE, reason, THERE)
    pinned = CLAIM._replace(dpid=HERE)
    assert standing((pinned,), seen, elsewhere).state is Standing.ERROR
