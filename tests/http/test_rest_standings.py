"""Finding droplets and ports, which are not served and why, and what a port's flows counted."""

import pytest

from ryu_apps.binding.hops import HOPS
from tests.http.rest_harness import DPID, DPID_TEXT, OTHER, RestController, droplet

PORTS = f"/v1/switches/{DPID_TEXT}/ports"
FLOWS = f"{PORTS}/7/flows"


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    """Droplets 1 to 9, of which 7 and 8 are served; a switch has ports that serve nobody too."""
    controller = RestController(tmp_path_factory.mktemp("state"))
    batch = [
        {"droplet_id": n, **droplet(f"tap{n}", hostname=f"web-{n}.example", tags=["<b>"])}
        for n in range(1, 10)
    ]
    assert controller.request("POST", "/v1/droplets", batch).status == 200
    for dpid, ofport in ((DPID, 7), (OTHER, 8)):
        controller.do("connect", dpid=dpid)
        controller.do("in-sync", dpid=dpid)
        controller.do("publish", dpid=dpid, ofport=ofport, name=f"tap{ofport}", droplet_id=ofport)
    controller.do("publish", dpid=DPID, ofport=3, name="tap3", elsewhere="why not")
    controller.do("publish", dpid=DPID, ofport=300, name="uplink")
    yield controller
    controller.kill()


def page(controller, query=""):
    answer = controller.get(f"/v1/standings?{query}")
    assert answer.status == 200, answer.body
    return answer.json


def ids(answer):
    return [each["droplet_id"] for each in answer["droplets"]]


def test_the_unserved_are_told_with_their_reasons(controller):
    told = page(controller, "served=false")
    assert ids(told) == [1, 2, 3, 4, 5, 6, 9]
    assert (told["registered"], told["unserved"], told["next"]) == (9, 7, None)
    by_id = {each["droplet_id"]: each for each in told["droplets"]}
    assert (by_id[3]["state"], by_id[3]["reason"]) == ("error", "why not")
    assert by_id[3]["ports"] == [
        {
            "name": "tap3",
            "mac": "a6:a4:8e:4a:e8:70",
            "dpid": DPID_TEXT,
            "ofport": 3,
            "hv_local_ip": "100.127.0.3",
            "state": "error",
            "reason": "why not",
        }
    ]
    assert (by_id[1]["state"], by_id[1]["reason"]) == ("absent", "no switch has a port tap1")
    assert by_id[1]["tags"] == ["<b>"]


def test_all_droplets_are_told_in_pages(controller):
    seen, after = [], 0
    while after is not None:
        told = page(controller, f"limit=4&after={after}")
        seen += ids(told)
        after = told["next"]
    assert seen == list(range(1, 10))
    assert page(controller)["unserved"] == 7


def test_the_unserved_are_told_in_pages(controller):
    first = page(controller, "served=false&limit=3")
    assert (ids(first), first["next"]) == ([1, 2, 3], 3)
    assert ids(page(controller, "served=false&limit=3&after=3")) == [4, 5, 6]
    last = page(controller, "served=false&limit=3&after=6")
    assert (ids(last), last["next"]) == ([9], None)


@pytest.mark.parametrize(
    ("text", "all_of_them", "unserved"),
    [
        ("WEB-3", [3], [3]),
        ("tap8", [8], []),
        ("b-7.e", [7], []),
        ("a6:a4:8e:4a:e8:70", list(range(1, 10)), [1, 2, 3, 4, 5, 6, 9]),
        ("100.127.0.7", [7], []),
        ("100.127.0.9", [], []),
        ("nobody", [], []),
    ],
)
def test_droplets_are_found_by_id_hostname_port_mac_and_address(
    controller, text, all_of_them, unserved
):
    assert ids(page(controller, f"q={text}")) == all_of_them
    assert ids(page(controller, f"served=false&q={text}")) == unserved


def test_the_list_of_documents_is_searched_too(controller):
    answer = controller.get("/v1/droplets?q=Web-3").json
    assert [each["droplet_id"] for each in answer["droplets"]] == [3]
    assert controller.get("/v1/droplets?q=web&limit=2").json["next"] == 2
    assert controller.get("/v1/droplets?q=" + "x" * 254).status == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=error", [3]),
        ("state=serving,unregistered", [7, 300]),
        ("q=upl", [300]),
        ("q=100.127.1.", [300]),
        ("q=7&state=serving", [7]),
        ("q=nothing", []),
        ("after=7", [300]),
    ],
)
def test_ports_are_narrowed(controller, query, found):
    answer = controller.get(f"{PORTS}?{query}")
    assert [port["ofport"] for port in answer.json["ports"]] == found
    assert "next" not in answer.json


def test_ports_come_in_pages_on_demand(controller):
    first = controller.get(f"{PORTS}?limit=2").json
    assert ([port["ofport"] for port in first["ports"]], first["next"]) == ([3, 7], 7)
    rest = controller.get(f"{PORTS}?limit=2&after=7").json
    assert ([port["ofport"] for port in rest["ports"]], rest["next"]) == ([300], None)


@pytest.mark.parametrize(
    "query", ["state=asleep", "state=", "limit=0", "watch=true&q=7", "q=a&q=b"]
)
def test_a_wrong_narrowing_is_refused(controller, query):
    assert controller.get(f"{PORTS}?{query}").status == 400


@pytest.mark.parametrize("query", ["served=true", "served=maybe", "limit=1001", "tag=x"])
def test_a_wrong_question_about_standings_is_refused(controller, query):
    assert controller.get(f"/v1/standings?{query}").status == 400


def test_the_flows_of_a_port_are_told_with_their_counters(controller):
    told = controller.get(FLOWS).json
    assert (told["dpid"], told["ofport"], told["droplet_id"]) == (DPID_TEXT, 7, 7)
    assert told["cookie"] == "0x6d64000700000007"
    assert [flow["name"] for flow in told["flows"]] == list(HOPS)
    assert told["flows"][2] == {
        **{"name": "N1", "table": 0, "priority": 4000, "state": "present"},
        **{"packets": 3, "bytes": 192, "age_s": 1.5},
    }


def test_a_port_that_serves_nobody_has_no_flows(controller):
    told = controller.get(f"{PORTS}/300/flows").json
    assert (told["droplet_id"], told["cookie"], told["flows"]) == (None, None, [])


@pytest.mark.parametrize("ofport", ["8", "0", "07", "x", "-1", "99999999999999"])
def test_a_port_that_there_is_not_has_none_either(controller, ofport):
    assert controller.get(f"{PORTS}/{ofport}/flows").status == 404


def test_a_switch_that_does_not_answer_is_said_to(controller):
    controller.do("silence", silent=True)
    answer = controller.get(FLOWS)
    controller.do("silence", silent=False)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert "did not answer" in answer.json["detail"]
