"""The key file: made once, shared, rotated, of one boot, and closed to everybody else."""

import fcntl
import json
import logging
import os
import stat
import threading

import pytest

from metadata_http import session_keys
from metadata_http.access import LONGEST_TTL
from metadata_http.session_keys import HostSessions, SessionKeys

ROTATION = 6 * 3600
DPID = "00000000000000a1"
BINDING = (602, "tap7", 5, 7)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def worker(tmp_path, clock):
    """Makes one of the processes that share the file."""

    def make(dpid=DPID):
        return HostSessions(dpid, SessionKeys(tmp_path / "keys", clock), clock)

    return make


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys"


def keys_in(file):
    return json.loads(file.read_text())["keys"]


def test_what_one_worker_issues_another_knows(worker):
    one, other = worker(), worker()
    token = one.issue(BINDING, 60)
    assert other.opens(token, BINDING)
    assert worker().opens(token, BINDING)
    assert one.opens(other.issue(BINDING, 60), BINDING)


def test_a_token_ends_with_its_life(worker, clock):
    token = worker().issue(BINDING, 60)
    clock.now += 59.9
    assert worker().opens(token, BINDING)
    clock.now += 0.1
    assert not worker().opens(token, BINDING)


def test_it_is_its_bindings_alone(worker):
    token = worker().issue(BINDING, 60)
    assert not worker().opens(token, (602, "tap7", 6, 7))
    assert not worker("00000000000000a2").opens(token, BINDING)


def test_keys_are_rotated_and_outlive_every_token_of_theirs(worker, clock, file):
    one, other = worker(), worker()
    first = one.issue(BINDING, LONGEST_TTL)
    clock.now += ROTATION - 1
    last = other.issue(BINDING, LONGEST_TTL)
    assert len(keys_in(file)) == 1
    clock.now += 1
    assert not one.opens(first, BINDING)
    of_the_next = one.issue(BINDING, LONGEST_TTL)
    assert of_the_next[:8] != last[:8], "the old key goes on making tokens"
    assert len(keys_in(file)) == 2
    clock.now += LONGEST_TTL - 2
    assert other.opens(last, BINDING)
    assert other.opens(of_the_next, BINDING)
    clock.now += 3
    other.issue(BINDING, 60)
    assert len(keys_in(file)) == 2, "a key that no token needs is kept"


def test_many_at_once_make_one_key(worker, file):
    workers = [worker() for _ in range(8)]
    tokens = []
    threads = [
        threading.Thread(target=lambda one=one: tokens.append(one.issue(BINDING, 60)))
        for one in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys_in(file)) == 1
    assert all(one.opens(token, BINDING) for one in workers for token in tokens)


def test_who_comes_second_waits_for_the_key_of_the_first(worker, file):
    one, other = worker(), worker()
    of_the_first = one.issue(BINDING, 60)
    kept = file.read_bytes()
    file.unlink()
    lock = os.open(file.with_name("keys.lock"), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    tokens = []
    thread = threading.Thread(target=lambda: tokens.append(other.issue(BINDING, 60)))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive(), "it did not wait"
    file.touch(0o600)
    file.write_bytes(kept)
    os.close(lock)
    thread.join()
    assert file.read_bytes() == kept
    assert one.opens(tokens[0], BINDING) and other.opens(of_the_first, BINDING)


def test_only_its_owner_may_read_it(worker, file):
    umask = os.umask(0)
    try:
        worker().issue(BINDING, 60)
    finally:
        os.umask(umask)
    for path in (file, file.with_name("keys.lock")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_that_others_may_have_read_count_no_more(worker, file, caplog):
    one = worker()
    token = one.issue(BINDING, 60)
    file.chmod(0o640)
    assert not one.opens(token, BINDING)
    assert "open to others (mode 640)" in caplog.text
    again = one.issue(BINDING, 60)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert worker().opens(again, BINDING)


def test_without_the_file_no_token_is_good(worker, file):
    one = worker()
    token = one.issue(BINDING, 60)
    file.unlink()
    assert not one.opens(token, BINDING)
    assert not worker().opens(token, BINDING)
    assert one.opens(one.issue(BINDING, 60), BINDING)


def test_a_file_of_an_earlier_boot_opens_nothing(worker, file, monkeypatch):
    token = worker().issue(BINDING, 60)
    monkeypatch.setattr(session_keys, "boot_id", lambda: "another-boot")
    assert not worker().opens(token, BINDING)
    assert worker().opens(worker().issue(BINDING, 60), BINDING)
    assert len(keys_in(file)) == 1


def test_a_file_that_comes_back_from_a_backup_keeps_dead_tokens_dead(worker, file, clock):
    one = worker()
    token = one.issue(BINDING, 60)
    backup = file.read_bytes()
    clock.now += 3 * ROTATION
    one.issue(BINDING, 60)
    file.write_bytes(backup)
    assert not one.opens(token, BINDING)


@pytest.mark.parametrize(
    "damaged",
    [
        lambda text: b"",
        lambda text: text[:40],
        lambda text: b"\xff" + text,
        lambda text: b"[]",
        lambda text: b"7",
        lambda text: text.replace(b'"version": 1', b'"version": 2'),
        lambda text: text.replace(b'"id": "', b'"id": "00'),
        lambda text: text.replace(b'"key": "', b'"key": "zz'),
    ],
)
def test_a_damaged_file_is_replaced_and_no_secret_is_told(worker, file, damaged, caplog):
    caplog.set_level(logging.DEBUG)
    token = worker().issue(BINDING, 60)
    secret = keys_in(file)[0]["key"]
    file.write_bytes(damaged(file.read_bytes()))
    one = worker()
    assert not one.opens(token, BINDING)
    assert one.opens(one.issue(BINDING, 60), BINDING)
    assert secret not in caplog.text


def test_a_file_that_cannot_be_is_said_once(tmp_path, clock, caplog):
    one = HostSessions(DPID, SessionKeys(tmp_path / "nowhere" / "keys", clock), clock)
    assert one.issue(BINDING, 60) is None
    assert one.issue(BINDING, 60) is None
    assert not one.opens("A" * 56, BINDING)
    assert len(caplog.records) == 1


def test_a_link_is_not_followed(worker, file, tmp_path):
    worker().issue(BINDING, 60)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert worker().issue(BINDING, 60) is None
