"""What a session does with more news than it can keep; the rest of it needs a switch."""

from ipaddress import IPv4Network

import pytest
from ryu.base import app_manager  # noqa: F401 - first, for Ryu's modules import each other
from ryu.lib import hub

from ryu_apps.binding.fleet import Fleet
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.southbound import session
from ryu_apps.southbound.news import Acknowledged, Closed
from ryu_apps.southbound.session import Session


class Datapath:
    """A connection that can be closed, and nothing else."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_session_overrun_by_news_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; and that the connection is closed is news that it still hears."""
    monkeypatch.setattr(session, "INBOX_LIMIT", 3)
    settings = BridgeSettings(addressing=Addressing(IPv4Network("100.127.0.0/24"), 0))
    fleet = Fleet({}, lambda _: settings, 1, lambda _: ())
    datapath = Datapath()
    made = Session(datapath, fleet.switch(1, 0.0), fleet, lambda dpids, name: None, 0.0, print)
    try:
        for _ in range(3):
            made.deliver(Acknowledged())
        assert (made.waiting, datapath.closed) == (3, 0)
        for _ in range(3):
            made.deliver(Acknowledged())
        assert (made.waiting, datapath.closed) == (3, 1)
        made.deliver(Closed())
        assert made.waiting == 4
    finally:
        hub.kill(made._thread)
