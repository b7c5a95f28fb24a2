"""What the host's addresses, devices and routes mean for droplets."""

import pytest

from metadata_http.way import fault

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
