"""Registrations from external_ids: what is wanted, and what that changes. Values only."""

import pytest

from ryu_apps.dropletctl.ovsdb_source.wanted import Interface, changes, is_ours, wanted

MAC = "A6:a4:8e:4a:e8:70"


def interface(name: str, droplet_id: str = "7", mac: str = MAC, **more: str) -> Interface:
    keys = {key.replace("_", "-"): value for key, value in more.items()}
    return Interface(name, {"droplet-id": droplet_id, "attached-mac": mac, **keys})


def test_an_interface_that_names_its_droplet_is_registered():
    found = wanted([interface("tap7", droplet_hostname="web-1")], {}, "host1")
    assert found.complaints == ()
    assert found.documents == {
        7: {
            "ports": [{"name": "tap7", "mac": MAC.lower()}],
            "metadata": {"hostname": "web-1", "tags": ["ovsdb:host1"]},
        }
    }
    assert is_ours(found.documents[7], "host1")
    assert not is_ours(found.documents[7], "host2")


def test_interfaces_of_one_id_are_one_droplets_in_the_order_of_their_names():
    found = wanted([interface("tap7b"), interface("tap7a"), Interface("eth0")], {}, "h")
    assert [port["name"] for port in found.documents[7]["ports"]] == ["tap7a", "tap7b"]


def test_a_file_has_the_rest_and_the_last_word_but_for_ports_and_mark():
    file = {"user_data_base64": "aGk=", "ports": [], "metadata": {"hostname": "a", "tags": ["t"]}}
    found = wanted([interface("tap7", droplet_hostname="b")], {7: file}, "h")
    assert found.documents[7] == {
        "ports": [{"name": "tap7", "mac": MAC.lower()}],
        "metadata": {"hostname": "a", "tags": ["t", "ovsdb:h"]},
        "user_data_base64": "aGk=",
    }
    assert file["metadata"]["tags"] == ["t"], "the file's value is left as it was"


@pytest.mark.parametrize("droplet_id", ["", "0", "-1", "x", "4294967296", "٧", "1e3"])
def test_an_id_that_is_none_is_told_and_registers_nothing(droplet_id: str):
    found = wanted([interface("tap7", droplet_id)], {}, "h")
    assert found.documents == {}
    assert repr(droplet_id) in found.complaints[0]


def test_what_cannot_be_told_now_leaves_what_is_registered():
    """A typing error in one MAC, or in a file, is no reason to take a droplet's metadata away."""
    kept = {7: {"ports": [], "metadata": {}}, 8: {"ports": [], "metadata": {}}}
    found = wanted([interface("tap7", mac="no"), interface("tap8", "8")], {8: None}, "h")
    assert "'no' is no MAC" in found.complaints[0]
    done = changes(found.documents, kept)
    assert (done.new, done.changed, done.gone) == ({}, {}, ())


def test_changes_are_what_is_new_other_and_gone():
    found = wanted([interface("tap7"), interface("tap8", "8"), interface("tap9", "9")], {}, "h")
    same = {**found.documents[8], "droplet_id": 8, "status": {}}
    same["metadata"] = {**same["metadata"], "public_keys": []}
    other = {**found.documents[9], "ports": [{"name": "tap9", "mac": "02:00:00:00:00:01"}]}
    done = changes(found.documents, {8: same, 9: other, 10: {"ports": []}})
    assert list(done.new) == [7]
    assert list(done.changed) == [9], "what the registry added is no change"
    assert done.gone == (10,)
