"""Who may do what: every call of the OpenAPI document by every kind of caller, as the docs say.

And what a token that is bound to a switch learns of the others: nothing.
"""

import json
from pathlib import Path

import pytest

from ryu_apps.northbound.openapi import description
from tests.http.rest_harness import (
    DPID,
    DPID_TEXT,
    OTHER,
    OTHER_TEXT,
    RestController,
    droplet,
)

PAGE = Path(__file__).parents[2] / "docs" / "rest.md"
CALLERS = {
    "no token": None,
    "wrong token": "w" * 40,
    "`server` of another switch": "o" * 40,
    "`server` of the switch": "b" * 40,
    "`server`": "s" * 40,
    "`admin`": "a" * 40,
}
TOKENS = f"""admin {"a" * 40}
server {"s" * 40}
server {"b" * 40} {DPID_TEXT}
server {"o" * 40} {OTHER_TEXT}
"""
VALUES = {"droplet_id": "7", "dpid": DPID_TEXT, "server": "s1", "ofport": "7", "file": "app.js"}
BODIES = {
    ("PUT", "/v1/droplets/{droplet_id}"): droplet("tap7"),
    ("POST", "/v1/droplets"): [],
    ("PUT", "/v1/droplets/{droplet_id}/maintenance"): {"event": "live_migrate"},
    ("PUT", "/v1/switches/{dpid}/servers/{server}"): {"revision": 2},
    ("PUT", "/v1/switches/{dpid}/servers/{server}/requests"): {"droplets": []},
    ("PATCH", "/v1/switches/{dpid}/droplets/{droplet_id}/agent"): {"dotty_status": "running"},
}
SECRET = "<<of droplet 8 alone>>"


def documented():
    """(method, path) -> caller -> the statuses that docs/rest.md gives it."""
    table = PAGE.read_text().partition("| call | ")[2].partition("\n\n")[0]
    head, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
    ]
    assert head == list(CALLERS)
    return {
        tuple(call.strip("`").split()): dict(zip(head, cells, strict=True))
        for call, *cells in lines
    }


def described():
    """Every call of the OpenAPI document."""
    return [
        (method.upper(), path)
        for path, item in description()["paths"].items()
        for method in item
        if method != "parameters"
    ]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    (state / "tokens").write_text(TOKENS)
    (state / "tokens").chmod(0o600)
    controller = RestController(state, pace={"heartbeat": 0.2})
    yield controller
    controller.kill()


@pytest.fixture
def controller(shared):
    """A controller with droplet 7 on a port of the switch, and droplet 8 on one of another."""
    shared.forget_all()
    shared.put(7, droplet("tap7"))
    shared.put(8, droplet("tap8", hostname="other", user_data=SECRET))
    for dpid, ofport in ((DPID, 7), (OTHER, 8)):
        shared.do("connect", dpid=dpid)
        shared.do("in-sync", dpid=dpid)
        shared.do("publish", dpid=dpid, ofport=ofport, name=f"tap{ofport}", droplet_id=ofport)
        shared.do("follow", dpid=dpid, server="s1")
    return shared


def ask(controller, call, caller, method=None):
    how, path = call
    body = BODIES.get(call)
    headers = {"Content-Type": "application/merge-patch+json"} if how == "PATCH" else {}
    data = None if body is None else json.dumps(body).encode()
    headers |= {"Content-Type": "application/json"} if data and not headers else {}
    token = CALLERS[caller]
    role = None if token is None else "admin"
    return controller.request(
        method or how, path.format(**VALUES), data, headers, role=role, token=token
    )


def test_the_page_has_every_call_and_no_other():
    assert sorted(documented()) == sorted(described())


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("call", described(), ids=" ".join)
def test_each_caller_may_what_the_page_says(controller, call, caller):
    answer = ask(controller, call, caller)
    said = documented()[call][caller]
    assert str(answer.status) == said if said != "yes" else answer.status in (200, 201, 204)
    if answer.status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    if call[0] == "GET":
        head = ask(controller, call, caller, method="HEAD")
        assert (head.status, head.body) == (answer.status, b"")


@pytest.mark.parametrize("caller", ["no token", "wrong token"])
def test_without_a_token_every_path_and_method_is_the_same(controller, caller):
    answers = {
        ask(controller, (method, path), caller).body
        for method in ("GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "FROB")
        for path in ("/v1/droplets/{droplet_id}", "/v1/droplets/9", "/v1/nothing", "/v1/switches")
    }
    assert len(answers) == 1


def bound(controller, method, path, body=None, headers=None):
    """An answer to the token that is bound to the switch DPID."""
    return controller.request(method, path, body, headers, token=CALLERS["`server` of the switch"])


def test_a_bound_token_cannot_tell_another_switch_from_none(controller):
    paths = [
        ("GET", "/v1/switches/{}/ports", None),
        ("GET", "/v1/switches/{}/ports?watch=true", None),
        ("GET", "/v1/switches/{}/ports?watch=true&server=s1&since=1", None),
        ("PUT", "/v1/switches/{}/servers/s1", {"revision": 2}),
        ("DELETE", "/v1/switches/{}/servers/s1", None),
        ("GET", "/v1/switches/{}/requests", None),
        ("PUT", "/v1/switches/{}/servers/s1/requests", {"droplets": []}),
        ("PATCH", "/v1/switches/{}/droplets/8/agent", {"dotty_status": "running"}),
        ("PATCH", "/v1/switches/{}/droplets/9/agent", {"dotty_status": "running"}),
    ]
    media = {"Content-Type": "application/merge-patch+json"}
    followers = controller.do("followers")
    seen = set()
    for method, path, body in paths:
        headers = media if method == "PATCH" else None
        for dpid in (OTHER_TEXT, "00000000000000ef"):
            answer = bound(controller, method, path.format(dpid), body, headers)
            seen.add((answer.status, answer.body))
    assert [status for status, _ in seen] == [403]
    assert controller.do("followers") == followers


def test_a_bound_token_cannot_tell_another_switch_s_droplet_from_none(controller):
    path, media = f"/v1/switches/{DPID_TEXT}/droplets/{{}}/agent", "application/merge-patch+json"
    for body in ({"dotty_status": "running"}, {"dotty_status": "nonsense"}, {"ssh_info": 5}, []):
        answers = [
            bound(controller, "PATCH", path.format(number), body, {"Content-Type": media})
            for number in (8, 9)
        ]
        assert answers[0].status == answers[1].status
        assert answers[0].body.replace(b"droplet 8", b"droplet 9") == answers[1].body
    for method in ("GET", "PUT", "DELETE"):
        for suffix in ("", "/maintenance"):
            body = droplet("tap8") if method == "PUT" else None
            answers = {
                bound(controller, method, f"/v1/droplets/{number}{suffix}", body).body
                for number in (7, 8, 9)
            }
            assert len(answers) == 1
    # A name that another switch's droplet holds, alone and in a batch: the role comes first.
    for name in ("tap8", "tap9"):
        batch = [{"droplet_id": 5, **droplet(name)}]
        assert bound(controller, "POST", "/v1/droplets", batch).status == 403


ELSEWHERE = {"elsewhere": "droplet 8: a newer port tap8 is on switch 00000000000000cd"}


def test_a_bound_token_is_not_told_of_droplets_elsewhere(controller):
    """A port here with the name that another switch's droplet claims looks like nobody's."""
    controller.do("publish", dpid=DPID, ofport=20, name="tap8", **ELSEWHERE)
    controller.do("publish", dpid=DPID, ofport=21, name="tap9")
    ports = f"/v1/switches/{DPID_TEXT}/ports"
    whole = controller.get(ports, token="s" * 40).json["ports"]
    assert [port["state"] for port in whole] == ["serving", "error", "unregistered"]
    assert whole[1]["reason"] == ELSEWHERE["elsewhere"]
    listed = bound(controller, "GET", ports)
    claimed, free = listed.json["ports"][1:]
    assert same(claimed) == same(free)
    with controller.watch(token=CALLERS["`server` of the switch"]) as watch:
        told = watch.until("in-sync")
        controller.do("publish", dpid=DPID, ofport=22, name="tap8", **ELSEWHERE)
        told.append(watch.event())
    entries = {event["port"]["ofport"]: event["port"] for event in told if event["event"] == "port"}
    assert same(entries[20]) == same(entries[21]) == same(entries[22])
    for text in (listed.body.decode(), json.dumps(told)):
        assert "droplet 8" not in text
        assert OTHER_TEXT not in text
        assert SECRET not in text


def same(entry):
    """A port without what makes it this one."""
    return {key: entry[key] for key in entry.keys() - {"ofport", "name", "hv_local_ip"}}


def test_a_bound_token_s_stream_has_its_switch_s_droplets_alone(controller):
    with controller.watch(token=CALLERS["`server` of the switch"]) as watch:
        told = watch.until("in-sync")
        controller.put(8, droplet("tap8", user_data=SECRET, hostname="changed"))
        assert watch.line()["event"] == "heartbeat"
    assert [event["port"]["droplet_id"] for event in told if event["event"] == "port"] == [7]
    assert SECRET not in json.dumps(told)
    assert "ports" in json.dumps(controller.get("/v1/switches").json)
    switches = bound(controller, "GET", "/v1/switches").json["switches"]
    assert [switch["dpid"] for switch in switches] == [DPID_TEXT]
