"""Who leads a switch: the registry's word, the switch's answers, and what is made of both."""

import itertools
from collections import Counter
from dataclasses import dataclass, field

import eventlet
import pytest
from ryu.base import app_manager  # noqa: F401 - first, for Ryu's modules import each other
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser

from ryu_apps.southbound import roles as module
from ryu_apps.southbound.roles import Roles

ME, OTHER = 1, 2


class Away(Exception):
    """The registry does not answer."""


@dataclass
class Leader:
    controller: int
    term: int


@dataclass
class Leadership:
    """A registry of one switch's leader, whose news are told at once."""

    me: int = ME
    controllers: frozenset = frozenset({ME, OTHER})
    leaders: dict = field(default_factory=dict)
    terms: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    away: bool = False
    wisher: int | None = None

    def leader(self, dpid):
        return self.leaders.get(dpid)

    def leads(self):
        return Counter(leader.controller for leader in self.leaders.values())

    def take_wish(self, _dpid):
        wisher, self.wisher = self.wisher, None
        return wisher

    def name(self, controller):
        return f"controller {controller}"

    def claim(self, dpid):
        self.asked.append("claim")
        if self.away:
            raise Away("the registry is away")
        if dpid in self.leaders:
            return None
        return self.give(dpid, ME)

    def give(self, dpid, controller):
        self.terms[dpid] = self.terms.get(dpid, 0) + 1
        self.leaders[dpid] = Leader(controller, self.terms[dpid])
        return self.terms[dpid]

    def resign(self, dpid, term):
        self.asked.append(("resign", term))
        if self.leaders.get(dpid) == Leader(ME, term):
            del self.leaders[dpid]

    def wish(self, dpid):
        self.asked.append(("wish", dpid))


class Switches:
    """What the switchboard was told."""

    def __init__(self):
        self.told = []
        self.away = False

    def prepare(self, _dpid):
        if self.away:
            raise Away("who follows is not known")

    def connected(self, _datapath, term):
        self.told.append(("lead", term))

    def stand_by(self, _datapath, reason):
        self.told.append(("stand by", reason))

    def disconnected(self, _datapath):
        self.told.append(("gone",))


class Switch:
    """Answers role requests as Open vSwitch does: one master, no generation that is older."""

    id = 7

    def __init__(self, roles):
        self.ofproto, self.ofproto_parser = ofp, parser
        self.xids = itertools.count(1)
        self.roles = roles
        self.role = ofp.OFPCR_ROLE_EQUAL
        self.generation = 0
        self.silent = False

    def set_xid(self, message):
        message.set_xid(next(self.xids))

    def close(self):
        self.silent = True

    def send_msg(self, message):
        if not self.silent:
            eventlet.spawn(self.answer, message)

    def answer(self, message):
        if message.role != ofp.OFPCR_ROLE_NOCHANGE:
            if message.generation_id < self.generation:
                self.roles().refused(self, message.xid)
                return
            self.role, self.generation = message.role, message.generation_id
        self.roles().replied(self, message.xid, self.role)

    def taken(self, generation):
        """Another controller became its master."""
        self.role, self.generation = ofp.OFPCR_ROLE_SLAVE, generation


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(module, "_AGAIN_S", 0.02)
    monkeypatch.setattr(module, "_ANSWER_S", 0.2)
    monkeypatch.setattr(module.random, "uniform", lambda _low, _high: 0)

    class World:
        def __init__(self):
            self.leadership = Leadership()
            self.switches = Switches()

        def connect(self):
            self.roles.connected(self.switch)

        def settle(self, until):
            with eventlet.Timeout(5):
                while not until():
                    eventlet.sleep(0.005)

        def led(self):
            return self.switches.told[-1][0] == "lead"

    made = World()
    made.roles = Roles(made.leadership, made.switches, Away)
    made.switch = Switch(lambda: made.roles)
    yield made
    # Without a connection nothing is left to settle.
    made.roles._datapaths.clear()
    with eventlet.Timeout(5):
        while made.roles._busy:
            eventlet.sleep(0.01)


def test_a_switch_that_nobody_leads_is_claimed_and_led_in_a_new_term(world):
    world.leadership.terms[7] = 4
    world.connect()
    world.settle(world.led)
    assert world.switches.told[-1] == ("lead", 5)
    assert (world.switch.role, world.switch.generation) == (ofp.OFPCR_ROLE_MASTER, 5)
    assert world.roles.counts == (1, 1)
    assert world.roles.leads(7)
    assert world.roles.elsewhere(7) is None


def test_a_switch_that_another_leads_is_left_to_it_until_it_is_free(world):
    world.leadership.give(7, OTHER)
    world.connect()
    world.settle(lambda: world.switch.role == ofp.OFPCR_ROLE_SLAVE)
    assert world.switches.told[-1] == ("stand by", "controller 2 leads it")
    assert world.roles.elsewhere(7) == "controller 2 leads it"
    assert not world.roles.leads(7)
    assert "claim" not in world.leadership.asked
    del world.leadership.leaders[7]
    world.roles.look([7])
    world.settle(world.led)
    assert world.switch.generation == 2


def test_a_leader_whom_the_switch_does_not_know_any_more_vouches_for_nothing(world):
    world.connect()
    world.settle(world.led)
    world.switch.taken(9)
    world.leadership.leaders[7] = Leader(OTHER, 9)
    assert not world.roles.leads(7)
    assert world.switches.told[-1][0] == "stand by"


def test_a_switch_that_does_not_answer_is_not_vouched_for(world):
    world.connect()
    world.settle(world.led)
    world.switch.silent = True
    assert not world.roles.leads(7)


def test_a_term_that_the_switch_refuses_is_given_back_and_a_later_one_taken(world):
    world.switch.generation = 3
    world.connect()
    world.settle(world.led)
    assert world.switches.told[-1] == ("lead", 3)
    assert [each for each in world.leadership.asked if each != "claim"] == [
        ("resign", 1),
        ("resign", 2),
    ]


def test_a_registry_that_is_away_is_asked_again(world):
    world.leadership.away = True
    world.connect()
    world.settle(lambda: len(world.leadership.asked) > 2)
    assert world.switches.told[-1] == ("stand by", "nobody leads it yet")
    world.leadership.away = False
    world.settle(world.led)


def test_a_switch_is_not_led_before_it_is_known_who_follows_it(world):
    world.switches.away = True
    world.connect()
    world.settle(lambda: world.switch.role == ofp.OFPCR_ROLE_MASTER)
    eventlet.sleep(0.1)
    assert not world.led()
    assert not world.roles.leads(7)
    world.switches.away = False
    world.settle(world.led)
    assert world.switches.told[-1] == ("lead", 1)
    assert world.roles.leads(7)


def test_what_is_led_goes_on_while_the_registry_is_away(world):
    world.connect()
    world.settle(world.led)
    world.leadership.away = True
    assert world.roles.leads(7)


def test_a_connection_that_ends_gives_the_switch_up(world):
    world.connect()
    world.settle(world.led)
    world.roles.disconnected(world.switch)
    assert world.switches.told[-1] == ("gone",)
    world.settle(lambda: ("resign", 1) in world.leadership.asked)
    assert world.roles.counts == (0, 0)


def test_a_switch_is_given_up_to_who_leads_fewer_and_only_then(world):
    world.connect()
    world.settle(world.led)
    world.leadership.wisher = OTHER
    world.roles.look([7])
    eventlet.sleep(0.1)
    assert world.roles.counts == (1, 1), "one to none is as fair as none to one"
    world.roles._leading |= {8: 1, 9: 1}
    world.leadership.wisher = OTHER
    world.roles.look([7])
    world.settle(lambda: ("resign", 1) in world.leadership.asked)
    assert ("stand by", "given up to another controller") in world.switches.told


def test_news_that_come_while_a_switch_is_settled_are_not_lost(world):
    world.switch.silent = True
    world.leadership.give(7, OTHER)
    world.connect()
    eventlet.sleep(0.05)  # It waits for the switch's answer now.
    del world.leadership.leaders[7]
    world.roles.look([7])
    world.switch.silent = False
    world.settle(world.led)


def test_a_wish_of_a_controller_that_is_gone_is_passed_over(world):
    world.connect()
    world.settle(world.led)
    world.roles._leading |= {8: 1, 9: 1}
    world.leadership.controllers = frozenset({ME})
    world.leadership.wisher = OTHER
    world.roles.look([7])
    eventlet.sleep(0.1)
    assert ("resign", 1) not in world.leadership.asked


def test_what_was_given_up_counts_at_once(world):
    """Signs of life are seconds old: by them one would give up everything, and get it back."""
    world.connect()
    world.settle(world.led)
    world.roles._leading |= {8: 1}
    world.leadership.leaders |= {8: Leader(ME, 1), 9: Leader(OTHER, 1)}
    world.leadership.wisher = OTHER
    world.roles.look([7])
    eventlet.sleep(0.1)
    assert world.roles.counts[1] == 2
