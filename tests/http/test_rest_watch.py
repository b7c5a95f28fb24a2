"""The watch stream and its followers over real sockets, mounted into Ryu's own WSGI application."""

import base64
import http.client
import json
import socket

import pytest

from tests.http.rest_harness import (
    DPID,
    DPID_TEXT,
    OTHER,
    PATIENCE,
    RestController,
    droplet,
    wait_until,
)

PORTS = f"/v1/switches/{DPID_TEXT}/ports"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    controller = RestController(state, pace={"heartbeat": 0.2}, arguments=["--ryu"])
    yield controller
    controller.kill()


@pytest.fixture
def controller(shared):
    shared.forget_all()
    wait_until(lambda: shared.gauge("ovs_metadata_watchers") == 0, "nobody watches")
    return shared


@pytest.fixture
def impatient(tmp_path):
    """A controller that soon gives up a reader that takes nothing."""
    controller = RestController(tmp_path, pace={"heartbeat": 0.2, "send": 1})
    yield controller
    controller.kill()


@pytest.fixture
def switch(controller):
    """A switch in sync with a droplet on ofport 602; its first revision."""
    controller.put(7889371, droplet("tapext7889371", hostname="web-1"))
    first = controller.do("connect", dpid=DPID)
    publish(controller, 602, "tapext7889371", 7889371)
    controller.do("in-sync", dpid=DPID)
    return first


def record_revision(controller):
    """The revision of the droplet's record, which its ETag tells."""
    return int(controller.get("/v1/droplets/7889371").headers["ETag"].strip('"'))


def publish(controller, ofport, name, droplet_id=None):
    return controller.do("publish", dpid=DPID, ofport=ofport, name=name, droplet_id=droplet_id)


def test_a_full_view_comes_first_then_each_change(controller, switch):
    with controller.watch() as watch:
        snapshot, port, in_sync = watch.until("in-sync")
        revision = switch + 1
        assert snapshot == {
            "event": "snapshot",
            "dpid": DPID_TEXT,
            "revision": revision,
            "hv_local_subnet": "100.127.0.0/16",
            "lease": 20,
        }
        assert port == {
            "event": "port",
            "revision": revision,
            "port": {
                "ofport": 602,
                "name": "tapext7889371",
                "hv_local_ip": "100.127.2.90",
                "droplet_id": 7889371,
                "state": "serving",
                "reason": None,
                "binding": revision,
                "droplet": {
                    "revision": record_revision(controller),
                    "metadata": {
                        "droplet_id": 7889371,
                        "hostname": "web-1",
                        "public_keys": [],
                        "region": "nyc3",
                        "interfaces": {},
                        "floating_ip": {"ipv4": {"active": False}},
                        "reserved_ip": {"ipv4": {"active": False}},
                        "dns": {"nameservers": ["192.0.2.53"]},
                        "tags": None,
                        "features": {"dhcp_enabled": False},
                    },
                    "user_data_base64": None,
                    "formats": None,
                    "metadata_options": {"http_tokens": "optional", "http_endpoint": "enabled"},
                    "maintenance_event": None,
                },
            },
        }
        assert in_sync == {"event": "in-sync", "revision": revision}
        second = publish(controller, 5, "uplink")
        event = watch.event()
        assert event["revision"] == second
        assert event["port"] == {
            "ofport": 5,
            "name": "uplink",
            "hv_local_ip": "100.127.0.5",
            "droplet_id": None,
            "state": "unregistered",
            "reason": None,
            "binding": None,
            "droplet": None,
        }
        third = controller.do("remove", dpid=DPID, ofport=602)
        assert watch.event() == {"event": "gone", "revision": third, "ofport": 602}
        assert watch.line() == {"event": "heartbeat", "revision": third}


def test_user_data_that_is_no_text_comes_as_base64(controller, switch):
    data = base64.b64encode(b"\x1f\x8b\xff\x00").decode()
    controller.put(7889371, droplet("tapext7889371") | {"user_data_base64": data})
    with controller.watch() as watch:
        told = watch.until("in-sync")[1]["port"]["droplet"]
        assert told["user_data_base64"] == data
        assert told["metadata"]["user_data"] == "\x1f\ufffd\ufffd\x00"


def test_a_reader_that_returns_gets_what_it_missed(controller, switch):
    with controller.watch() as watch:
        left_at = watch.until("in-sync")[-1]["revision"]
    publish(controller, 5, "a")
    publish(controller, 6, "b")
    publish(controller, 5, "c")
    controller.do("remove", dpid=DPID, ofport=6)
    with controller.watch(f"&since={left_at}") as watch:
        events = watch.until("in-sync")
    assert [event["event"] for event in events] == ["port", "gone", "in-sync"]
    assert (events[0]["port"]["name"], events[1]["ofport"]) == ("c", 6)
    revisions = [event["revision"] for event in events]
    # Whoever leaves after any of these lines and comes back by its revision misses nothing.
    assert left_at <= revisions[0] < revisions[1] == revisions[2] == switch + 5
    with controller.watch(f"&since={switch + 5}") as watch:
        assert watch.event() == {"event": "in-sync", "revision": switch + 5}


@pytest.mark.parametrize("since", ["0", "1", "9999999999999999"])
def test_a_reader_from_elsewhere_gets_a_full_view(controller, switch, since):
    with controller.watch(f"&since={since}") as watch:
        assert watch.event()["event"] == "snapshot"


def test_a_revision_of_before_a_restart_gets_a_full_view(controller, switch):
    controller.restart()
    first = controller.do("connect", dpid=DPID)
    assert first > switch
    controller.do("in-sync", dpid=DPID)
    with controller.watch(f"&since={switch + 1}") as watch:
        snapshot, in_sync = watch.until("in-sync")
    assert snapshot["revision"] == in_sync["revision"] == first


def test_until_the_switch_is_in_sync_a_reader_is_told_to_wait(controller):
    controller.do("connect", dpid=DPID)
    publish(controller, 5, "a")
    with controller.watch() as watch:
        assert watch.line() == {"event": "waiting", "dpid": DPID_TEXT}
        assert watch.line() == {"event": "waiting", "dpid": DPID_TEXT}
        controller.do("in-sync", dpid=DPID)
        events = watch.until("in-sync")
    assert [event["event"] for event in events if event["event"] != "waiting"] == [
        "snapshot",
        "port",
        "in-sync",
    ]


def test_a_droplet_that_was_deleted_meanwhile_is_not_served(controller, switch):
    controller.request("DELETE", "/v1/droplets/7889371")
    with controller.watch() as watch:
        port = watch.until("in-sync")[1]["port"]
    assert (port["droplet_id"], port["droplet"]) == (None, None)


def test_many_ports_come_whole_and_in_order(controller, switch):
    batch = [{"droplet_id": n, **droplet(f"t{n}")} for n in range(1, 151)]
    controller.request("POST", "/v1/droplets", batch)
    for n in range(1, 151):
        publish(controller, n, f"t{n}", n)
    with controller.watch() as watch:
        ports = [event["port"] for event in watch.until("in-sync")[1:-1]]
    assert [port["ofport"] for port in ports] == [*range(1, 151), 602]
    assert all(port["droplet"]["metadata"]["droplet_id"] == port["droplet_id"] for port in ports)


def test_a_follower_is_one_before_its_first_line(controller, switch):
    with controller.watch("&server=meta-1", role="server") as watch:
        revision = watch.until("in-sync")[-1]["revision"]
        server = f"/v1/switches/{DPID_TEXT}/servers/meta-1"
        answer = controller.request("PUT", server, {"revision": revision}, role="server")
        assert (answer.status, answer.body) == (204, b"")
        assert controller.do("followers") == [
            ["follow", DPID, "meta-1"],
            ["acknowledge", DPID, "meta-1", revision],
        ]
    assert controller.request("DELETE", server, role="server").status == 204
    assert controller.do("followers")[-1] == ["unfollow", DPID, "meta-1"]


def test_a_revision_that_was_never_reached_cannot_be_acknowledged(controller, switch):
    """Or ports would be opened for a server that does not know of them."""
    with controller.watch("&server=meta-1", role="server") as watch:
        revision = watch.until("in-sync")[-1]["revision"]
        server = f"/v1/switches/{DPID_TEXT}/servers/meta-1"
        answer = controller.request("PUT", server, {"revision": revision + 1}, role="server")
        assert answer.status == 409
        assert f"no revision {revision + 1}" in answer.json["title"] + answer.json["detail"]
        assert controller.do("followers") == [["follow", DPID, "meta-1"]]
        publish(controller, 603, "tapb")
        answer = controller.request("PUT", server, {"revision": revision + 1}, role="server")
        assert answer.status == 204


def test_a_follower_whose_stream_is_cut_stays_one(controller, switch):
    """Its old view is served for as long as its lease lasts: nobody may stop waiting for it."""
    controller.watch("&server=meta-1").close()
    wait_until(lambda: controller.gauge("ovs_metadata_watchers") == 0, "the stream is gone")
    assert controller.do("followers") == [["follow", DPID, "meta-1"]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"revision": "5"}, 400),
        ({"revision": -1}, 400),
        ({"revision": True}, 400),
        ({}, 400),
        ([5], 400),
        ({"revision": 5, "x": "y" * 5000}, 413),
    ],
)
def test_bad_acknowledgements(controller, switch, body, status):
    answer = controller.request("PUT", f"/v1/switches/{DPID_TEXT}/servers/m", body)
    assert answer.status == status
    assert controller.do("followers") == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{PORTS}?watch=yes", 400),
        (f"{PORTS}?watch=true&since=x", 400),
        (f"{PORTS}?watch=true&server=", 400),
        (f"{PORTS}?watch=true&server=a%20b", 400),
        (f"{PORTS}?since=5", 400),
        (f"{PORTS}?server=a", 400),
        (f"{PORTS}?colour=red", 400),
        (f"/v1/switches/{OTHER:016x}/ports", 404),
        ("/v1/switches/ab/ports", 404),
        ("/v1/switches/00000000000000AB/ports", 404),
    ],
)
def test_questions_that_cannot_be_answered(controller, switch, path, status):
    assert controller.get(path).status == status


def test_head_opens_no_stream(controller, switch):
    answer = controller.request("HEAD", f"{PORTS}?watch=true&server=a")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert controller.gauge("ovs_metadata_watchers") == 0
    assert controller.do("followers") == []


def test_the_ports_as_they_are_now(controller, switch):
    publish(controller, 5, "uplink")
    assert controller.get(PORTS).json == {
        "revision": switch + 2,
        "ports": [
            {
                "ofport": ofport,
                "name": name,
                "hv_local_ip": address,
                "droplet_id": droplet_id,
                "state": state,
                "reason": None,
            }
            for ofport, name, address, droplet_id, state in (
                (5, "uplink", "100.127.0.5", None, "unregistered"),
                (602, "tapext7889371", "100.127.2.90", 7889371, "serving"),
            )
        ],
    }
    (entry,) = controller.get("/v1/switches").json["switches"]
    assert entry == {
        "dpid": DPID_TEXT,
        "connected": True,
        "state": "in-sync",
        "reason": None,
        "warnings": [],
        "drift": {"repaired": 0, "last_reason": None, "last_at": None},
        "ports": 2,
        "serving": 1,
        "binding": 0,
        "errors": 0,
        "flows": 0,
        "hv_local_subnet": "100.127.0.0/16",
    }
    sample = f'ovs_metadata_flows_repaired_total{{dpid="{DPID_TEXT}"}} 0.0'
    assert sample in controller.get("/metrics").body.decode()


def test_the_stream_ends_when_the_switch_gets_another_feed(controller, switch):
    with controller.watch() as watch:
        watch.until("in-sync")
        controller.do("connect", dpid=DPID)
        assert watch.event() is None


def test_a_client_that_has_gone_is_noticed_without_a_change(controller, switch):
    logged = len(controller.log_text())
    watches = [controller.watch() for _ in range(3)]
    for watch in watches:
        watch.until("in-sync")
    assert controller.gauge("ovs_metadata_watchers") == 3
    for watch in watches:
        watch.close()
    wait_until(lambda: controller.gauge("ovs_metadata_watchers") == 0, "the places are back")
    assert "Traceback" not in controller.log_text()[logged:]


def stuck_reader(controller):
    """A connection that asks for the stream and reads nothing until the test does."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", controller.port))
    token = controller.tokens["admin"]
    request = f"GET {PORTS}?watch=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def large_view(controller, number=120):
    """Ports with droplets of 100 KB each: more than socket buffers hold."""
    for start in range(1, number + 1, 40):
        batch = [
            {"droplet_id": n, **droplet(f"t{n}", user_data="x" * 100_000)}
            for n in range(start, start + 40)
        ]
        assert controller.request("POST", "/v1/droplets", batch).status == 200
    for n in range(1, number + 1):
        publish(controller, n, f"t{n}", n)


def memory(controller):
    """The controller's resident memory in KiB."""
    with open(f"/proc/{controller.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_a_reader_that_is_stuck_holds_nobody_up_and_costs_little(controller, switch):
    large_view(controller)
    with controller.watch() as good:
        good.until("in-sync")
        with stuck_reader(controller):
            wait_until(lambda: controller.gauge("ovs_metadata_watchers") == 2, "it is served")
            before = memory(controller)
            for turn in range(300):
                revision = publish(controller, 700, f"n{turn}")
                assert good.event()["revision"] == revision
            assert memory(controller) - before < 30_000


def test_a_reader_that_takes_nothing_is_given_up(impatient):
    impatient.do("connect", dpid=DPID)
    impatient.do("in-sync", dpid=DPID)
    large_view(impatient)
    with stuck_reader(impatient):
        wait_until(lambda: impatient.gauge("ovs_metadata_watchers") == 1, "it is served")
        wait_until(lambda: impatient.gauge("ovs_metadata_watchers") == 0, "it is given up")


def test_a_slow_reader_gets_the_newest_of_each_port_only(controller, switch):
    large_view(controller)
    with stuck_reader(controller) as slow:
        wait_until(lambda: controller.gauge("ovs_metadata_watchers") == 1, "it is served")
        for turn in range(200):
            last = publish(controller, 700, f"n{turn}")
        response = http.client.HTTPResponse(slow)
        response.begin()
        names, revision = [], None
        while revision != last:
            event = json.loads(response.readline())
            revision = event["revision"]
            if event["event"] == "port" and event["port"]["ofport"] == 700:
                names.append(event["port"]["name"])
    assert names[-1] == "n199"
    assert len(names) < 5


def test_droplets_are_served_through_ryu_too(controller):
    """The catch-all passes bodies, statuses, headers and refusals as they are."""
    answer = controller.put(1, droplet("a"))
    assert answer.status == 201
    assert controller.get("/v1/droplets/1").body == answer.body
    assert controller.request("DELETE", "/v1/droplets/1").status == 204
    assert controller.get("/nothing", role=None).json["status"] == 404
    assert controller.request("POST", "/healthz", role=None).headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/v1/droplets/a%0Ab", "/v1/droplets/a%0A", "/v1/%0A/%00", "/%0A"])
def test_no_path_is_ryus_to_answer(controller, path):
    nobody = controller.get(path, role=None)
    assert nobody.status == (401 if path.startswith("/v1/") else 404)
    for answer in (nobody, controller.get(path)):
        assert answer.headers["Content-Type"] == "application/problem+json"
