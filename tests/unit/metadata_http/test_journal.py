"""The snapshot file: what is written is what a killed process's successor loads."""

import json
import os
import stat

import pytest

from metadata_http.journal import Journal, claim_slot
from metadata_http.lease import Lease
from metadata_http.view import Following, advance, snapshot

DPID = "00000000000000a1"
LEASE = Lease(1000.0, confirmed=990.0)


def port_line(revision, droplet_id=7):
    port = {
        "ofport": 602,
        "name": "tap7",
        "hv_local_ip": "100.127.2.90",
        "droplet_id": droplet_id,
        "droplet": {"metadata": {"hostname": "h"}},
    }
    return json.dumps({"event": "port", "revision": revision, "port": port}).encode()


def view(*lines):
    begin = {
        "event": "snapshot",
        "dpid": DPID,
        "revision": 1,
        "hv_local_subnet": "100.127.0.0/16",
        "lease": 10,
    }
    end = {"event": "in-sync", "revision": 1}
    return advance(Following(), [begin, end, *map(json.loads, lines)], 0.0).view


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "snapshot")


def loaded(journal, dpid=DPID):
    view, lease = Journal(journal.path).load(dpid, 0.0)
    return (None if view is None else list(snapshot(view))), lease


def test_nothing_there(journal):
    assert loaded(journal) == (None, Lease())


def test_a_full_view(journal):
    whole = view(port_line(1))
    journal.rewrite(whole, LEASE)
    assert loaded(journal) == (list(snapshot(whole)), LEASE)


def test_only_its_owner_may_read_it(journal):
    os.umask(os.umask(0))  # whatever the umask is
    journal.rewrite(view(), LEASE)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_a_file_of_another_version_is_passed_over(journal):
    """The first version's did not have the metadata options."""
    journal.rewrite(view(port_line(1)), LEASE)
    lines = journal.path.read_bytes()
    assert lines.count(b'"version":2') == 1
    for version in (b"1", b"3", b'"2"'):
        journal.path.write_bytes(lines.replace(b'"version":2', b'"version":' + version))
        assert loaded(journal) == (None, Lease())


def test_changes_are_there_before_anything_is_confirmed(journal):
    journal.rewrite(view(), LEASE)
    changed = view(port_line(2))
    journal.append([port_line(2)], changed, LEASE)
    assert loaded(journal) == (list(snapshot(changed)), LEASE)


def test_the_last_confirmation_counts(journal):
    journal.rewrite(view(), LEASE)
    journal.confirm(view(), Lease(2000.0))
    assert loaded(journal)[1] == Lease(2000.0)
    journal.confirm(view(), Lease())
    assert not loaded(journal)[1].holds(0.0)


def test_a_line_cut_short_was_never_acknowledged(journal):
    journal.rewrite(view(), LEASE)
    journal.append([port_line(2)], view(port_line(2)), LEASE)
    journal.path.write_bytes(journal.path.read_bytes()[:-20])
    assert loaded(journal) == (list(snapshot(view())), LEASE)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"nonsense\n", b"[]\n[]\n", b"\xff\n"])
def test_a_file_that_is_none_is_passed_over(journal, content):
    journal.path.write_bytes(content)
    assert loaded(journal) == (None, Lease())


def test_another_bridges_file_is_passed_over(journal):
    journal.rewrite(view(), LEASE)
    assert loaded(journal, "00000000000000b2") == (None, Lease())


def test_after_a_reboot_the_view_is_no_longer_certain(journal):
    journal.rewrite(view(), LEASE)
    text = journal.path.read_text()
    boot_id = json.loads(text.splitlines()[0])["boot_id"]
    journal.path.write_text(text.replace(boot_id, "another boot"))
    assert loaded(journal) == (list(snapshot(view())), Lease())


def test_the_file_stays_bounded(journal):
    whole = view(port_line(1))
    journal.rewrite(whole, LEASE)
    for n in range(5000):
        journal.confirm(whole, Lease(float(n)))
    assert len(journal.path.read_bytes().splitlines()) < 600
    assert loaded(journal) == (list(snapshot(whole)), Lease(4999.0))


def test_a_write_that_failed_is_followed_by_a_whole_one(journal, tmp_path):
    journal.rewrite(view(), LEASE)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    os.close(full)
    with pytest.raises(OSError):
        journal.append([port_line(2)], view(port_line(2)), LEASE)
    changed = view(port_line(3, droplet_id=8))
    journal.append([port_line(3, droplet_id=8)], changed, LEASE)
    assert loaded(journal) == (list(snapshot(changed)), LEASE)


def test_discard_leaves_nothing_to_load(journal):
    journal.rewrite(view(), LEASE)
    journal.discard()
    journal.discard()
    assert loaded(journal) == (None, Lease())


def test_slots_are_taken_lowest_first_and_free_again_with_their_lock(tmp_path):
    base = tmp_path / "new folder" / "snapshot"
    slot, path, lock = claim_slot(base)
    assert (slot, path) == (0, base)
    second, second_path, second_lock = claim_slot(base)
    assert (second, second_path.name) == (1, "snapshot.1")
    os.close(lock)
    again, _, again_lock = claim_slot(base)
    assert again == 0
    for each in (second_lock, again_lock):
        os.close(each)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o644, True)])
def test_a_snapshot_that_others_could_read_is_told_of(tmp_path, caplog, mode, warned):
    path = tmp_path / "snapshot"
    path.write_text("")
    path.chmod(mode)
    Journal(path).load("00000000000000a1", 0.0)
    assert (f"{path} was open to others (mode {mode:o})" in caplog.text) == warned
