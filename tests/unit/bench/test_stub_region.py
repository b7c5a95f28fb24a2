"""A stub switch with several controllers keeps OpenFlow's rules of roles."""

import struct
from collections import Counter

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from bench.stub_region import switch
from bench.stub_switch import message


def ask(side, role, generation=0):
    """The role that is answered; None for an error."""
    data = message(ofp.OFPT_ROLE_REQUEST, 7, struct.pack("!I4xQ", role, generation))
    answer = side.reply(ofp.OFPT_ROLE_REQUEST, 7, data)
    if answer[1] == ofp.OFPT_ERROR:
        assert struct.unpack_from("!HH", answer, 8) == (
            ofp.OFPET_ROLE_REQUEST_FAILED, ofp.OFPRRFC_STALE,
        )  # fmt: skip
        return None
    return struct.unpack_from("!I", answer, 8)[0]


@pytest.fixture
def sides():
    return switch(1, 2, Counter(), 3)


def test_there_is_one_master_and_the_former_one_is_a_slave(sides):
    one, other, _ = sides
    assert ask(one, ofp.OFPCR_ROLE_MASTER, 1) == ofp.OFPCR_ROLE_MASTER
    assert ask(other, ofp.OFPCR_ROLE_MASTER, 2) == ofp.OFPCR_ROLE_MASTER
    assert ask(one, ofp.OFPCR_ROLE_NOCHANGE) == ofp.OFPCR_ROLE_SLAVE
    assert ask(one, ofp.OFPCR_ROLE_MASTER, 1) is None
    assert ask(other, ofp.OFPCR_ROLE_NOCHANGE) == ofp.OFPCR_ROLE_MASTER


def test_a_slaves_write_is_refused_and_counted_as_late(sides):
    one, other, _ = sides
    meter = message(ofp.OFPT_METER_MOD, 9, struct.pack("!HHI", ofp.OFPMC_ADD, 1, 5))
    assert one.reply(ofp.OFPT_METER_MOD, 9, meter) == b""
    ask(other, ofp.OFPCR_ROLE_MASTER, 1)
    ask(one, ofp.OFPCR_ROLE_SLAVE, 1)
    refused = one.reply(ofp.OFPT_METER_MOD, 9, meter)
    assert struct.unpack_from("!HH", refused, 8) == (ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_IS_SLAVE)
    assert (one.late, other.late) == (1, 0)
    # The tables are the switch's, whoever wrote: there is such a meter.
    assert other.reply(ofp.OFPT_METER_MOD, 9, meter)[1] == ofp.OFPT_ERROR
