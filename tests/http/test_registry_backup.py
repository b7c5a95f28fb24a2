"""Backup and restore as an operator does them, by `dropletctl` on real controller processes."""

import http.client
import json
import os
import stat
import subprocess
import threading
from contextlib import suppress

import pytest

from tests.http.fake_controller import wait_until
from tests.http.rest_harness import DPID, NDJSON, RestController, droplet
from tests.http.ryu_controller import RyuController
from tests.packaging.manager import BIN
from tests.unit.store.test_sqlite_file import break_documents

BATCH = 4000


@pytest.fixture
def controller(tmp_path):
    """The interface under real feeds, moved by the test."""
    controller = RestController(tmp_path)
    yield controller
    controller.kill()


def dropletctl(*words, controller=None, config_file=None):
    """Run the command; its exit status and what it said."""
    environment = {"PATH": os.environ["PATH"]}
    if controller is not None:
        environment["DROPLETCTL_URL"] = f"http://127.0.0.1:{controller.port}"
        environment["DROPLETCTL_TOKEN"] = controller.tokens["admin"]
    if config_file is not None:
        environment["DROPLETCTL_CONFIG_FILE"] = str(config_file)
    done = subprocess.run(
        [BIN / "dropletctl", *words], capture_output=True, text=True, env=environment, check=False
    )
    return done.returncode, done.stdout + done.stderr


def config(controller):
    """A configuration that says where this controller's registry is."""
    file = controller.state_dir / "restore.conf"
    file.write_text(f"[metadata]\nstate_dir = {controller.state_dir}\n")
    return file


def backed_up(controller, name="backup.db"):
    file = controller.state_dir / name
    status, said = dropletctl("backup", file, controller=controller)
    assert (status, said) == (
        0,
        f"{file}: the registry as of now, {file.stat().st_size} bytes, checked\n",
    )
    return file


def test_a_backup_is_the_callers_alone_and_replaces_nothing(controller):
    controller.put(7, droplet("tap7"))
    file = backed_up(controller)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    status, said = dropletctl("backup", file, controller=controller)
    assert (status, file.read_bytes()) == (1, before)
    assert "is there already" in said
    assert [p.name for p in controller.state_dir.iterdir() if ".part" in p.name] == []


def test_a_backup_is_for_admins_and_one_at_a_time(controller):
    assert controller.get("/v1/backup", role="server").status == 403
    assert controller.get("/v1/backup", token="x" * 40).status == 401
    fill(controller)
    connection = controller.connection()
    connection.request("GET", "/v1/backup", headers=controller.headers())
    first = connection.getresponse()
    assert (first.status, first.headers["Content-Type"]) == (200, "application/vnd.sqlite3")
    second = controller.get("/v1/backup")
    assert (second.status, second.headers["Retry-After"]) == (503, "5")
    assert second.json["detail"] == "another backup is being made"
    assert len(first.read()) == int(first.headers["Content-Length"])
    connection.close()
    # The last byte of one is sent a moment before its place is free.
    wait_until(lambda: controller.get("/v1/backup").status == 200, "the next backup")


def test_a_backup_whose_reader_left_makes_way_for_the_next(controller):
    fill(controller)
    connection = controller.connection()
    connection.request("GET", "/v1/backup", headers=controller.headers())
    connection.getresponse().read(1000)
    connection.sock.close()
    connection.close()
    for _ in range(1000):
        if (status := controller.get("/v1/backup").status) != 503:
            break
    assert status == 200


def fill(controller):
    """Enough that it does not fit the sockets' buffers."""
    lines = (
        json.dumps({"droplet_id": n, **droplet(f"tap{n}", note="x" * 4000)})
        for n in range(1, BATCH + 1)
    )
    answer = controller.request("POST", "/v1/droplets", "\n".join(lines).encode(), NDJSON)
    assert answer.status == 200, answer.body


def test_the_controller_answers_while_it_makes_a_backup(controller):
    """Reads, writes and whatever else its one thread has to do."""
    fill(controller)
    head = threading.Event()

    def ask():
        connection = controller.connection()
        connection.request("GET", "/v1/backup", headers=controller.headers())
        response = connection.getresponse()
        head.set()
        response.read()
        connection.close()

    asker = threading.Thread(target=ask)
    asker.start()
    answered = 0
    connection = controller.connection()
    while not head.is_set():
        assert controller.put(7, droplet("tap7"), on=connection).status == 200
        answered += 1
    asker.join()
    assert answered > 2


def test_a_restored_registry_gives_no_revision_again_and_no_server_keeps_a_view_of_before(
    controller,
):
    """A metadata server that comes back with what it was told before the restore is told anew."""
    controller.do("connect", dpid=DPID)
    controller.do("in-sync", dpid=DPID)
    etags = [controller.put(7, droplet("tap7")).headers["ETag"]]
    file = backed_up(controller)
    for life in range(2):
        controller.restart()
        first = controller.do("connect", dpid=DPID)
        for n in range(5):
            etags.append(controller.put(7, droplet(f"tap{life}{n}")).headers["ETag"])
            told = controller.do("publish", dpid=DPID, ofport=1, name="tap7", droplet_id=7)
    controller.kill()
    status, said = dropletctl("restore", file, config_file=config(controller))
    registry = controller.state_dir / "registry.db"
    kept = f"what was there is kept as {registry}.replaced-1\n"
    assert (status, said) == (0, f"{registry}: restored, 1 droplets\n{kept}")
    controller.start()
    assert controller.get("/v1/droplets/7").json["ports"][0]["name"] == "tap7"
    assert controller.do("connect", dpid=DPID) > told > first
    controller.do("in-sync", dpid=DPID)
    # As many changes as the server had seen, so that its revision would be one of ours.
    for _ in range(10):
        controller.do("publish", dpid=DPID, ofport=2, name="tap2", droplet_id=7)
    with controller.watch(f"&since={told}") as watch:
        assert watch.event()["event"] == "snapshot"
    etags.append(controller.put(7, droplet("tap7")).headers["ETag"])
    numbers = [int(etag.strip('"')) for etag in etags]
    assert numbers == sorted(set(numbers))


def test_a_damaged_registry_stops_the_start_and_a_restore_brings_it_back(tmp_path):
    """The whole way, with the controller as operators run it."""
    controller = RyuController(tmp_path)
    try:
        controller.start()
        controller.put(7, droplet("tap7"))
        file = backed_up(controller)
        status, said = dropletctl("restore", file, config_file=controller.config_file)
        assert status == 1
        assert "another controller has it open" in said
        controller.stop()
        damaged = b"\0" * controller.registry.stat().st_size
        controller.registry.write_bytes(damaged)

        status, log = controller.refused()
        assert status == 78  # sysexits.h: EX_CONFIG
        assert f"cannot start: registry {controller.registry}: " in log
        assert "dropletctl restore FILE" in log
        assert "Traceback" not in log
        assert controller.registry.read_bytes() == damaged

        status, said = dropletctl("restore", file, config_file=controller.config_file)
        kept = f"{controller.registry}.replaced-1"
        assert (status, said) == (
            0,
            f"{controller.registry}: restored, 1 droplets\nwhat was there is kept as {kept}\n",
        )
        controller.start()
        assert controller.get("/v1/droplets/7").json["droplet_id"] == 7
        with open(kept, "rb") as old:
            assert old.read() == damaged
    finally:
        controller.kill()


def test_a_registry_with_damaged_documents_is_read_on_and_takes_no_writes(tmp_path):
    controller = RyuController(tmp_path)
    try:
        controller.start()
        for n in range(1, 41):
            controller.put(n, droplet(f"tap{n}", note="x" * 3000))
        controller.stop()
        break_documents(controller.registry, range(20, 41))
        controller.launch()
        reason = "the registry is damaged, see the log"
        wait_until(lambda: reason in said_by(controller, "/readyz"), "it looked and says so")
        controller.read_tokens()
        assert controller.gauge("ovs_metadata_registry_damaged") == 1
        assert "dropletctl restore FILE" in controller.log_text()
        assert controller.get("/v1/droplets/7").json["droplet_id"] == 7
        assert controller.get("/v1/droplets/30").status == 503
        answer = controller.put(7, droplet("tap7"))
        assert (answer.status, "is damaged" in answer.json["detail"]) == (503, True)
    finally:
        controller.kill()


def said_by(controller, path):
    """What it answers there; nothing where it does not yet."""
    with suppress(OSError, http.client.HTTPException):
        return controller.get(path, token=" ").body.decode()
    return ""


def test_a_restore_of_what_is_no_backup_says_so_and_changes_nothing(controller):
    controller.put(7, droplet("tap7"))
    controller.kill()
    no_backup = controller.state_dir / "tokens"
    status, said = dropletctl("restore", no_backup, config_file=config(controller))
    assert status == 1
    assert str(no_backup) in said
    controller.start()
    assert controller.get("/v1/droplets/7").status == 200
