"""What is shown: complete, and never a command to the terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.dropletctl import show

OPTIONS = {
    "http_tokens": "required",
    "http_endpoint": "enabled",
    "http_put_response_hop_limit": 1,
}
HOSTILE = "x\x1b]0;title\x07\x1b[2J[red]y\u202e\x9b31m"


@given(st.text())
def test_shown_text_is_printable_whatever_it_was(text: str) -> None:
    assert show.clean(text).isprintable()


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_printable_text_is_shown_as_it_is(text: str) -> None:
    assert show.clean(text) == text


def test_nothing_is_a_dash() -> None:
    assert show.clean(None) == "-"


def test_droplets_are_listed_with_what_tells_them_apart(capsys: pytest.CaptureFixture) -> None:
    metadata = {"hostname": HOSTILE, "region": "nyc3", "tags": ["a", "b"]}
    ports = [{"name": "tap1", "mac": "02:00:00:00:00:01"}, {"name": "tap2", "mac": "x"}]
    show.droplets(
        [
            {"droplet_id": 4294967295, "ports": ports, "metadata": metadata},
            {"droplet_id": 1, "ports": [], "metadata": {"tags": None}, "metadata_options": OPTIONS},
            {"droplet_id": 2, "ports": [], "metadata_options": {"http_endpoint": "disabled"}},
        ]
    )
    out = capsys.readouterr().out
    assert "4294967295" in out and "tap1, tap2" in out and "a, b" in out
    _, usual, limited, disabled = map(str.rstrip, out.splitlines())
    assert usual.endswith(" -")
    assert limited.endswith(" token required, hop limit 1") and disabled.endswith(" disabled")
    assert "[red]y" in out
    assert out.replace("\n", "").isprintable()


def test_a_table_that_is_piped_is_never_cut(capsys: pytest.CaptureFixture) -> None:
    reason = "r" * 500
    port = {"ofport": 1, "name": "tap1", "hv_local_ip": None, "droplet_id": None}
    show.ports([("000000000000002a", [{**port, "state": "error", "reason": reason}])])
    assert reason in capsys.readouterr().out


def test_the_switch_is_named_where_there_are_several(capsys: pytest.CaptureFixture) -> None:
    port = {"ofport": 1, "name": "tap1", "hv_local_ip": "100.127.0.1", "droplet_id": 7}
    port |= {"state": "serving", "reason": None}
    show.ports([("000000000000002a", [port])])
    assert "2a" not in capsys.readouterr().out
    show.ports([("000000000000002a", [port]), ("000000000000002b", [])])
    assert "000000000000002a" in capsys.readouterr().out


def test_a_switch_s_reason_and_warnings_are_said(capsys: pytest.CaptureFixture) -> None:
    switch = {"dpid": "000000000000002a", "connected": True, "state": "refused"}
    switch |= {"reason": "clash", "warnings": ["w1", "w2"], "ports": 3, "serving": 0}
    show.switches([{**switch, "flows": 0, "hv_local_subnet": "100.127.0.0/16"}])
    out = capsys.readouterr().out
    assert [f"000000000000002a: {said}" in out for said in ("clash", "w1", "w2")] == [True] * 3


PORT = {"ofport": 602, "name": "tap\x1b", "hv_local_ip": "100.127.2.90", "droplet_id": 7}


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"event": "waiting", "dpid": "2a"}, "2a is not in sync yet"),
        ({"event": "in-sync", "revision": 5}, "in sync at revision 5"),
        ({"event": "gone", "revision": 6, "ofport": 602}, "ofport 602   gone"),
        ({"event": "heartbeat", "revision": 6}, None),
        ({"event": "of the future"}, None),
        (
            {"event": "port", "revision": 6, "port": {**PORT, "state": "error", "reason": "no"}},
            r"ofport 602   tap\x1b         100.127.2.90    droplet 7, error: no",
        ),
    ],
)
def test_an_event_is_a_line(told: dict, line: str | None) -> None:
    assert show.event(told) == line


def test_json_is_json(capsys: pytest.CaptureFixture) -> None:
    show.print_json({"hostname": HOSTILE})
    out = capsys.readouterr().out
    assert json.loads(out) == {"hostname": HOSTILE}
    assert out.isascii() and "\x1b" not in out
