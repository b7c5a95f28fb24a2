"""Several real controllers with one registry: what one is told, all of them know."""

import json
import threading
from contextlib import ExitStack

import pytest

from lab.wait import wait_for
from tests.etcd_fixtures import running_cluster
from tests.http.real_controller import EX_CONFIG, RealController

pytestmark = pytest.mark.root


def document(*names, **metadata):
    ports = [{"name": name, "mac": "02:00:00:00:00:01"} for name in names]
    return {"ports": ports, "metadata": metadata}


@pytest.fixture
def two(etcd_url, tmp_path):
    """Two controllers, each with a state directory of its own."""
    with ExitStack() as stack:
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
        yield [stack.enter_context(RealController(f, registry_url=etcd_url)) for f in folders]


def gauge(controller, name):
    """One of the controller's metrics without labels."""
    text = controller.request("GET", "/metrics", role=None).body.decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))


def test_what_one_is_told_the_other_knows_at_once(two):
    one, other = two
    created = one.request("PUT", "/v1/droplets/7", document("tap7", hostname="a"))
    assert created.status == 201
    there = other.request("GET", "/v1/droplets/7")
    assert (there.status, there.body, there.headers["etag"]) == (
        200,
        created.body,
        created.headers["etag"],
    )
    taken = other.request("PUT", "/v1/droplets/8", document("tap7"))
    assert taken.status == 409
    assert json.loads(taken.body)["errors"][0]["held_by"] == 7
    stale = other.request(
        "PUT", "/v1/droplets/7", document(), {"If-Match": created.headers["etag"]}
    )
    assert stale.status == 200
    again = one.request("PUT", "/v1/droplets/7", document(), {"If-Match": created.headers["etag"]})
    assert again.status == 412
    assert one.request("DELETE", "/v1/droplets/7").status == 204
    assert other.request("GET", "/v1/droplets/7").status == 404


def test_the_index_of_each_follows_the_others_writes(two):
    one, other = two
    batch = [{"droplet_id": n, **document(f"t{n}")} for n in range(1, 301)]
    assert one.request("POST", "/v1/droplets", batch).status == 200
    wait_for(lambda: gauge(other, "ovs_metadata_claimed_ports") == 300, "the other's index")
    assert gauge(other, "ovs_metadata_droplets") == gauge(one, "ovs_metadata_droplets") == 300
    for n in range(1, 11):
        assert other.request("DELETE", f"/v1/droplets/{n}").status == 204
    wait_for(lambda: gauge(one, "ovs_metadata_claimed_ports") == 290, "the first one's index")
    assert gauge(one, "ovs_metadata_droplets") == 290


def test_writes_to_both_at_once_all_happen_and_names_stay_unique(two):
    answers = []

    def register(controller, numbers):
        for n in numbers:
            # Each name is asked for by two droplets, at different controllers.
            answer = controller.request("PUT", f"/v1/droplets/{n}", document(f"t{n // 2}"))
            answers.append((n, answer.status))

    threads = [
        threading.Thread(target=register, args=(two[n % 2], range(2 + n, 82, 4))) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = dict(answers)
    assert len(statuses) == 80
    for name in range(1, 41):
        assert sorted((statuses[2 * name], statuses[2 * name + 1])) == [201, 409]
    wait_for(lambda: gauge(two[0], "ovs_metadata_claimed_ports") == 40, "all names")


def test_too_large_for_etcd_is_413_and_a_batch_that_breaks_off_says_how_far(tmp_path):
    with (
        running_cluster(1, ("--max-request-bytes=60000",)) as cluster,
        RealController(tmp_path, registry_url=cluster.url("r")) as controller,
    ):
        large = document("a", user_data="x" * 62_000)
        refused = controller.request("PUT", "/v1/droplets/1", large)
        assert refused.status == 413
        assert "request is too large" in json.loads(refused.body)["detail"]
        batch = [{"droplet_id": n, **document(f"t{n}")} for n in range(1, 101)]
        batch.append({"droplet_id": 200, **large})
        refused = controller.request("POST", "/v1/droplets", batch)
        assert refused.status == 413
        found = json.loads(refused.body)
        # What shares a transaction with the large one is not.
        stored = int(gauge(controller, "ovs_metadata_droplets"))
        assert 80 < found["stored"] == stored <= 100
        assert found["detail"].startswith(f"{stored} droplets of the batch are stored, then: ")
        repeated = controller.request("POST", "/v1/droplets", batch[:-1])
        assert json.loads(repeated.body) == {
            "droplets": 100, "created": 100 - stored, "replaced": stored,
        }  # fmt: skip


def test_backups_are_etcds_own(two):
    refused = two[0].request("GET", "/v1/backup")
    assert refused.status == 503
    assert "etcdctl snapshot save" in json.loads(refused.body)["detail"]
    restored = two[0].dropletctl("restore", two[0].config)
    assert restored.returncode == 1
    assert "etcdctl snapshot restore" in restored.stderr


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("etcd://127.0.0.1:1/x", "Connection refused"),
        ("etcd://127.0.0.1:1", "write it etcd://HOST:PORT"),
    ],
)
def test_one_that_cannot_have_its_registry_says_why(tmp_path, url, complaint):
    controller = RealController(tmp_path, registry_url=url)
    assert controller.ended() == EX_CONFIG
    assert complaint in controller.log_text()
    assert "Traceback" not in controller.log_text()
