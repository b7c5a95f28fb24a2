"""Reading the counters of one port's flows when somebody asks: a bounded question to the switch.

Open vSwitch finds flows by an exact cookie without looking at others, so a question costs the same
however many ports there are.
"""

from dataclasses import dataclass, field

from ryu.controller.controller import Datapath
from ryu.lib import hub

from ryu_apps.binding.bridge import Bridge
from ryu_apps.binding.hops import Counters, FlowsUnavailable, PortHops, hop_flows
from ryu_apps.pipeline.layout import CookieMark
from ryu_apps.pipeline.port_flows import PortFlows
from ryu_apps.southbound import encode
from ryu_apps.southbound.encode import Image
from ryu_apps.southbound.forms import Codec
from ryu_apps.southbound.news import FlowList
from ryu_apps.southbound.raw import expect_bytes
from ryu_apps.southbound.readback import flow_counters

PATIENCE = 5.0
"""Seconds that a switch has for its answer; a session that is busy takes its time too."""

MOST = 8
"""Questions to one switch at a time; more of them would only wait for each other."""


@dataclass(slots=True, eq=False)
class FlowQuestion:
    """News for a session: somebody waits for the counters of this port's flows."""

    ofport: int
    flows: PortFlows | None = None
    found: dict[Image, Counters] = field(default_factory=dict)
    result: PortHops | FlowsUnavailable | None = None
    _told: hub.Event = field(default_factory=hub.Event)

    def tell(self, result: PortHops | FlowsUnavailable) -> None:
        """Wake whoever waits."""
        self.result = result
        self._told.set()

    def wait(self) -> PortHops:
        """The answer, at most `PATIENCE` later. Raises FlowsUnavailable."""
        self._told.wait(PATIENCE)
        if self.result is None:
            self.result = FlowsUnavailable(f"the switch did not answer within {PATIENCE:g} s")
        if isinstance(self.result, FlowsUnavailable):
            raise self.result
        return self.result


class FlowReader:
    """The questions to one connection, by the xid of what was asked."""

    def __init__(self, datapath: Datapath, codec: Codec) -> None:
        self._datapath = datapath
        self._codec = codec
        self._asked: dict[int, FlowQuestion] = {}

    def ask(self, bridge: Bridge, question: FlowQuestion) -> None:
        """Ask the switch, unless the answer is known: a port without a binding has no flows."""
        given_up = [xid for xid, one in self._asked.items() if one.result is not None]
        for xid in given_up:
            del self._asked[xid]
        if len(self._asked) >= MOST:
            text = f"{MOST} questions for flows of this switch are open, the most there may be"
            question.tell(FlowsUnavailable(text))
            return
        question.flows = bridge.flows_at(question.ofport)
        if question.flows is None:
            question.tell(PortHops(question.ofport))
            return
        request = encode.flows_request(self._datapath, question.flows.cookie, CookieMark.EXACT)
        self._datapath.set_xid(request)
        expect_bytes(self._datapath, request.xid)
        self._asked[request.xid] = question
        self._datapath.send_msg(request)

    def flows(self, news: FlowList) -> bool:
        """A part of an answer; False if it is none to a question of ours."""
        question = self._asked.get(news.xid)
        if question is None:
            return False
        question.found.update(flow_counters(news.message))
        if not news.more:
            del self._asked[news.xid]
            flows = question.flows
            hops = hop_flows(self._codec.port_images(flows), question.found)
            question.tell(PortHops(flows.ofport, flows.cookie, flows.droplet_id or None, hops))
        return True

    def refused(self, xid: int, reason: str) -> bool:
        """The switch refused a message; False if it is none of ours."""
        question = self._asked.pop(xid, None)
        if question is None:
            return False
        question.tell(FlowsUnavailable(f"the switch refused to tell its flows: {reason}"))
        return True

    def close(self) -> None:
        """The connection is over: nobody answers any more."""
        for question in self._asked.values():
            question.tell(FlowsUnavailable("the switch disconnected"))
        self._asked.clear()
