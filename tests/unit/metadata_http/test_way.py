"""What the host's addresses, devices and routes mean for droplets."""

import pytest

from lab.wait import wait_for
from metadata_http.way import Way, fault

META = {"ifname": "meta0", "flags": ["BROADCAST", "UP", "LOWER_UP"]}
DOWN = {"ifname": "meta0", "flags": ["BROADCAST"]}
OTHER = {"ifname": "dummy0", "flags": ["UP"]}


@pytest.mark.parametrize(
    ("holders", "leaves_by"),
    [([META], "meta0"), ([META, OTHER], "dummy0"), ([DOWN, OTHER], "dummy0")],
)
def test_as_it_should_be(holders, leaves_by):
    assert fault("169.254.169.254", holders, leaves_by) == ""


@pytest.mark.parametrize(
    ("holders", "leaves_by", "said"),
    [
        ([], None, "no device of this host has 169.254.169.254"),
        ([DOWN], None, "meta0, which has 169.254.169.254, is down"),
        ([META], None, "no route from 169.254.169.254"),
        ([META], "eth0", "leaves by eth0, not meta0"),
    ],
)
def test_what_is_wrong_is_said_with_its_mend(holders, leaves_by, said):
    text = fault("169.254.169.254", holders, leaves_by)
    assert said in text
    assert "down" in text or "dropletctl host-setup" in text


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo '[]'", "no device of this host has 169.254.169.254"),
        ("exit 2", "no device of this host has 169.254.169.254"),
        ("exit 1", None),
        ("echo Cannot open netlink socket >&2; exit 255", None),
        ("echo nonsense", None),
    ],
)
def test_an_ip_that_fails_says_nothing_of_the_host(script, reason, tmp_path, monkeypatch, caplog):
    command = tmp_path / "ip"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    way = Way("169.254.169.254", lambda: None)
    way.start()
    wait_for(lambda: caplog.records, "its first look")
    way.leave()
    if reason is None:
        assert way.report() == {"reachable": None, "unreachable": ""}
        assert f"is not known: ip -4 -json address show to {way._address}" in caplog.text
    else:
        assert way.report()["unreachable"].startswith(reason)
