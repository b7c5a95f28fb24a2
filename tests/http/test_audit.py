"""The audit log of the real controller: a line for each write, and never a value."""

import json
import os

import pytest

from tests.http.fake_controller import wait_until
from tests.http.real_controller import RealController
from tests.http.rest_harness import droplet

SECRET = "S3CRETinUSERDATA"


class Audited:
    """A controller with an audit log of its own, and what that says."""

    def __init__(self, controller, file):
        self.controller, self.file, self.seen = controller, file, 0

    def ask(self, method, path, document=None, *, role="admin", **options):
        """A request and the one line that it makes."""
        answer = self.controller.request(method, path, document, role=role, **options)
        return answer, self.next()

    def lines(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def next(self):
        wait_until(lambda: len(self.lines()) > self.seen, "a line of the audit log")
        (line,) = self.lines()[self.seen :]
        self.seen += 1
        return line


@pytest.fixture
def audited(tmp_path):
    file = tmp_path / "audit.log"
    with RealController(tmp_path, audit_log=file) as controller:
        yield Audited(controller, file)
        assert SECRET not in file.read_text()
        for role in ("admin", "server"):
            assert controller.token(role) not in file.read_text()


def with_(droplet_id=7, **metadata):
    return {"droplet_id": droplet_id, **droplet(f"tap{droplet_id}", **metadata)}


def test_a_droplets_life(audited):
    answer, line = audited.ask("PUT", "/v1/droplets/7", with_(user_data=SECRET))
    assert answer.status == 201
    assert line["logger"] == "ovs_metadata.audit"
    assert (line["event"], line["level"]) == ("registry_write", "INFO")
    assert (line["action"], line["outcome"], line["status"]) == ("create", "done", 201)
    assert (line["droplet_id"], line["peer"], line["role"]) == (7, "127.0.0.1", "admin")
    tokens = (audited.controller.state_dir / "tokens").read_text().splitlines()
    assert tokens[int(line["token"].removeprefix("line ")) - 1].startswith("admin ")
    assert "metadata.user_data" in line["changed"]
    assert "revision_before" not in line
    created = line["revision"]

    _, line = audited.ask("PUT", "/v1/droplets/7", with_(user_data=SECRET * 2, hostname="h"))
    assert (line["action"], line["revision_before"]) == ("replace", created)
    assert line["changed"] == ["metadata.hostname", "metadata.user_data"]
    assert line["revision"] > created
    replaced = line["revision"]

    _, line = audited.ask("PUT", "/v1/droplets/7", with_(user_data=SECRET * 2, hostname="h"))
    assert (line["outcome"], line["changed"]) == ("unchanged", [])

    path = "/v1/droplets/7/maintenance"
    _, line = audited.ask("PUT", path, {"event": "live_migrate"})
    assert (line["action"], line["changed"]) == ("announce-maintenance", ["maintenance_event"])
    assert line["revision"] > line["revision_before"] > replaced
    _, line = audited.ask("DELETE", path)
    assert (line["action"], line["outcome"]) == ("call-off-maintenance", "done")

    answer, line = audited.ask("DELETE", "/v1/droplets/7")
    assert (answer.status, line["action"], line["outcome"]) == (204, "delete", "done")
    assert line["revision_before"] >= replaced


def test_what_is_refused_and_to_whom(audited):
    audited.ask("PUT", "/v1/droplets/7", with_(user_data=SECRET))
    answer, line = audited.ask(
        "PUT", "/v1/droplets/7", with_(user_data=SECRET), headers={"If-Match": '"999999"'}
    )
    assert (answer.status, line["status"], line["outcome"]) == (412, 412, "refused")
    assert line["reason"] == answer.json["detail"]
    thief = {**with_(8, user_data=SECRET), "ports": with_()["ports"]}
    answer, line = audited.ask("PUT", "/v1/droplets/8", thief)
    assert (answer.status, line["status"], line["droplet_id"]) == (409, 409, 8)
    answer, line = audited.ask("PUT", "/v1/droplets/7", with_(user_data=[SECRET]))
    assert (answer.status, line["status"]) == (400, 400)
    answer, line = audited.ask("DELETE", "/v1/droplets/9")
    assert (answer.status, line["status"], line["action"]) == (404, 404, "delete")
    answer, line = audited.ask("PUT", "/v1/droplets/7", with_(user_data=SECRET), role=None)
    assert (answer.status, line["status"], line["who"]) == (401, 401, "nobody known")
    assert (line["event"], line["level"]) == ("registry_write_denied", "WARNING")
    answer, line = audited.ask("DELETE", "/v1/droplets/7", role="server")
    assert (answer.status, line["status"], line["role"]) == (403, 403, "server")
    assert line["who"].startswith("server (line ")


def test_a_batch_is_one_line_and_bounded(audited):
    batch = [with_(number, user_data=SECRET) for number in range(1, 101)]
    answer, line = audited.ask("POST", "/v1/droplets", batch)
    assert answer.status == 200
    assert (line["action"], line["droplets"], line["created"]) == ("batch", 100, 100)
    assert line["droplet_ids"] == [*range(1, 21), "80 more"]
    _, line = audited.ask("POST", "/v1/droplets", [*batch[:3], with_(200)])
    assert (line["droplets"], line["created"]) == (4, 1)
    answer, line = audited.ask("POST", "/v1/droplets", [{"droplet_id": 0}])
    assert (answer.status, line["outcome"]) == (400, "refused")


def test_reading_is_not_told_and_the_file_is_ours_alone(audited):
    audited.controller.request("GET", "/v1/droplets")
    audited.controller.request("GET", "/v1/droplets/7")
    audited.ask("PUT", "/v1/droplets/7", with_())  # and that is the only line
    assert audited.file.stat().st_mode & 0o777 == 0o600


def test_a_flood_of_the_unknown_does_not_fill_the_disk(audited):
    for _ in range(200):
        assert audited.controller.request("DELETE", "/v1/droplets/7", role=None).status == 401
    answer = audited.controller.request("PUT", "/v1/droplets/7", with_())
    assert answer.status == 201
    wait_until(lambda: audited.lines()[-1]["event"] == "registry_write", "the write")
    assert len(audited.lines()) <= 25


def test_without_a_file_it_is_json_among_the_other_lines(tmp_path):
    with RealController(tmp_path, log_level="error") as controller:
        controller.request("PUT", "/v1/droplets/7", with_(user_data=SECRET))
        wait_until(lambda: '"registry_write"' in controller.log_text(), "the line")
        (line,) = [json.loads(x) for x in controller.log_text().splitlines() if x[0] == "{"]
    assert (line["action"], line["droplet_id"]) == ("create", 7)


def test_a_restore_is_told_in_the_same_file(tmp_path):
    """It is done with no controller to ask."""
    file = tmp_path / "audit.log"
    with RealController(tmp_path, audit_log=file) as controller:
        audited = Audited(controller, file)
        audited.ask("PUT", "/v1/droplets/7", with_(user_data=SECRET))
        done = controller.dropletctl("backup", tmp_path / "backup")
        assert done.returncode == 0, done.stderr
        controller.stop()
        done = controller.dropletctl("restore", tmp_path / "backup")
        assert done.returncode == 0, done.stderr
        line = audited.next()
    assert (line["action"], line["outcome"], line["droplets"]) == ("restore", "done", 1)
    assert (line["registry"], line["file"]) == (
        f"sqlite:///{tmp_path}/registry.db",
        str(tmp_path / "backup"),
    )
    assert "by dropletctl" in line["who"]
    assert SECRET not in file.read_text()


def test_a_migration_is_told_too(tmp_path):
    """And makes the file, if there is none."""
    with RealController(tmp_path, audit_log=tmp_path / "audit.log") as controller:
        controller.request("PUT", "/v1/droplets/7", with_(user_data=SECRET))
        controller.stop()
        (tmp_path / "audit.log").unlink()
        urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("registry", "other")]
        done = controller.dropletctl("migrate", *urls)
        assert done.returncode == 0, done.stderr
    (line,) = Audited(controller, tmp_path / "audit.log").lines()
    assert (line["action"], line["registry"], line["file"]) == ("migrate", urls[1], urls[0])
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_is_no_start(tmp_path):
    controller = RealController(tmp_path, audit_log=tmp_path / "none" / "audit.log")
    assert controller.ended() == os.EX_CONFIG
    assert "cannot start: audit_log = " in controller.log_text()
