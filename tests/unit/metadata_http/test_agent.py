"""What droplet-agent's reports may say, and when they say nothing new."""

import json

import pytest

from metadata_http.agent import BadReport, is_json, report, says_nothing_new


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        ({"dotty_status": "running", "ssh_info": {"port": 22}}, None),
        ({"dotty_status": "stopped"}, None),
        ({"ssh_info": {"port": 65535, "host_keys": ["ssh-ed25519 AAAA"]}}, None),
        ({}, None),
        ({"dotty_status": None, "ssh_info": None, "hostname": "x"}, {}),
        ({"ssh_info": {"port": 1, "host_keys": None, "more": 1}}, {"ssh_info": {"port": 1}}),
    ],
)
def test_taken(body, taken):
    assert report(json.dumps(body).encode()) == (body if taken is None else taken)


@pytest.mark.parametrize(
    "body",
    [b"", b"nope", b"[]", b"null", b"1", b"\xff", b"[" * 8192, b'{"dotty_status":"\xc3\xa9"}'],
)
def test_malformed(body):
    with pytest.raises(BadReport):
        report(body)


@pytest.mark.parametrize(
    "part",
    [
        {"dotty_status": 1},
        {"dotty_status": "a b"},
        {"dotty_status": "x" * 33},
        {"ssh_info": []},
        {"ssh_info": {}},
        {"ssh_info": {"port": 0}},
        {"ssh_info": {"port": 22.0}},
        {"ssh_info": {"port": False}},
        {"ssh_info": {"port": 22, "host_keys": ["x"] * 17}},
        {"ssh_info": {"port": 22, "host_keys": ["x" * 1025]}},
        {"ssh_info": {"port": 22, "host_keys": [1]}},
        {"ssh_info": {"port": 22, "host_keys": ["a\nb"]}},
    ],
)
def test_of_another_kind(part):
    with pytest.raises(BadReport) as fault:
        report(json.dumps(part).encode())
    assert "x" * 33 not in str(fault.value)


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ('APPLICATION/JSON ;charset="UTF-8"', True),
        ("application/json; charset=latin-1", False),
        ("application/json; charset=utf-8; charset=utf-16", False),
        ("application/merge-patch+json", False),
        ("", False),
    ],
)
def test_media_types(content_type, taken):
    assert is_json(content_type) is taken


KNOWN = {"hostname": "h", "dotty_status": "running", "ssh_info": {"port": 22, "host_keys": ["a"]}}


@pytest.mark.parametrize(
    ("reported", "nothing_new"),
    [
        ({}, True),
        ({"dotty_status": "running"}, True),
        ({"dotty_status": "stopped"}, False),
        ({"ssh_info": {"port": 22}}, True),
        ({"ssh_info": {"port": 22, "host_keys": ["a"]}}, True),
        ({"ssh_info": {"port": 22, "host_keys": ["b"]}}, False),
        ({"ssh_info": {"port": 23}}, False),
        ({"dotty_status": "running", "ssh_info": {"port": 23}}, False),
    ],
)
def test_nothing_new(reported, nothing_new):
    assert says_nothing_new(reported, KNOWN) is nothing_new
    assert says_nothing_new(reported, {}) is (reported == {})
