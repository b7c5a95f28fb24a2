"""`dropletctl follow-ovsdb`: a real ovsdb-server, a real controller, the real command."""

import json
import os
import subprocess

import pytest

from lab.openvswitch import SCHEMA
from tests.http.real_controller import RealController
from tests.http.rest_harness import wait_until
from tests.packaging.manager import BIN

pytestmark = pytest.mark.slow

MAC = "02:00:00:00:00:07"
OTHERS = {"ports": [{"name": "eth7", "mac": MAC}], "metadata": {"hostname": "not-yours"}}


class Database:
    """An ovsdb-server with Open vSwitch's schema; no switch takes part."""

    def __init__(self, folder):
        self.folder = folder
        self.remote = f"unix:{folder}/db.sock"
        self.run("ovsdb-tool", "create", f"{folder}/conf.db", str(SCHEMA))
        self.process = None
        self.start()
        self.vsctl("init", "--", "set", "Open_vSwitch", ".", "external_ids:system-id=host1")
        self.vsctl("add-br", "br0")

    def start(self):
        command = ["ovsdb-server", f"{self.folder}/conf.db", f"--remote=p{self.remote}"]
        self.process = subprocess.Popen(
            [*command, "--no-chdir", "-vfile:off"],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OVS_RUNDIR": str(self.folder)},
        )
        wait_until((self.folder / "db.sock").exists, "the database listens")

    def stop(self):
        self.process.kill()
        self.process.wait()
        (self.folder / "db.sock").unlink(missing_ok=True)

    def run(self, *command):
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def vsctl(self, *words):
        return self.run("ovs-vsctl", f"--db={self.remote}", "--no-wait", "--timeout=20", *words)

    def add(self, port, **keys):
        """An interface with these external_ids, `_` written for `-`."""
        ids = [f'external_ids:{key.replace("_", "-")}="{value}"' for key, value in keys.items()]
        self.vsctl("add-port", "br0", port, "--", "set", "Interface", port, *ids)


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def controller(tmp_path):
    with RealController(tmp_path) as made:
        yield made


class Follower:
    """The command, running; what it says is in `said`."""

    def __init__(self, controller, database, folder, *words):
        self.log = folder / "follower.log"
        self.command = [
            *(str(BIN / "dropletctl"), "--config-file", str(controller.config), "follow-ovsdb"),
            *("--db", database.remote, *words),
        ]
        self.process = None

    def __enter__(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def once(self):
        return subprocess.run(
            [*self.command, "--once"], capture_output=True, text=True, check=False
        )

    @property
    def said(self):
        return self.log.read_text()


@pytest.fixture
def follower(controller, database, tmp_path):
    return Follower(controller, database, tmp_path, "--documents", str(tmp_path / "documents"))


def registered(controller):
    droplets = controller.request("GET", "/v1/droplets").json["droplets"]
    return {droplet["droplet_id"]: droplet for droplet in droplets}


def put(controller, droplet_id, document):
    answer = controller.request("PUT", f"/v1/droplets/{droplet_id}", document)
    assert answer.status in (200, 201)


def test_interfaces_are_followed_live(controller, database, follower):
    database.add("tap7", droplet_id=7, attached_mac=MAC, droplet_hostname="web-1")
    with follower:
        wait_until(lambda: registered(controller), "the droplet is registered")
        droplet = registered(controller)[7]
        assert droplet["ports"] == [{"name": "tap7", "mac": MAC}]
        assert droplet["metadata"]["hostname"] == "web-1"
        assert droplet["metadata"]["tags"] == ["ovsdb:host1"]
        database.vsctl("set", "Interface", "tap7", 'external_ids:attached-mac="02:00:00:00:00:08"')
        wait_until(
            lambda: registered(controller)[7]["ports"][0]["mac"].endswith("08"), "its new MAC"
        )
        database.vsctl("del-port", "tap7")
        wait_until(lambda: not registered(controller), "its registration goes")


def test_a_restart_of_any_of_the_three_forgets_nothing(controller, database, follower):
    database.add("tap7", droplet_id=7, attached_mac=MAC)
    database.add("tap8", droplet_id=8, attached_mac=MAC)
    with follower:
        wait_until(lambda: set(registered(controller)) == {7, 8}, "both are registered")
        etags = [etag(controller, each) for each in (7, 8)]
        database.stop()
        database.start()
        database.add("tap9", droplet_id=9, attached_mac=MAC)
        wait_until(lambda: 9 in registered(controller), "the database is followed again")
    # What went while nobody followed goes now; what is right is not written again.
    database.vsctl("del-port", "tap9")
    with follower:
        wait_until(lambda: set(registered(controller)) == {7, 8}, "it goes")
    assert [etag(controller, each) for each in (7, 8)] == etags


def etag(controller, droplet_id):
    return controller.request("GET", f"/v1/droplets/{droplet_id}").headers["ETag"]


def test_what_others_registered_is_reported_and_never_touched(controller, database, follower):
    put(controller, 7, OTHERS)
    database.add("tap7", droplet_id=7, attached_mac=MAC)
    database.add("eth7", droplet_id=8, attached_mac=MAC)
    before = registered(controller)
    done = follower.once()
    assert done.returncode == 1
    assert "droplet 7: registered by somebody else" in done.stderr
    assert "eth7 belongs to droplet 7" in done.stderr
    assert registered(controller) == before

    # One of ours that an administrator has replaced since is theirs.
    database.add("tap9", droplet_id=9, attached_mac=MAC)
    follower.once()
    put(controller, 9, {"ports": [{"name": "tap9", "mac": MAC}], "metadata": {}})
    for port in ("tap7", "eth7", "tap9"):
        database.vsctl("del-port", port)
    assert follower.once().returncode == 0
    assert set(registered(controller)) == {7, 9}


def test_a_file_has_the_rest_of_a_document(controller, database, follower, tmp_path):
    (tmp_path / "documents").mkdir()
    file = tmp_path / "documents" / "7.json"
    file.write_text(json.dumps({"metadata": {"user_data": "#cloud-config\n"}}))
    database.add("tap7", droplet_id=7, attached_mac=MAC)
    assert follower.once().returncode == 0
    assert registered(controller)[7]["metadata"]["user_data"] == "#cloud-config\n"
    file.write_text("{")
    done = follower.once()
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert registered(controller)[7]["metadata"]["user_data"] == "#cloud-config\n"


def test_it_waits_for_a_controller_that_is_away(database, follower, controller):
    controller.stop()
    database.add("tap7", droplet_id=7, attached_mac=MAC)
    with follower:
        wait_until(lambda: "cannot" in follower.said or "refused" in follower.said, "it says so")
        assert follower.process.poll() is None
