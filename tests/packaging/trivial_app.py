"""The least Ryu application that shows OpenFlow, HTTP and a websocket at work; for tests only."""

import json
from typing import Any, ClassVar

from ryu.app.wsgi import ControllerBase, Response, WSGIApplication, route, websocket
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from ryu.ofproto import ofproto_v1_3


class TrivialApp(app_manager.RyuApp):
    """Knows the switches: each that ever sent its features, and those connected now."""

    OFP_VERSIONS: ClassVar[list[int]] = [ofproto_v1_3.OFP_VERSION]
    _CONTEXTS: ClassVar[dict[str, type]] = {"wsgi": WSGIApplication}

    def __init__(self, *args: Any, wsgi: WSGIApplication, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dpids: set[int] = set()
        self.connected: set[int] = set()
        wsgi.register(TrivialPages, {"app": self})

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def greet(self, event: Any) -> None:
        """Take note of a switch's features reply."""
        self.dpids.add(event.msg.datapath.id)

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def come_or_go(self, event: Any) -> None:
        """Take note of a switch that completed the handshake, or is gone."""
        change = self.connected.add if event.state == MAIN_DISPATCHER else self.connected.discard
        change(event.datapath.id)


class TrivialPages(ControllerBase):
    """What the test asks over HTTP."""

    @route("dpids", "/dpids", methods=["GET"])
    def show_dpids(self, _request: Any, **_: Any) -> Response:
        """The dpids seen so far."""
        return as_json(self.data["app"].dpids)

    @route("connected", "/connected", methods=["GET"])
    def show_connected(self, _request: Any, **_: Any) -> Response:
        """The dpids connected now."""
        return as_json(self.data["app"].connected)

    @websocket("echo", "/echo")
    def echo(self, socket: Any) -> None:
        """Send back one message, and end the conversation."""
        socket.send(socket.wait())


def as_json(dpids: set[int]) -> Response:
    """The dpids as a JSON list, in order."""
    body = json.dumps(sorted(dpids)).encode()
    return Response(content_type="application/json", charset="UTF-8", body=body)
