"""What a transaction is on the wire, and what becomes of it where the switch refuses a part."""

import struct
from collections import Counter

import pytest
from ryu.base import app_manager  # noqa: F401 - first, for Ryu's modules import each other
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_common import ONF_EXPERIMENTER_ID
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.binding.transaction import Transaction
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.pipeline.metering import port_meter
from ryu_apps.pipeline.port_flows import Flows, PortFlows
from ryu_apps.southbound.forms import Codec
from ryu_apps.southbound.sending import Sender
from tests.droplets import META, TALK

SETTINGS = BridgeSettings(meter_pps=2000, meter_burst=4000)
FLOWS = PortFlows(SETTINGS, META, TALK.ofport, TALK.droplet_id, TALK.mac)
OPENS = Transaction(
    add=Flows([FLOWS]), ofports=(TALK.ofport,), set_meters=(port_meter(SETTINGS, TALK.ofport),)
)
_HEADER = struct.Struct("!BBHI")


class Datapath(ProtocolDesc):
    """A connection that keeps what is written."""

    socket = None

    def __init__(self) -> None:
        super().__init__(ofp.OFP_VERSION)
        self.xid = 0xFFFFFFF0  # It runs over meanwhile.
        self.writes: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.writes.append(data)


class Wire:
    """A sender and the switch it talks to, answered by hand."""

    def __init__(self) -> None:
        self.datapath = Datapath()
        self.completed: list[Transaction] = []
        self.failed: list[tuple[dict[int, str], bool]] = []
        self.unmetered: list[dict[int, str]] = []
        self.sender = Sender(
            self.datapath,
            Codec(SETTINGS),
            SETTINGS.cookie,
            self.completed.append,
            lambda _, reasons, undone: self.failed.append((reasons, undone)),
            self.unmetered.append,
            Counter(),
        )

    def read(self) -> list[tuple[str, int]]:
        """What was written since, by kind, with its xid; the last one is answered by `answer`."""
        data, found = b"".join(self.datapath.writes), []
        self.datapath.writes.clear()
        while data:
            _, kind, length, xid = _HEADER.unpack_from(data)
            found.append((_name(kind, data[:length]), xid))
            data = data[length:]
        return found

    def answer(self, messages: list[tuple[str, int]]) -> None:
        """Every barrier, in order."""
        for name, xid in messages:
            if name == "barrier":
                self.sender.barrier_done(xid)


def _name(kind: int, message: bytes) -> str:
    if kind == ofp.OFPT_EXPERIMENTER:
        who, what, _, control = struct.unpack_from("!IIIH", message, _HEADER.size)
        assert who == ONF_EXPERIMENTER_ID
        if what == ofp.ONF_ET_BUNDLE_ADD_MESSAGE:
            return "add"
        return {0: "open", 4: "commit", 6: "discard"}[control]
    return {ofp.OFPT_BARRIER_REQUEST: "barrier", ofp.OFPT_METER_MOD: "meter"}[kind]


def names(messages: list[tuple[str, int]]) -> list[str]:
    return [name for name, _ in messages]


STAGE = ["open", *["add"] * PortFlows.COUNT, "barrier"]


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_a_port_opens_in_two_writes(wire: Wire):
    """Its meter and flows, and when the switch has looked at them the commit."""
    wire.sender.send(OPENS)
    assert len(wire.datapath.writes) == 1
    staged = wire.read()
    # The first barrier: flows use the meter, so that must not be overtaken.
    assert names(staged) == ["meter", "meter", "barrier", *STAGE]
    wire.answer(staged)
    assert len(wire.datapath.writes) == 1
    committed = wire.read()
    assert names(committed) == ["commit", "barrier"]
    assert not wire.completed
    wire.answer(committed)
    assert wire.completed == [OPENS]
    assert not wire.sender.busy


def test_without_a_meter_that_is_refused_its_flows_are_sent_once_more(wire: Wire):
    wire.sender.send(OPENS)
    staged = wire.read()
    for name, xid in staged:
        if name == "meter":
            wire.sender.refused(xid, "none left")
    # A flow that uses it is refused as well, and that is no failure of the flow.
    wire.sender.refused(staged[4][1], "no such meter")
    wire.answer(staged)
    assert wire.unmetered == [{TALK.ofport: "none left"}]
    again = wire.read()
    assert names(again) == ["discard", *STAGE]
    wire.answer(again)
    committed = wire.read()
    assert names(committed) == ["commit", "barrier"]
    wire.answer(committed)
    (done,) = wire.completed
    assert [flow.meter for flow in done.add] == [None] * PortFlows.COUNT
    assert (wire.failed, wire.sender.busy) == ([], False)


def test_a_flow_that_is_refused_without_its_meter_is_a_failure(wire: Wire):
    wire.sender.send(OPENS)
    staged = wire.read()
    wire.sender.refused(staged[1][1], "none left")
    wire.answer(staged)
    again = wire.read()
    wire.sender.refused(again[3][1], "no such field")
    wire.answer(again)
    assert names(wire.read()) == ["discard"]
    assert (wire.completed, wire.failed) == ([], [({TALK.ofport: "no such field"}, True)])


def test_a_meter_that_was_there_is_no_refusal(wire: Wire):
    """OFPMC_ADD is refused, the OFPMC_MODIFY behind it is not."""
    wire.sender.send(OPENS)
    staged = wire.read()
    wire.sender.refused(staged[0][1], "exists")
    wire.answer(staged)
    assert names(wire.read()) == ["commit", "barrier"]
    assert wire.unmetered == []
