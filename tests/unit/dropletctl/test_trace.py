"""The hops of dropletctl trace on what a real host does not easily show; and the probe's bytes."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from ryu_apps.dropletctl.trace import judge, packets
from ryu_apps.dropletctl.trace.values import Hop, LeftOut, Place, State
from ryu_apps.pipeline.droplet_flows import BoundPort, droplet_flows
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort

PLACE = Place(
    bridge="br0",
    datapath="netdev@ovs-netdev",
    port_name="tapext1",
    port=BoundPort(602, "a6:a4:8e:4a:e8:70", 7889371),
    meta=MetaPort(1000, "c2:91:25:64:d0:5d"),
    settings=BridgeSettings(),
)


def dump(*, without: int | None = None) -> list[str]:
    flows = droplet_flows(PLACE.settings, PLACE.meta, PLACE.port)
    return [
        f" cookie={flow.cookie:#x}, duration=9.5s, table={flow.table}, n_packets={n}, n_bytes=0, "
        f"idle_age=1, priority={int(flow.priority)},tcp actions=drop"
        for n, flow in enumerate(flows)
        if n != without
    ]


def port(state: str, reason: str | None = None) -> dict[str, object]:
    return {
        **{"ofport": 602, "name": "tapext1", "hv_local_ip": "100.127.2.90"},
        **{"droplet_id": 7889371, "state": state, "reason": reason},
    }


def test_all_flows_are_there() -> None:
    assert judge.installed(PLACE, dump()) == Hop(
        "flows", State.PASSED, "all there; connections 2, packets back 7"
    )


def test_a_flow_that_is_missing_is_named() -> None:
    hop = judge.installed(PLACE, dump(without=4))
    assert hop.state is State.DIED
    assert "table 25 priority 4010" in hop.told


def test_the_port_is_where_it_is_served() -> None:
    found = {"a": port("error", "a newer port is on b"), "b": port("serving")}
    hop = judge.on_a_switch("tapext1", found)
    assert hop.state is State.PASSED
    assert "ofport 602 of b" in hop.told


def test_the_port_is_in_error() -> None:
    hop = judge.on_a_switch("tapext1", {"a": port("error", "the switch refused it")})
    assert (hop.state, hop.told) == (
        State.DIED,
        "tapext1 on a is error: the switch refused it",
    )


def test_the_port_is_at_another_ofport() -> None:
    hop = judge.here(PLACE, 7, up=True)
    assert hop.told == "tapext1 is at ofport 7, the controller says 602"


def test_the_server_knows_somebody_else() -> None:
    answer = {"verdict": "known", "reason": "port tapext1", "droplet_id": 5}
    assert judge.server_knows(PLACE, answer).state is State.DIED
    right = {"verdict": "known", "reason": "port tapext1", "droplet_id": 7889371}
    assert judge.server_knows(PLACE, right).state is State.PASSED


def test_the_verdict_is_the_first_hop_that_fails() -> None:
    hops = [
        Hop("registry", State.PASSED, ""),
        Hop("flows", State.DIED, "gone"),
        Hop("probe", State.DIED, "of course"),
    ]
    assert judge.verdict(7, hops) == "droplet 7: its request dies at flows: gone"


def test_the_probe_is_a_sound_packet() -> None:
    for flags in (packets.SYN, packets.RST):
        frame = packets.probe(PLACE, 61234, flags)
        seen = Ether(frame)
        assert (seen.src, seen.dst) == (PLACE.port.mac, PLACE.meta.mac)
        assert (seen[IP].dst, seen[TCP].dport, seen[TCP].sport) == ("169.254.169.254", 80, 61234)
        assert int(seen[TCP].flags) == flags
        given = seen[IP].chksum, seen[TCP].chksum
        del seen[IP].chksum, seen[TCP].chksum
        again = Ether(bytes(seen))
        assert (again[IP].chksum, again[TCP].chksum) == given


def left_out(**changes: object) -> LeftOut:
    usual = {"bridge": "", "device": False, "bridges": ("br0",), "connected": True, "free": {}}
    return LeftOut(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "told", "mend"),
    [
        ({"bridge": "br0"}, "connected to no controller", "dropletctl doctor --bridge br0"),
        ({"device": True}, "on none of its bridges", "ovs-vsctl add-port br0 tapext1"),
        (
            {"free": {"eth0": "a", "tapext2": "b"}},
            "is tapext2 on b",
            'dropletctl get 7 | sed \'s/"tapext1"/"tapext2"/\' | dropletctl put 7 -',
        ),
        ({"free": {"eth0": "a"}}, "no connected switch", "run this where its VM is"),
        ({"connected": False}, "not all bridges here are connected", "dropletctl doctor"),
    ],
)
def test_a_name_that_no_switch_has(changes: dict[str, object], told: str, mend: str) -> None:
    hop = judge.nowhere(7, "tapext1", left_out(**changes))
    assert hop.state is State.DIED
    assert told in hop.told
    assert hop.mend.startswith(mend)


def test_a_port_that_another_mac_uses() -> None:
    seen = Hop("bridge", State.PASSED, "tapext1 is on br0, up")
    others = ["02:00:00:00:00:09"]
    assert judge.spoken_by(PLACE, seen, dump(), [], None) == seen
    assert judge.spoken_by(PLACE, seen, dump(), [PLACE.port.mac, *others], None) == seen
    # dump()'s flows are there since 9.5 s; others of the port may be older.
    flows = [line if "priority=4010" in line else line.replace("9.5s", "99.5s") for line in dump()]
    assert judge.spoken_by(PLACE, seen, flows, others, 60.0).state is State.DIED
    assert judge.spoken_by(PLACE, seen, dump(), others, 3.0) == seen, "it was served with its own"
    for asked_ago in (None, 60.0):
        hop = judge.spoken_by(PLACE, seen, dump(), others, asked_ago)
        assert hop.state is State.DIED
        wanted = f"tapext1 is used by {others[0]}, and is registered with {PLACE.port.mac}"
        assert hop.told == wanted
