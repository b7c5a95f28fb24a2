"""The talk's encoding by its own numbers, and what the settings of a bridge refuse."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from ryu_apps.pipeline.addressing import Addressing, OfportOutOfRange

TALK = Addressing(IPv4Network("100.127.0.0/16"))


@pytest.mark.parametrize(
    ("ofport", "address"),
    [
        (1, "100.127.0.1"),
        (2, "100.127.0.2"),
        (255, "100.127.0.255"),
        (256, "100.127.1.0"),
        (602, "100.127.2.90"),
        (32768, "100.127.128.0"),
        (65279, "100.127.254.255"),
    ],
)
def test_the_octets_of_an_ofport(ofport: int, address: str):
    assert TALK.hv_local(ofport) == IPv4Address(address)
    assert TALK.ofport_of(IPv4Address(address)) == ofport
    assert TALK.zone(ofport) == ofport


@pytest.mark.parametrize("ofport", [0, 65280, 65534, 65535, 0xFFFFFFFE, -1])
def test_reserved_ofports_have_no_address(ofport: int):
    with pytest.raises(OfportOutOfRange, match=f"ofport {ofport} is not in 1..65279"):
        TALK.hv_local(ofport)


@pytest.mark.parametrize("address", ["100.127.0.0", "100.127.255.0", "100.126.255.255", "10.0.0.5"])
def test_other_addresses_are_nobody_s(address: str):
    with pytest.raises(OfportOutOfRange, match=f"{address} is no hv-local address"):
        TALK.ofport_of(IPv4Address(address))


def test_a_small_subnet_keeps_its_broadcast_address_free():
    small = Addressing(IPv4Network("100.127.0.0/29"))
    assert list(small.ofports) == [1, 2, 3, 4, 5, 6]
    assert small.hv_local(6) == IPv4Address("100.127.0.6")
    with pytest.raises(OfportOutOfRange, match=r"1\.\.6, what hv_local_subnet 100\.127\.0\.0/29"):
        small.hv_local(7)


def test_a_zone_base_moves_the_zones_and_ends_at_the_last():
    based = Addressing(IPv4Network("100.127.0.0/16"), 60000)
    assert based.zone(602) == 60602
    assert based.ofports[-1] == 5535
    with pytest.raises(OfportOutOfRange, match="ofport 5536"):
        based.hv_local(5536)
    with pytest.raises(OfportOutOfRange, match="zone 602 is not of zone base 60000"):
        based.ofport_of_zone(602)


def test_zone_0_is_never_an_ofport_s():
    with pytest.raises(OfportOutOfRange):
        TALK.ofport_of_zone(0)
    assert Addressing(IPv4Network("100.127.0.0/16"), 65534).ofports == range(1, 2)


@pytest.mark.parametrize(
    ("subnet", "base", "complaint"),
    [
        ("100.127.0.0/31", 0, "100.127.0.0/31 holds no ofport"),
        ("100.127.0.0/32", 0, "100.127.0.0/32 holds no ofport"),
        ("100.127.0.0/16", -1, "zone_base -1 is not in 0..65534"),
        ("100.127.0.0/16", 65535, "zone_base 65535 is not in 0..65534"),
    ],
)
def test_settings_that_leave_no_ofport_are_refused(subnet: str, base: int, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Addressing(IPv4Network(subnet), base)


def test_bridges_clash_by_subnet():
    other = Addressing(IPv4Network("100.64.0.0/10"), 40000)
    assert TALK.clash_with(other) == "hv_local_subnet 100.127.0.0/16 overlaps 100.64.0.0/10"
    assert other.clash_with(TALK) == "hv_local_subnet 100.64.0.0/10 overlaps 100.127.0.0/16"


def test_bridges_clash_by_zones():
    small = Addressing(IPv4Network("100.126.0.0/24"), 1000)
    assert TALK.clash_with(small) == "ct zones 1..65279 overlap 1001..1254"


def test_bridges_side_by_side_do_not_clash():
    one = Addressing(IPv4Network("100.127.0.0/24"), 0)
    other = Addressing(IPv4Network("100.127.1.0/24"), one.zone(one.ofports[-1]))
    assert one.clash_with(other) is None
    assert other.clash_with(one) is None
    assert one.clash_with(Addressing(other.hv_local_subnet, other.zone_base - 1)) is not None
