"""What droplets ask is counted by the real process, told to its controller, shown on its admin."""

import json

import pytest

from tests.http.fake_controller import DPID, FakeController, port, wait_until

PORT = port(602, "127.0.0.7", 7, binding=1)
OTHER = port(603, "127.0.0.8", 8, binding=2)


@pytest.fixture
def server(controller, make_server):
    controller.put(PORT, OTHER)
    made = make_server(controller, rate_limit=1, rate_burst=3).start()
    controller.wait_acknowledged()
    return made


def of(answer, droplet_id):
    found = [each for each in answer["droplets"] if each["droplet_id"] == droplet_id]
    return found[0] if found else None


def admin(server):
    status, text = server.admin("/requests")
    assert status == 200
    return json.loads(text)


def test_each_answer_is_counted_for_its_droplet(controller, server):
    assert admin(server)["droplets"] == []
    paths = ("/metadata/v1/id", "/metadata/v1/no", "/metadata/v1/id", "/metadata/v1/id")
    statuses = [server.get(path, "127.0.0.7")[0] for path in paths]
    assert statuses == [200, 404, 200, 429]
    assert server.get("/metadata/v1/id", "127.0.0.99")[0] == 503
    told = admin(server)
    counted = of(told, 7)
    assert counted.pop("last_request_s") < 60
    assert counted == {
        "ofport": 602,
        "droplet_id": 7,
        "requests": 4,
        "errors": 1,
        "rate_limited": 1,
        "unsure": 0,
        "without_token": 3,
        "last_status": 429,
    }
    assert of(told, 8) is None, "it has not asked"
    assert told["dpid"] == DPID
    wait_until(lambda: any(of(each, 7) for each in controller.counts), "the controller is told")
    heard = of(controller.counts[-1], 7)
    assert heard.pop("last_request_s") < 60
    assert heard == counted


def test_what_cannot_be_answered_for_certain_is_counted_as_such(make_server):
    silent = FakeController(lease=0.5).start()
    silent.put(PORT)
    server = make_server(silent).start()
    silent.wait_acknowledged()
    assert server.get("/metadata/v1/id", "127.0.0.7")[0] == 200
    silent.silent = True
    wait_until(lambda: server.get("/metadata/v1/id", "127.0.0.7")[0] == 503, "its lease is over")
    counted = of(admin(server), 7)
    silent.stop()
    assert counted["unsure"] == counted["errors"] == 1
    assert counted["last_status"] == 503


def test_a_controller_that_comes_back_is_told_everything_anew(controller, server):
    server.get("/metadata/v1/id", "127.0.0.7")
    server.get("/metadata/v1/id", "127.0.0.8")
    wait_until(lambda: {7, 8} <= told(controller), "both are told")
    controller.stop()
    controller.counts.clear()
    controller.restart()
    wait_until(lambda: {7, 8} <= told(controller), "both are told again, though nobody asked")


def told(controller):
    return {entry["droplet_id"] for each in controller.counts for entry in each["droplets"]}


def test_a_controller_that_knows_no_counts_costs_nothing(controller, server):
    """One of an earlier release answers 404; the lease must not suffer."""
    controller.counts_status = 404
    server.get("/metadata/v1/id", "127.0.0.7")
    wait_until(lambda: controller.counts, "it was tried")
    assert server.get("/metadata/v1/id", "127.0.0.7")[0] == 200
    assert json.loads(server.admin("/readyz")[1])["ready"]
    assert len(controller.watches) == 1, "the stream went on"
