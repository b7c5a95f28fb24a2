"""What a droplet's agent may report, how reports merge, and what is served of them."""

import pytest

from ryu_apps.registry import status
from ryu_apps.registry.agent import MAX_HOST_KEY, MAX_HOST_KEYS
from ryu_apps.registry.completion import Defaults, complete, served
from ryu_apps.registry.droplet import read_droplet
from ryu_apps.registry.faults import InvalidDocument


def droplet(**metadata):
    return read_droplet({"ports": [], "metadata": {"region": "r"} | metadata}, 7)


def places(read, document):
    with pytest.raises(InvalidDocument) as refused:
        read(document)
    return {fault.pointer for fault in refused.value.faults}


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"dotty_status": "running", "ssh_info": {"port": 22}},  # As droplet-agent sends it.
        {"dotty_status": "stopped"},
        {"dotty_status": "installed"},
        {"dotty_status": None, "ssh_info": None},
        {"ssh_info": {"port": 65535, "host_keys": ["k" * MAX_HOST_KEY] * MAX_HOST_KEYS}},
        {"ssh_info": {"port": 1, "host_keys": []}},
        {"ssh_info": {"port": 1, "host_keys": None}},
    ],
)
def test_what_an_agent_reports_is_taken_as_it_is(report):
    assert status.read_agent_report(report) == {"agent": report}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ([], {""}),
        (None, {""}),
        ("running", {""}),
        ({"dotty_status": "broken"}, {"/dotty_status"}),
        ({"dotty_status": ["running"]}, {"/dotty_status"}),
        ({"dotty_status": True}, {"/dotty_status"}),
        ({"ssh_info": 22}, {"/ssh_info"}),
        ({"ssh_info": {}}, {"/ssh_info/port"}),
        ({"ssh_info": {"port": None}}, {"/ssh_info/port"}),
        ({"ssh_info": {"port": "22"}}, {"/ssh_info/port"}),
        ({"ssh_info": {"port": 22.0}}, {"/ssh_info/port"}),
        ({"ssh_info": {"port": True}}, {"/ssh_info/port"}),
        ({"ssh_info": {"port": 65536}}, {"/ssh_info/port"}),
        ({"ssh_info": {"port": 22, "user": "root"}}, {"/ssh_info/user"}),
        ({"ssh_info": {"port": 22, "host_keys": "k"}}, {"/ssh_info/host_keys"}),
        ({"ssh_info": {"port": 22, "host_keys": ["k"] * 17}}, {"/ssh_info/host_keys"}),
        ({"ssh_info": {"port": 22, "host_keys": ["", 5]}},
         {"/ssh_info/host_keys/0", "/ssh_info/host_keys/1"}),
        ({"ssh_info": {"port": 22, "host_keys": ["k" * 4097]}}, {"/ssh_info/host_keys/0"}),
        ({"droplet_id": 8, "public_keys": [], "dotty_status": 1},
         {"/droplet_id", "/public_keys", "/dotty_status"}),
    ],
)  # fmt: skip
def test_anything_else_is_refused_at_its_place(report, expected):
    assert places(status.read_agent_report, report) == expected


def test_no_host_key_is_repeated_in_a_refusal():
    with pytest.raises(InvalidDocument) as refused:
        status.read_agent_report({"ssh_info": {"port": 22, "host_keys": ["S3CR3T\n"]}})
    assert "S3CR3T" not in str(refused.value)


# The test cases of RFC 7396, appendix A, that a status can meet.
@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"a": "foo"}, {"a": {"b": "c"}}, {"a": {"b": "c"}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        # Ours: a part in which nothing is left goes.
        ({"a": {"b": "c"}, "x": 1}, {"a": {"b": None}}, {"x": 1}),
    ],
)
def test_a_status_changes_by_merge_patches(before, patch, after):
    kept = repr(before)
    assert status.patched(before, patch) == after
    assert repr(before) == kept


def test_a_status_is_stored_and_read_back_and_none_is_nothing():
    given = status.patched(status.NO_STATUS, {"agent": {"dotty_status": "running"}})
    assert status.decode(status.encode(given)) == given
    assert status.encode(status.patched(given, {"agent": {"dotty_status": None}})) is None
    assert status.decode(None) == {}


@pytest.mark.parametrize(
    ("metadata", "left"),
    [
        ({}, {"dotty_status": "running", "ssh_info": {"port": 22}}),
        ({"dotty_status": "stopped"}, {"ssh_info": {"port": 22}}),
        ({"dotty_status": None}, {"dotty_status": "running", "ssh_info": {"port": 22}}),
        ({"ssh_info": {}}, {"dotty_status": "running"}),
        ({"dotty_status": "x", "ssh_info": {"port": 1}}, None),
    ],
)
def test_a_document_takes_out_of_the_status_what_it_says_itself(metadata, left):
    before = {"agent": {"dotty_status": "running", "ssh_info": {"port": 22}}, "other": 1}
    after = status.patched(before, status.registering(droplet(**metadata).metadata))
    assert after == ({"other": 1} if left is None else {"other": 1, "agent": left})


def test_what_the_agent_said_is_served_before_what_was_registered():
    given = droplet(dotty_status="installed", ssh_info={"port": 1})
    report = {"agent": {"dotty_status": "running"}}
    document = complete(given, Defaults(), report)
    assert (document["dotty_status"], document["ssh_info"]) == ("running", {"port": 1})
    assert list(document)[-2:] == ["dotty_status", "ssh_info"]
    assert given.metadata["dotty_status"] == "installed"


def test_formats_and_the_maintenance_event_are_served_beside_the_document():
    told = served(droplet(), Defaults())
    assert (told["formats"], told["maintenance_event"]) == (None, None)
    configured = Defaults(formats=("digitalocean", "ec2"))
    assert served(droplet(), configured)["formats"] == ["digitalocean", "ec2"]
    own = read_droplet({"ports": [], "metadata": {"region": "r"}, "formats": ["openstack"]}, 7)
    told = served(own, configured, status.read_maintenance({"event": "live_migrate"}))
    assert (told["formats"], told["maintenance_event"]) == (["openstack"], "live_migrate")
    assert "maintenance_event" not in told["metadata"]


@pytest.mark.parametrize("given", [None, [], {}, {"event": "reboot"}, {"event": ["live_migrate"]}])
def test_only_known_events_are_announced(given):
    assert places(status.read_maintenance, given) == {"/event" if isinstance(given, dict) else ""}
