"""The registry's disk full, read-only or failing under a real controller: what it says, what stays.

The disks are real: a small tmpfs that is filled up, and an ext4 that gives up as after an error.
"""

import shutil
import subprocess
from contextlib import contextmanager

import pytest

from ryu_apps.store.sqlite import SqliteStore
from tests.http.registry_load import listed
from tests.http.rest_harness import DPID_TEXT, droplet, wait_until
from tests.http.ryu_controller import RyuController

pytestmark = pytest.mark.root

FOLLOW = f"/v1/switches/{DPID_TEXT}/ports?watch=true&server="


@contextmanager
def mounted(folder, *words):
    """Something mounted at `folder` for a while."""
    folder.mkdir()
    subprocess.run(["mount", *words, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=4m", "tmpfs") as disk:
        yield disk


@pytest.fixture
def ext4(tmp_path):
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with mounted(tmp_path / "disk", "-o", "loop", image) as disk:
        yield disk


@pytest.fixture
def controller(tmp_path, request):
    """The controller with its registry, and nothing else, on the disk of the test."""
    disk = request.getfixturevalue(request.param)
    state = tmp_path / "state"
    state.mkdir()
    controller = RyuController(state, registry=disk / "registry.db")
    controller.start()
    yield controller
    controller.kill()


def fill(disk):
    """Take the room that is left, to the last byte; the file that has it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def refused(answer, statuses, words):
    """It is a problem that says what is wrong with what."""
    assert answer.status in statuses, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert words in answer.json["detail"]
    return True


def writes(controller):
    """One of each kind, none of which is answered before this test did so."""
    yield "put", controller.put(9, droplet("tap9"))
    yield "replace", controller.put(7, droplet("tap7", note="x" * 100_000))
    batch = [{"droplet_id": n, **droplet(f"tap{n}")} for n in (10, 11)]
    yield "batch", controller.request("POST", "/v1/droplets", batch)
    event = {"event": "live_migrate"}
    yield "status", controller.request("PUT", "/v1/droplets/7/maintenance", event)
    yield "delete", controller.request("DELETE", "/v1/droplets/7")


def documents(controller):
    return {d["droplet_id"]: d for d in listed(controller)}


def reads_go_on(controller, before):
    assert documents(controller) == before
    assert controller.get("/v1/droplets/7").json == before[7]
    assert controller.get("/v1/switches").status == 200
    assert controller.get("/healthz").status == 200
    assert controller.gauge("ovs_metadata_registry_writable") == 0
    assert refused(controller.get("/readyz"), {503}, "the registry takes no writes")


@pytest.mark.parametrize("controller", ["small_disk"], indirect=True)
def test_a_full_disk_refuses_writes_and_nothing_else_until_there_is_room_again(controller):
    disk = controller.registry.parent
    controller.put(7, droplet("tap7"))
    with controller.watch("&server=known") as follower:
        assert follower.line()["event"] == "waiting"
        ballast = fill(disk)
        # What is left of the WAL's last block may take a few small writes more.
        kept = 0
        while (answer := controller.put(1000 + kept, droplet(f"k{kept}"))).status == 201:
            kept += 1
        refused(answer, {507}, "database or disk is full (SQLITE_FULL)")
        before = documents(controller)
        assert before.keys() == {7, *range(1000, 1000 + kept)}
        for kind, answer in writes(controller):
            assert refused(answer, {507}, str(controller.registry)), kind
        reads_go_on(controller, before)
        refused(controller.get("/v1/backup"), {507}, "cannot make a backup")
        assert follower.line()["event"] == "waiting"
        # One that is known needs no write to come back; a new one could not be waited for.
        with controller.watch("&server=known") as again:
            assert again.line()["event"] == "waiting"
        refused(controller.get(FOLLOW + "new"), {507}, str(controller.registry))

        ballast.unlink()
        wait_until(controller.ready, "it finds that there is room, without being sent a write")
        assert controller.gauge("ovs_metadata_registry_writable") == 1
        assert documents(controller) == before
        for kind, answer in writes(controller):
            assert answer.status in (200, 201, 204), (kind, answer.body)
    controller.restart()
    assert documents(controller).keys() == {*before, 9, 10, 11} - {7}


@pytest.mark.parametrize("controller", ["small_disk"], indirect=True)
def test_what_was_answered_before_the_disk_was_full_survives_a_kill_there(controller):
    """The WAL that it left could not be moved into the file; it is found all the same."""
    controller.put(7, droplet("tap7"))
    ballast = fill(controller.registry.parent)
    with ballast.open("r+b") as file:
        file.truncate(ballast.stat().st_size - (200 << 10))
    kept = 0
    while controller.put(1000 + kept, droplet(f"k{kept}", note="x" * 2000)).status == 201:
        kept += 1
    assert kept > 0
    controller.kill()
    ballast.unlink()
    controller.start()
    assert documents(controller).keys() == {7, *range(1000, 1000 + kept)}


@pytest.mark.parametrize("controller", ["ext4"], indirect=True)
def test_a_disk_that_turns_read_only_refuses_writes_and_nothing_else(controller):
    """As the kernel does after an error of the disk: files that are open for writing included."""
    disk = controller.registry.parent
    controller.put(7, droplet("tap7"))
    before = documents(controller)
    subprocess.run(["mount", "-o", "remount,abort", disk], check=True, stderr=subprocess.DEVNULL)
    for kind, answer in writes(controller):
        assert refused(answer, {503}, str(controller.registry)), kind
        assert answer.headers["Retry-After"] == "2"
    reads_go_on(controller, before)
    controller.kill()
    status, log = controller.refused()
    assert (status, "Traceback" in log) == (78, False)
    assert "Read-only file system" in log
    # Mended, as after a boot; a copy, for the kernel may go on knowing the image as read-only.
    mended = shutil.copy(disk.parent / "image", disk.parent / "mended")
    subprocess.run(["e2fsck", "-fy", mended], check=False, capture_output=True)
    subprocess.run(["umount", disk], check=True)
    subprocess.run(["mount", "-o", "loop", mended, disk], check=True)
    controller.start()
    assert documents(controller) == before


@pytest.mark.parametrize("controller", ["small_disk"], indirect=True)
def test_writes_that_fail_refuse_the_write_and_the_next_one_may_do(controller):
    """The kernel refuses the controller's writes to files (RLIMIT_FSIZE) as a broken disk would."""
    controller.put(7, droplet("tap7"))
    before = documents(controller)
    limit = ["prlimit", f"--pid={controller.process.pid}"]
    subprocess.run([*limit, "--fsize=1:unlimited"], check=True)
    for kind, answer in writes(controller):
        assert refused(answer, {503}, str(controller.registry)), kind
    reads_go_on(controller, before)
    subprocess.run([*limit, "--fsize=unlimited:unlimited"], check=True)
    wait_until(controller.ready, "it finds that the disk takes writes")
    assert documents(controller) == before
    assert controller.put(9, droplet("tap9")).status == 201


@pytest.mark.parametrize("controller", ["ext4"], indirect=True)
def test_what_was_answered_survives_a_power_cut(controller, tmp_path):
    """What the disk has at the moment of an answer, with all that only the kernel knew lost."""
    for n in range(1, 6):
        assert controller.put(n, droplet(f"tap{n}", note="x" * 5000)).status == 201
        cut = shutil.copy(tmp_path / "image", tmp_path / f"cut{n}")
        with mounted(tmp_path / f"disk{n}", "-o", "loop", cut) as disk:
            store = SqliteStore(disk / "registry.db")
            try:
                assert {claim.droplet_id for claim in store.claims()} == set(range(1, n + 1))
            finally:
                store.close()
