"""What droplets asked, as the REST interface takes it from metadata servers and shows it."""

import pytest

from ryu_apps.binding.requests import MAX_COUNT, MAX_PORTS
from tests.http.rest_harness import DPID, DPID_TEXT, OTHER, OTHER_TEXT, RestController, droplet

PATH = f"/v1/switches/{DPID_TEXT}/requests"
TELL = f"/v1/switches/{DPID_TEXT}/servers/s1/requests"
COUNTS = {
    "ofport": 7,
    "droplet_id": 7,
    "requests": 12,
    "errors": 2,
    "rate_limited": 3,
    "unsure": 1,
    "without_token": 9,
    "last_status": 200,
    "last_request_s": 3.0,
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    controller = RestController(tmp_path_factory.mktemp("state"))
    yield controller
    controller.kill()


@pytest.fixture
def controller(shared):
    """Droplets 7 and 9 on a switch that `s1` follows, droplet 8 on another."""
    shared.forget_all()
    for dpid, ids in ((DPID, (7, 9)), (OTHER, (8,))):
        shared.do("connect", dpid=dpid)
        for number in ids:
            shared.put(number, droplet(f"tap{number}"))
            shared.do("publish", dpid=dpid, ofport=number, name=f"tap{number}", droplet_id=number)
    shared.do("follow", dpid=DPID, server="s1")
    return shared


def tell(controller, *droplets, view_age=0.1, path=TELL):
    given = {"view_age_s": view_age, "droplets": list(droplets)}
    return controller.request("PUT", path, given, role="server")


def shown(controller):
    answer = controller.get(PATH)
    assert answer.status == 200
    droplets = answer.json["droplets"]
    assert all(entry.pop("last_request_s") >= 3.0 for entry in droplets)
    return droplets


def test_nothing_was_told_yet(controller):
    assert controller.get(PATH).json == {"dpid": DPID_TEXT, "servers": [], "droplets": []}


def test_what_was_told_is_shown_by_droplet(controller):
    assert tell(controller, COUNTS | {"ofport": 9, "droplet_id": 9}, COUNTS).status == 204
    expected = {key: value for key, value in COUNTS.items() if key != "last_request_s"}
    assert shown(controller) == [expected, expected | {"ofport": 9, "droplet_id": 9}]
    (server,) = controller.get(PATH).json["servers"]
    assert server.keys() == {"server", "age_s", "view_age_s"}
    assert (server["server"], server["view_age_s"]) == ("s1", 0.1)


def test_a_view_that_nobody_vouched_for_has_no_age(controller):
    assert tell(controller, view_age=None).status == 204
    assert controller.get(PATH).json["servers"][0]["view_age_s"] is None


def test_a_server_is_believed_for_its_own_switch_alone(controller):
    assert tell(controller, COUNTS | {"ofport": 8, "droplet_id": 8}).status == 204
    assert shown(controller) == []
    there = f"/v1/switches/{OTHER_TEXT}/servers/s1/requests"
    assert tell(controller, COUNTS, path=there).status == 404, "it does not follow that one"
    assert controller.get(f"/v1/switches/{OTHER_TEXT}/requests").json["servers"] == []


def test_counts_go_with_the_binding_and_with_the_server(controller):
    tell(controller, COUNTS)
    controller.do("publish", dpid=DPID, ofport=7, name="tap7", droplet_id=7)
    assert shown(controller) == []
    tell(controller, COUNTS)
    assert len(shown(controller)) == 1
    assert controller.request("DELETE", TELL.removesuffix("/requests")).status == 204
    assert controller.get(PATH).json["servers"] == []


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"requests": -1}, "requests"),
        ({"requests": MAX_COUNT + 1}, "requests"),
        ({"errors": 1.5}, "errors"),
        ({"unsure": True}, "unsure"),
        ({"rate_limited": None}, "rate_limited"),
        ({"ofport": 0}, "ofport"),
        ({"droplet_id": 2**32}, "droplet_id"),
        ({"last_status": 99}, "last_status"),
        ({"last_status": "<b>"}, "last_status"),
        ({"last_request_s": -1}, "last_request_s"),
        ({"last_request_s": 1e300}, "last_request_s"),
        ({"last_request_s": False}, "last_request_s"),
    ],
    ids=str,
)
def test_what_is_no_count_is_refused_and_nothing_kept(controller, wrong, pointer):
    answer = tell(controller, COUNTS | {"ofport": 9, "droplet_id": 9}, COUNTS | wrong)
    assert (answer.status, answer.pointers) == (400, [f"#/droplets/1/{pointer}"])
    assert shown(controller) == []


@pytest.mark.parametrize(
    "document",
    [5, [], {}, {"droplets": None}, {"droplets": [5]}, {"droplets": [], "view_age_s": "x"}],
)
def test_what_is_no_report_is_refused(controller, document):
    assert controller.request("PUT", TELL, document).status == 400


def test_no_more_than_fits_is_taken(controller):
    assert tell(controller, *[COUNTS] * MAX_PORTS).status == 204
    assert tell(controller, *[COUNTS] * (MAX_PORTS + 1)).status == 400


def test_an_unknown_switch_has_no_counts(controller):
    assert controller.get("/v1/switches/00000000000000ef/requests").status == 404


def test_the_ports_of_a_page_can_be_asked_for_alone(controller):
    assert tell(controller, COUNTS | {"ofport": 9, "droplet_id": 9}, COUNTS).status == 204
    for ofports, found in (("9", [9]), ("7,9,300", [7, 9]), ("300", [])):
        told = controller.get(f"{PATH}?ofports={ofports}").json["droplets"]
        assert [entry["ofport"] for entry in told] == found
    for wrong in ("", "x", "7,", "-1", ",".join(["7"] * 101)):
        assert controller.get(f"{PATH}?ofports={wrong}").status == 400


def test_the_failing_can_be_asked_for_alone(controller):
    assert tell(controller, COUNTS | {"ofport": 9, "droplet_id": 9, "last_status": 503}, COUNTS)
    told = controller.get(f"{PATH}?failing=true").json["droplets"]
    assert [entry["droplet_id"] for entry in told] == [9]
    assert len(controller.get(f"{PATH}?failing=false").json["droplets"]) == 2
    assert controller.get(f"{PATH}?failing=1").status == 400
