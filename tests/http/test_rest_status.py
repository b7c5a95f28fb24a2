"""What others than the operator say of a droplet: its agent's reports, and maintenance."""

import json

import pytest

from tests.http.rest_harness import (
    DPID,
    DPID_TEXT,
    OTHER,
    OTHER_TEXT,
    RestController,
    droplet,
)

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
RUNNING = {"dotty_status": "running", "ssh_info": {"port": 22}}
BOUND = "b" * 40
MAINTENANCE = "/v1/droplets/7/maintenance"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    (state / "tokens").write_text(
        f"admin {'a' * 40}\nserver {'s' * 40}\nserver {BOUND} {DPID_TEXT}\n"
    )
    (state / "tokens").chmod(0o600)
    controller = RestController(state, pace={"heartbeat": 0.2})
    yield controller
    controller.kill()


@pytest.fixture
def controller(shared):
    """A controller with droplet 7 on a port of the switch DPID and none on OTHER."""
    shared.forget_all()
    shared.put(7, droplet("tap7"))
    connect(shared)
    return shared


def connect(controller):
    for dpid in (DPID, OTHER):
        controller.do("connect", dpid=dpid)
        controller.do("in-sync", dpid=dpid)
    controller.do("publish", dpid=DPID, ofport=7, name="tap7", droplet_id=7)


def report(
    controller, body=RUNNING, *, droplet_id=7, dpid=DPID_TEXT, headers=MERGE_PATCH, **options
):
    path = f"/v1/switches/{dpid}/droplets/{droplet_id}/agent"
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return controller.request("PATCH", path, body, headers, **{"role": "server"} | options)


def announce(controller, event="live_migrate", droplet_id=7, **options):
    path = f"/v1/droplets/{droplet_id}/maintenance"
    return controller.request("PUT", path, {"event": event}, **options)


def shown(controller):
    return controller.get("/v1/droplets/7").json


def told(controller):
    """The droplet as the watch stream tells it."""
    with controller.watch() as watch:
        return watch.until("in-sync")[1]["port"]["droplet"]


def test_what_the_agent_says_is_kept_told_and_shown(controller):
    with controller.watch(role="server") as watch:
        before = watch.until("in-sync")[1]["port"]["droplet"]
        answer = report(controller)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        after = watch.event()["port"]["droplet"]
    assert answer.json == {"revision": after["revision"]}
    assert after["revision"] > before["revision"]
    assert after["metadata"] == before["metadata"] | RUNNING
    assert shown(controller) == {
        "droplet_id": 7,
        "ports": [{"name": "tap7", "mac": "a6:a4:8e:4a:e8:70"}],
        "metadata": {"region": "nyc3", "public_keys": []},
        "status": {"agent": RUNNING},
    }
    assert controller.get("/v1/droplets").json["droplets"] == [shown(controller)]


def test_reports_are_merged(controller):
    report(controller, {"dotty_status": "installed"})
    report(controller, {"ssh_info": {"port": 2222, "host_keys": ["ssh-ed25519 AAAA"]}})
    report(controller, {"dotty_status": "stopped", "ssh_info": {"port": 22}})
    expected = {
        "dotty_status": "stopped",
        "ssh_info": {"port": 22, "host_keys": ["ssh-ed25519 AAAA"]},
    }
    assert shown(controller)["status"] == {"agent": expected}
    report(controller, {"ssh_info": {"port": 22, "host_keys": None}})
    assert shown(controller)["status"]["agent"]["ssh_info"] == {"port": 22}
    report(controller, {"dotty_status": None, "ssh_info": None})
    assert "status" not in shown(controller)
    assert "dotty_status" not in told(controller)["metadata"]


def test_an_acknowledged_report_is_there_after_kill_9(controller):
    revision = report(controller).json["revision"]
    controller.restart()
    connect(controller)
    assert shown(controller)["status"] == {"agent": RUNNING}
    assert told(controller)["revision"] == revision
    assert controller.do("claim", name="tap7")[3] == revision
    assert announce(controller).status == 204
    controller.restart()
    assert shown(controller)["status"] == {"agent": RUNNING, "maintenance_event": "live_migrate"}


def test_a_repeated_report_writes_and_tells_nothing(controller):
    first = report(controller)
    tag = controller.get("/v1/droplets/7").headers["ETag"]
    changes = controller.do("changes")
    again = [report(controller, body) for body in (RUNNING, {}, {"dotty_status": "running"})]
    assert [answer.body for answer in again] == [first.body] * 3
    assert controller.get("/v1/droplets/7").headers["ETag"] == tag
    assert controller.do("changes") == changes


def test_an_operators_put_leaves_what_it_does_not_name(controller):
    report(controller)
    answer = controller.put(7, droplet("tap7", hostname="new"))
    assert answer.json["status"] == {"agent": RUNNING}
    assert answer.json == shown(controller)
    assert told(controller)["metadata"]["dotty_status"] == "running"
    batch = [{"droplet_id": 7, **droplet("tap7", hostname="newer")}]
    assert controller.request("POST", "/v1/droplets", batch).status == 200
    assert shown(controller)["status"] == {"agent": RUNNING}


def test_of_operator_and_agent_the_last_to_name_a_key_is_served(controller):
    report(controller)
    answer = controller.put(7, droplet("tap7", dotty_status="installed"))
    assert answer.json["status"] == {"agent": {"ssh_info": {"port": 22}}}
    assert answer.json["metadata"]["dotty_status"] == "installed"
    metadata = told(controller)["metadata"]
    assert (metadata["dotty_status"], metadata["ssh_info"]) == ("installed", {"port": 22})
    report(controller, {"dotty_status": "stopped"})
    assert told(controller)["metadata"]["dotty_status"] == "stopped"
    assert shown(controller)["metadata"]["dotty_status"] == "installed"
    controller.put(7, droplet("tap7", dotty_status=None))  # Null is none: it names nothing.
    assert told(controller)["metadata"]["dotty_status"] == "stopped"


def test_a_droplet_as_it_is_shown_can_be_sent_back(controller):
    report(controller)
    announce(controller)
    before = shown(controller)
    answer = controller.put(7, before | {"status": {"agent": {"dotty_status": "stopped"}}})
    assert (answer.status, answer.json) == (200, before)
    assert shown(controller) == before


def test_a_report_does_not_get_between_an_operators_reading_and_writing(controller):
    tag = controller.get("/v1/droplets/7").headers["ETag"]
    report(controller)
    found = controller.get("/v1/droplets/7")
    assert found.headers["ETag"] != tag
    assert controller.get("/v1/droplets/7", headers={"If-None-Match": tag}).status == 200
    unchanged = controller.get("/v1/droplets/7", headers={"If-None-Match": found.headers["ETag"]})
    assert unchanged.status == 304
    assert controller.put(7, droplet("tap7"), {"If-Match": '"12-1"'}).status == 412
    written = controller.put(7, droplet("tap7"), {"If-Match": tag})
    assert written.status == 200
    refused = controller.put(7, droplet("tap7"), {"If-Match": found.headers["ETag"]})
    assert refused.status == 412
    assert written.headers["ETag"] in refused.json["detail"]
    report(controller, {"dotty_status": "stopped"})
    stale = {"If-None-Match": written.headers["ETag"]}
    assert controller.put(7, droplet("tap7"), stale).status == 412
    tag = controller.get("/v1/droplets/7").headers["ETag"]
    report(controller, {"dotty_status": "installed"})
    deleted = controller.request("DELETE", "/v1/droplets/7", headers={"If-Match": tag})
    assert deleted.status == 204


def test_a_status_ends_with_its_droplet(controller):
    report(controller)
    announce(controller)
    tag = controller.get("/v1/droplets/7").headers["ETag"]
    controller.request("DELETE", "/v1/droplets/7")
    answer = controller.put(7, droplet("tap7"))
    assert "status" not in answer.json
    assert controller.get(MAINTENANCE).json == {"event": None}
    assert controller.get("/v1/droplets/7", headers={"If-None-Match": tag}).status == 200


def test_a_server_speaks_for_droplets_on_its_switch_alone(controller):
    controller.put(8, droplet("tap8"))
    assert report(controller, token=BOUND).status == 200
    assert report(controller, token=BOUND, dpid=OTHER_TEXT).status == 403
    assert report(controller, dpid=OTHER_TEXT).status == 404
    assert report(controller, dpid="00000000000000ef").status == 404
    registered, unknown = (report(controller, droplet_id=n, token=BOUND) for n in (8, 9))
    assert registered.status == unknown.status == 404
    assert registered.body.replace(b"8", b"9") == unknown.body
    assert report(controller, role="admin").status == 200
    assert report(controller, role=None).status == 401
    controller.do("remove", dpid=DPID, ofport=7)
    assert report(controller, {"dotty_status": "stopped"}).status == 404
    assert shown(controller)["status"] == {"agent": RUNNING}


def test_a_droplet_deleted_while_its_port_is_still_told_has_no_status(controller):
    controller.request("DELETE", "/v1/droplets/7")
    assert report(controller).status == 404


def test_until_the_switch_is_in_sync_a_report_has_to_wait(controller):
    controller.do("connect", dpid=DPID)
    answer = report(controller)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    controller.do("publish", dpid=DPID, ofport=7, name="tap7", droplet_id=7)
    assert report(controller).status == 200


def test_all_faults_of_a_report_are_listed(controller):
    answer = report(
        controller,
        {
            "dotty_status": "broken",
            "ssh_info": {"port": 0, "host_keys": ["a\nb", ""], "x": 1},
            "region": "ams3",
            "user_data": "x",
        },
    )
    assert answer.status == 400
    assert set(answer.pointers) == {
        "#/dotty_status",
        "#/ssh_info/port",
        "#/ssh_info/host_keys/0",
        "#/ssh_info/host_keys/1",
        "#/ssh_info/x",
        "#/region",
        "#/user_data",
    }
    assert "status" not in shown(controller)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", MERGE_PATCH, 400),
        (b"[]", MERGE_PATCH, 400),
        (b"null", MERGE_PATCH, 400),
        (b'{"dotty_status":"running","dotty_status":"stopped"}', MERGE_PATCH, 400),
        (b'{"ssh_info":{}}', MERGE_PATCH, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"{}", {}, 415),
        (b" " * ((128 << 10) + 1), MERGE_PATCH, 413),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else None,
)
def test_what_is_no_report_is_refused(controller, body, headers, status):
    answer = report(controller, body, headers=headers)
    assert answer.status == status
    if status == 415:
        assert answer.headers["Accept-Patch"] == "application/merge-patch+json"


def test_the_largest_report_is_taken(controller):
    ssh_info = {"port": 65535, "host_keys": [f"ssh-rsa {n}".ljust(4096, "A") for n in range(16)]}
    assert report(controller, {"ssh_info": ssh_info}).status == 200
    assert told(controller)["metadata"]["ssh_info"] == ssh_info


def test_maintenance_is_announced_and_called_off(controller):
    assert told(controller)["maintenance_event"] is None
    assert controller.get(MAINTENANCE).json == {"event": None}
    with controller.watch() as watch:
        watch.until("in-sync")
        answer = announce(controller)
        assert (answer.status, answer.body) == (204, b"")
        assert watch.event()["port"]["droplet"]["maintenance_event"] == "live_migrate"
        assert controller.get(MAINTENANCE).json == {"event": "live_migrate"}
        assert shown(controller)["status"] == {"maintenance_event": "live_migrate"}
        controller.put(7, droplet("tap7"))
        assert watch.event()["port"]["droplet"]["maintenance_event"] == "live_migrate"
        for _ in range(2):
            assert controller.request("DELETE", MAINTENANCE).status == 204
        assert watch.event()["port"]["droplet"]["maintenance_event"] is None
        assert watch.line()["event"] == "heartbeat"
    assert "maintenance_event" not in told(controller)["metadata"]


def test_maintenance_may_be_announced_wherever_the_droplet_is(controller):
    controller.put(8, droplet("tap8"))
    assert announce(controller, droplet_id=8).status == 204
    for method in ("GET", "DELETE"):
        assert controller.request(method, "/v1/droplets/9/maintenance").status == 404
    assert announce(controller, droplet_id=9).status == 404
    assert announce(controller, droplet_id="x").status == 404
    for method in ("GET", "DELETE"):
        assert controller.request(method, MAINTENANCE, role="server").status == 403
    assert announce(controller, role="server").status == 403


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"event": "reboot"}, ["#/event"]),
        ({"event": None}, ["#/event"]),
        ({}, ["#/event"]),
        ({"event": "live_migrate", "x": 1}, ["#/x"]),
        (["live_migrate"], ["#"]),
    ],
)
def test_what_is_no_maintenance_is_refused(controller, body, pointers):
    answer = controller.request("PUT", MAINTENANCE, body)
    assert (answer.status, answer.pointers) == (400, pointers)


def test_formats_are_registered_and_told(controller):
    assert told(controller)["formats"] is None
    answer = controller.put(7, droplet("tap7") | {"formats": ["openstack", "ec2"]})
    assert answer.json["formats"] == ["ec2", "openstack"]
    assert told(controller)["formats"] == ["ec2", "openstack"]
    answer = controller.put(7, droplet("tap7") | {"formats": ["gce"]})
    assert (answer.status, answer.pointers) == (400, ["#/formats/0"])
