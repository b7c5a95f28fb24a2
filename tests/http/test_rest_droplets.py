"""/v1/droplets over real sockets, the controller killed after each acknowledged write."""

import base64
import json

import pytest

from tests.http.rest_harness import JSON, NDJSON, RestController, droplet


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    controller = RestController(tmp_path_factory.mktemp("state"))
    yield controller
    controller.kill()


@pytest.fixture
def controller(shared):
    shared.forget_all()
    return shared


def test_each_acknowledged_write_is_there_after_kill_9(controller):
    """PUT, replacing PUT, batch of both kinds, DELETE: after each the next instant is the end."""
    answer = controller.put(7889371, droplet("tapext7889371"))
    controller.restart()
    assert answer.status == 201
    found = controller.get("/v1/droplets/7889371")
    assert (found.status, found.body) == (200, answer.body)
    assert found.headers["ETag"] == answer.headers["ETag"]
    assert controller.do("claim", name="tapext7889371")[0] == 7889371

    answer = controller.put(7889371, droplet("tap2", hostname="new"))
    controller.restart()
    assert answer.status == 200
    assert controller.get("/v1/droplets/7889371").json["metadata"]["hostname"] == "new"
    assert controller.do("claim", name="tapext7889371") is None
    assert controller.do("claim", name="tap2")[0] == 7889371

    batch = [{"droplet_id": n, **droplet(f"t{n}")} for n in (1, 2, 7889371)]
    answer = controller.request("POST", "/v1/droplets", batch)
    controller.restart()
    assert answer.json == {"droplets": 3, "created": 2, "replaced": 1}
    page = controller.get("/v1/droplets").json
    assert [entry["droplet_id"] for entry in page["droplets"]] == [1, 2, 7889371]
    assert controller.do("claim", name="tap2") is None

    answer = controller.request("DELETE", "/v1/droplets/2")
    controller.restart()
    assert answer.status == 204
    assert controller.get("/v1/droplets/2").status == 404
    assert controller.do("claim", name="t2") is None
    assert controller.gauge("ovs_metadata_droplets") == 2
    assert controller.gauge("ovs_metadata_claimed_ports") == 2


def test_a_killed_controller_loses_nothing_it_answered_in_a_stream_of_writes(controller):
    for round_ in range(3):
        connection = controller.connection()
        answered = {}
        for n in range(1, 21):
            given = droplet(f"t{n}", hostname=f"r{round_}n{n}")
            answered[n] = controller.put(n, given, on=connection).headers["ETag"]
        controller.restart()
        for n, etag in answered.items():
            found = controller.get(f"/v1/droplets/{n}")
            assert found.headers["ETag"] == etag
            assert found.json["metadata"]["hostname"] == f"r{round_}n{n}"


def test_what_is_answered_is_the_normalised_droplet(controller):
    given = {
        "ports": [{"name": "tap7", "mac": "A6:A4:8E:4A:E8:70", "dpid": "00000000000000AB"}],
        "metadata": {"region": "nyc3", "unknown": {"ü": None}},
        "user_data_base64": base64.encodebytes(bytes(range(256))).decode(),
    }
    answer = controller.put(7, given)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json == {
        "droplet_id": 7,
        "ports": [{"name": "tap7", "mac": "a6:a4:8e:4a:e8:70", "dpid": "00000000000000ab"}],
        "metadata": {"region": "nyc3", "unknown": {"ü": None}, "public_keys": []},
        "user_data_base64": base64.b64encode(bytes(range(256))).decode(),
    }
    again = controller.put(7, answer.json)
    assert (again.status, again.body) == (200, answer.body)


def test_all_faults_of_a_document_are_listed(controller):
    answer = controller.put(
        2**32, {"ports": [{"name": "a b", "mac": "01:00:00:00:00:00"}], "metadata": {}, "x": 1}
    )
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert problem["detail"] == "the document has 5 faults"
    assert answer.pointers == [
        "#/x",
        "#/droplet_id",
        "#/ports/0/name",
        "#/ports/0/mac",
        "#/metadata/region",
    ]
    assert "multicast" in problem["errors"][3]["detail"]


@pytest.mark.parametrize("droplet_id", ["0", "abc", "4294967296", "01", "-1", "1.0", "%31%30x"])
def test_ids_out_of_range_are_a_fault_to_register_and_unknown_to_ask_for(controller, droplet_id):
    answer = controller.put(droplet_id, droplet())
    assert (answer.status, answer.pointers) == (400, ["#/droplet_id"])
    for method in ("GET", "DELETE"):
        assert controller.request(method, f"/v1/droplets/{droplet_id}").status == 404


def test_a_name_another_droplet_holds_is_a_conflict_that_names_it(controller):
    controller.put(1, droplet("a"))
    answer = controller.put(2, droplet("a"))
    assert answer.status == 409
    assert answer.json["detail"] == "a belongs to droplet 1"
    assert answer.json["errors"] == [
        {"detail": "a belongs to droplet 1", "port_name": "a", "droplet_id": 2, "held_by": 1}
    ]
    assert controller.get("/v1/droplets/2").status == 404
    controller.request("DELETE", "/v1/droplets/1")
    assert controller.put(2, droplet("a")).status == 201


def test_preconditions(controller):
    new = {"If-None-Match": "*"}
    assert controller.put(1, droplet("a"), {"If-Match": "*"}).status == 412
    first = controller.put(1, droplet("a"), new)
    assert first.status == 201
    tag = first.headers["ETag"]
    refused = controller.put(1, droplet("b"), new)
    assert refused.status == 412
    assert tag in refused.json["detail"]
    assert controller.put(1, droplet("a"), {"If-Match": f"W/{tag}"}).status == 412
    assert controller.put(1, droplet("a"), {"If-Match": "nonsense"}).status == 412
    second = controller.put(1, droplet("a"), {"If-Match": f'"x", {tag}'})
    assert second.status == 200
    assert second.headers["ETag"] != tag
    assert controller.put(1, droplet("a"), {"If-Match": tag}).status == 412
    assert controller.request("DELETE", "/v1/droplets/1", headers={"If-Match": tag}).status == 412
    now = second.headers["ETag"]
    unchanged = controller.get("/v1/droplets/1", headers={"If-None-Match": f"W/{now}"})
    assert (unchanged.status, unchanged.body, unchanged.headers["ETag"]) == (304, b"", now)
    assert controller.get("/v1/droplets/1", headers={"If-None-Match": tag}).status == 200
    assert controller.request("DELETE", "/v1/droplets/1", headers={"If-Match": now}).status == 204
    assert controller.request("DELETE", "/v1/droplets/1").status == 404


def test_of_two_who_changed_the_same_droplet_one_is_told(controller):
    tag = controller.put(1, droplet("a")).headers["ETag"]
    statuses = [controller.put(1, droplet("a"), {"If-Match": tag}).status for _ in range(2)]
    assert statuses == [200, 412]


def test_the_list_comes_in_pages(controller):
    batch = [
        {"droplet_id": n, **droplet(f"t{n}", tags=["even"] if n % 2 == 0 else None)}
        for n in range(1, 12)
    ]
    batch[4]["metadata"]["region"] = "ams3"
    controller.request("POST", "/v1/droplets", batch)
    ids, after = [], ""
    while True:
        page = controller.get(f"/v1/droplets?limit=4{after}").json
        ids.append([entry["droplet_id"] for entry in page["droplets"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert ids == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11]]

    def found(query):
        page = controller.get(f"/v1/droplets?{query}").json
        return [entry["droplet_id"] for entry in page["droplets"]]

    assert found("tag=even&after=4") == [6, 8, 10]
    assert found("region=ams3") == [5]
    assert found("region=ams3&tag=even") == found("tag=%00") == found("region=") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=-1", "after=4294967296", "limit=1&limit=2",
     "tags=a", "limit=%D9%A1", "tag=%ff"],
)  # fmt: skip
def test_bad_parameters_are_named(controller, query):
    answer = controller.get(f"/v1/droplets?{query}")
    assert answer.status == 400
    assert "parameter" in answer.json["errors"][0]


def test_a_batch_of_lines(controller):
    lines = [json.dumps({"droplet_id": n, **droplet(f"t{n}")}).encode() for n in (1, 2, 3)]
    body = b"\r\n\n".join(lines)  # The last line may lack its end, and empty ones are passed over.
    answer = controller.request("POST", "/v1/droplets", body, NDJSON)
    assert answer.json == {"droplets": 3, "created": 3, "replaced": 0}


def test_a_batch_with_faults_registers_nothing_and_names_each_bad_line(controller):
    good = json.dumps({"droplet_id": 1, **droplet("t1")}).encode()
    same_name = json.dumps({"droplet_id": 2, **droplet("t1")}).encode()
    body = b"\n".join([good, b"{", b'{"droplet_id":0,"ports":[]}', b"", same_name])
    answer = controller.request("POST", "/v1/droplets", body, NDJSON)
    assert answer.status == 400
    assert [(e["line"], e["element"], e["pointer"]) for e in answer.json["errors"]] == [
        (2, 1, "#"),
        (3, 2, "#/droplet_id"),
        (3, 2, "#/metadata/region"),
        (5, 3, "#/ports/0/name"),
    ]
    assert controller.get("/v1/droplets").json["droplets"] == []


def test_a_batch_that_meets_a_held_name_registers_nothing(controller):
    controller.put(9, droplet("held"))
    batch = [{"droplet_id": n, **droplet(name)} for n, name in ((1, "a"), (2, "held"))]
    answer = controller.request("POST", "/v1/droplets", batch)
    assert answer.status == 409
    assert answer.json["errors"][0]["held_by"] == 9
    assert controller.get("/v1/droplets/1").status == 404


def test_an_array_is_followed_to_its_first_broken_element(controller):
    body = json.dumps([{"droplet_id": 0, "ports": []}]).encode()[:-1] + b', {"droplet_id": ]'
    answer = controller.request("POST", "/v1/droplets", body, JSON)
    assert answer.status == 400
    assert [error["element"] for error in answer.json["errors"]] == [0, 0, 1]
    assert controller.request("POST", "/v1/droplets", b"{}", JSON).status == 400
    assert controller.request("POST", "/v1/droplets", b"[]", JSON).json["droplets"] == 0


def test_head_is_get_without_its_body(controller):
    controller.put(1, droplet())
    got, head = (controller.request(method, "/v1/droplets/1") for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.body))
    assert head.headers["ETag"] == got.headers["ETag"]


def test_no_secret_is_logged_or_repeated(controller):
    secret = "S3CR3T-S3CR3T"
    metadata = {"user_data": secret, "public_keys": [secret], "auth_key": secret}
    controller.put(1, droplet(**metadata))
    bad = controller.put(2, droplet(**metadata, region=None, dotty_keys=[secret]))
    also = controller.put(3, b'{"metadata": "' + secret.encode(), JSON)
    assert (bad.status, also.status) == (400, 400)
    controller.get("/v1/droplets", token=secret)
    texts = (bad.body.decode(), also.body.decode(), controller.log_text())
    assert all(secret not in text for text in texts)
    assert all(token not in controller.log_text() for token in controller.tokens.values())
