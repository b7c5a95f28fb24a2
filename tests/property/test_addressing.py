"""ofport <-> hv-local address <-> ct zone: one-to-one over all ofports, whatever the subnet."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.pipeline.addressing import MAX_OFPORT, Addressing, OfportOutOfRange
from tests.property.effort import effort


@st.composite
def addressings(draw: st.DrawFn) -> Addressing:
    """Any subnet that holds an ofport, with any zone base."""
    prefix = draw(st.integers(1, 30))
    address = draw(st.integers(0, 2**32 - 1))
    subnet = IPv4Network((address, prefix), strict=False)
    return Addressing(subnet, draw(st.integers(0, 65534)))


@pytest.mark.parametrize("base", [0, 256, 30000])
def test_every_ofport_has_its_own_address_and_zone(base: int):
    addressing = Addressing(IPv4Network("100.127.0.0/16"), base)
    addresses = {addressing.hv_local(ofport) for ofport in addressing.ofports}
    zones = {addressing.zone(ofport) for ofport in addressing.ofports}
    assert len(addresses) == len(zones) == len(addressing.ofports)
    assert len(addressing.ofports) == min(MAX_OFPORT, 65535 - base)
    for ofport in addressing.ofports:
        assert addressing.ofport_of(addressing.hv_local(ofport)) == ofport
        assert addressing.ofport_of_zone(addressing.zone(ofport)) == ofport


@given(addressing=addressings(), data=st.data())
@effort(300)
def test_what_is_encoded_is_decoded(addressing: Addressing, data: st.DataObject):
    ofport = data.draw(st.sampled_from(addressing.ofports))
    address, zone = addressing.hv_local(ofport), addressing.zone(ofport)
    assert address in addressing.hv_local_subnet
    assert address != addressing.hv_local_subnet.network_address
    assert address != addressing.hv_local_subnet.broadcast_address
    assert 1 <= zone <= 65535
    assert addressing.ofport_of(address) == ofport
    assert addressing.ofport_of_zone(zone) == ofport


@given(addressing=addressings(), value=st.integers(0, 2**32 - 1))
@effort(300)
def test_any_other_address_or_zone_is_refused(addressing: Addressing, value: int):
    mine = {addressing.hv_local(1), addressing.hv_local(addressing.ofports[-1])}
    low, high = min(mine), max(mine)
    if low <= IPv4Address(value) <= high:
        assert addressing.hv_local(addressing.ofport_of(IPv4Address(value))) == IPv4Address(value)
    else:
        with pytest.raises(OfportOutOfRange):
            addressing.ofport_of(IPv4Address(value))
    if not addressing.zone_base < value <= addressing.zone(addressing.ofports[-1]):
        with pytest.raises(OfportOutOfRange):
            addressing.ofport_of_zone(value)


@given(addressing=addressings(), ofport=st.integers(-1, 70000))
@effort(300)
def test_an_ofport_without_address_or_zone_is_refused(addressing: Addressing, ofport: int):
    if ofport in addressing.ofports:
        assert addressing.zone(ofport) == addressing.zone_base + ofport
        return
    for encode in (addressing.hv_local, addressing.zone):
        with pytest.raises(OfportOutOfRange, match=f"ofport {ofport} is not in 1.."):
            encode(ofport)


@given(one=addressings(), other=addressings())
@effort(300)
def test_bridges_that_do_not_clash_share_no_address_and_no_zone(one: Addressing, other: Addressing):
    assert (one.clash_with(other) is None) == (other.clash_with(one) is None)
    if one.clash_with(other) is None:
        for ofport in {1, one.ofports[-1], one.ofports[len(one.ofports) // 2]}:
            assert one.hv_local(ofport) not in other.hv_local_subnet
            with pytest.raises(OfportOutOfRange):
                other.ofport_of_zone(one.zone(ofport))
