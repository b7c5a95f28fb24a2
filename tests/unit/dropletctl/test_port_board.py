"""The live table of ports: what comes first, what is counted, what is said while the stream is
away."""

from typing import Any

from ryu_apps.dropletctl.port_board import COLUMNS, PortBoard

DPID = "00000000000000aa"


def port(ofport: int, state: str = "serving", **more: Any) -> dict[str, Any]:
    droplet = {"metadata": {"hostname": f"host-{ofport}"}} if state == "serving" else None
    return {
        **{"ofport": ofport, "name": f"tap{ofport}", "hv_local_ip": f"100.127.0.{ofport}"},
        **{"droplet_id": ofport * 10, "state": state, "reason": None, "binding": 1},
        **{"droplet": droplet, **more},
    }


def board(*ports: dict[str, Any]) -> PortBoard:
    made = PortBoard(DPID)
    tell(made, "snapshot", 0.0, dpid=DPID, revision=1, hv_local_subnet="100.127.0.0/16")
    for each in ports:
        tell(made, "port", 0.0, revision=1, port=each)
    tell(made, "in-sync", 0.0, revision=1)
    return made


def tell(to: PortBoard, event: str, now: float, **members: Any) -> None:
    to.take({"event": event, **members}, now)  # type: ignore[misc]


def shown(of: PortBoard, now: float = 10.0, most: int = 100) -> list[dict[str, object]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in of.rows(now, most)]


def order(of: PortBoard) -> list[object]:
    return [row["ofport"] for row in shown(of)]


def test_a_row_has_all_of_a_port() -> None:
    assert shown(board(port(1), port(2, "error", reason="why"))) == [
        {
            **{"ofport": 2, "port": "tap2", "hv-local": "100.127.0.2", "droplet": 20},
            **{"hostname": None, "state": "error", "changed": None, "reason": "why"},
        },
        {
            **{"ofport": 1, "port": "tap1", "hv-local": "100.127.0.1", "droplet": 10},
            **{"hostname": "host-1", "state": "serving", "changed": None, "reason": ""},
        },
    ]


def test_what_is_amiss_comes_first_then_what_changed_last() -> None:
    made = board(port(1), port(2, "binding"), port(3), port(4, "error"), port(5, "unregistered"))
    assert order(made) == [4, 2, 1, 3, 5]
    tell(made, "port", 7.0, revision=2, port=port(5))
    tell(made, "port", 8.0, revision=3, port=port(3))
    assert order(made) == [4, 2, 3, 5, 1]
    assert [row["changed"] for row in shown(made)] == [None, None, 2.0, 3.0, None]
    assert [row["ofport"] for row in shown(made, most=3)] == [4, 2, 3]
    tell(made, "gone", 9.0, revision=4, ofport=4)
    assert order(made) == [2, 3, 5, 1]


def test_a_later_snapshot_marks_what_it_changed_and_nothing_before_it_is_whole() -> None:
    made = board(port(1), port(2))
    tell(made, "snapshot", 5.0, dpid=DPID, revision=9, hv_local_subnet="100.127.0.0/16")
    tell(made, "port", 5.0, revision=9, port=port(1))
    tell(made, "port", 5.0, revision=9, port=port(3))
    assert order(made) == [1, 2]
    tell(made, "in-sync", 6.0, revision=9)
    assert [(row["ofport"], row["changed"]) for row in shown(made)] == [(3, 4.0), (1, None)]


def test_the_head_counts_and_says_how_fresh_it_is() -> None:
    made = PortBoard(DPID)
    assert "not in sync yet" in made.head(0)
    made = board(port(1), port(2, "error"), port(3))
    assert made.head(3).splitlines() == [
        f"{DPID}  in sync at revision 1, 100.127.0.0/16",
        "3 ports: 2 serving, 0 unregistered, 0 binding, 1 error",
    ]
    assert "3 ports, 1 shown: 2 serving" in made.head(1)
    made.lost("no answer")
    assert "as last known, trying again: no answer" in made.head(3)
    tell(made, "waiting", 1.0, dpid=DPID)
    assert "as last known: the switch is not in sync" in made.head(3)
    tell(made, "in-sync", 1.0, revision=2)
    assert "in sync at revision 2" in made.head(3)
