"""A controller without a switch, for the tests of the REST interface: a process of its own.

The real registry, tokens and WSGI callable under eventlet.wsgi, as Ryu runs them; only the
core behind the `Switchboard` is replaced, by real feeds that the test moves through a Unix
socket: one JSON command a line, one JSON answer a line. `--ryu` mounts it into Ryu's own WSGI
application.
"""

import argparse
import json
import logging
import os
import sys
import time

import eventlet

eventlet.monkey_patch()  # As ryu-manager does before it loads an application.

import eventlet.wsgi  # noqa: E402

from ryu_apps.binding.feed import PortFeed  # noqa: E402
from ryu_apps.binding.figures import Figures  # noqa: E402
from ryu_apps.binding.hops import (  # noqa: E402
    HOPS,
    Counters,
    FlowState,
    FlowsUnavailable,
    HopFlow,
    PortHops,
)
from ryu_apps.binding.requests import RequestCounts  # noqa: E402
from ryu_apps.binding.views import PortState, PortView, SwitchState, SwitchView  # noqa: E402
from ryu_apps.northbound.context import Limits  # noqa: E402
from ryu_apps.northbound.registry import Registry  # noqa: E402
from ryu_apps.northbound.rest import RestApp  # noqa: E402
from ryu_apps.northbound.tls import TlsListener, server_context  # noqa: E402
from ryu_apps.northbound.tokens import Tokens  # noqa: E402
from ryu_apps.northbound.watch import Pace  # noqa: E402
from ryu_apps.registry.completion import Defaults  # noqa: E402
from ryu_apps.store import open_store  # noqa: E402

SUBNET = "100.127.0.0/16"

TOO_OLD = 1
"""The one revision that this switchboard does not take an acknowledgement of."""


class Switchboard:
    """Feeds that a test moves by commands, and a record of what followers said."""

    def __init__(self, registry):
        self.registry = registry
        self.feeds = {}
        self.followers = []
        self.changes = []
        self.request_counts = {}
        self.silent = False
        self.packets = range(1, len(HOPS) + 1)
        self.figures = Figures()
        registry.on_change = self.registry_changed

    def registry_changed(self, names):
        """Tell of a droplet's new revision where it is, as the core does."""
        self.changes.append(sorted(names))
        for feed in self.feeds.values():
            for view in feed.ports():
                claim = self.registry.claims.get(view.name)
                if view.name in names and claim and claim.droplet_id == view.droplet_id:
                    feed.publish(view._replace(droplet_revision=claim.revision))

    def switches(self):
        return [
            SwitchView(
                dpid=dpid,
                connected=True,
                state=SwitchState.IN_SYNC if feed.in_sync else SwitchState.SYNCING,
                reason=None,
                ports=len(feed.ports()),
                serving=sum(view.state == PortState.SERVING for view in feed.ports()),
                errors=sum(view.state == PortState.ERROR for view in feed.ports()),
                flows=0,
                hv_local_subnet=SUBNET,
            )
            for dpid, feed in sorted(self.feeds.items())
        ]

    def counts(self):
        return {"switches": len(self.feeds), "followers": 0, "news_waiting": 0}

    def feed(self, dpid):
        return self.feeds.get(dpid)

    def hops(self, dpid, ofport):
        """Each flow was met by as many packets as its place, or as `flows` says."""
        droplet_id = self.feeds[dpid].port(ofport).droplet_id
        if droplet_id is None:
            return PortHops(ofport)
        if self.silent:
            raise FlowsUnavailable("the switch did not answer within 5 s")
        flows = tuple(
            HopFlow(name, 0, 4000, FlowState.PRESENT, Counters(n, n * 64, 1.5))
            for name, n in zip(HOPS, self.packets, strict=True)
        )
        return PortHops(ofport, 0x6D64 << 48 | ofport << 32 | droplet_id, droplet_id, flows)

    def follow(self, dpid, server):
        self.followers.append(["follow", dpid, server])

    def unfollow(self, dpid, server):
        self.followers.append(["unfollow", dpid, server])
        self.request_counts.get(dpid, RequestCounts()).forget(server)

    def acknowledge(self, dpid, server, revision):
        self.followers.append(["acknowledge", dpid, server, revision])
        return revision != TOO_OLD

    def count_requests(self, dpid, server, counts, view_age):
        if not any(entry[1:3] == [dpid, server] for entry in self.followers):
            return False
        told = self.request_counts.setdefault(dpid, RequestCounts())
        told.tell(server, counts, view_age, self.feeds[dpid].port, time.monotonic())
        return True

    def elsewhere(self, _dpid):
        return None

    def requests(self, dpid):
        told, now = self.request_counts.get(dpid, RequestCounts()), time.monotonic()
        return told.servers(now), told.droplets(self.feeds[dpid].port, now)

    def do(self, command, dpid=None, **arguments):
        feed = self.feeds.get(dpid)
        if command == "connect":
            first = self.registry.boot_count << 32
            self.feeds[dpid] = PortFeed(dpid, SUBNET, first)
            return first
        if command == "in-sync":
            return feed.mark_in_sync()
        if command == "flows":
            self.packets = arguments["packets"]
            return None
        if command == "silence":
            self.silent = arguments["silent"]
            return None
        if command == "remove":
            return feed.remove(arguments["ofport"])
        if command == "forget":
            self.feeds.clear()
            self.followers.clear()
            self.request_counts.clear()
            return None
        if command == "follow":
            return self.follow(dpid, arguments["server"])
        if command == "publish":
            return self._publish(feed, **arguments)
        if command == "publish-all":
            return [self._publish(feed, **port) for port in arguments["ports"]][-1]
        if command == "claim":
            claim = self.registry.claims.get(arguments["name"])
            return claim and [claim.droplet_id, claim.mac, claim.dpid, claim.revision]
        return getattr(self, command)

    @staticmethod
    def _publish(feed, ofport, name, droplet_id=None, elsewhere=None):
        high, low = divmod(ofport, 256)
        view = PortView(ofport, name, f"100.127.{high}.{low}")
        if droplet_id is not None:
            view = view._replace(droplet_id=droplet_id, state=PortState.SERVING)
        if elsewhere is not None:
            view = view._replace(state=PortState.ERROR, reason=elsewhere, elsewhere=True)
        return feed.publish(view, new_binding=droplet_id is not None)


def serve_commands(path, switchboard):
    """Take commands from a test, one client at a time or many."""
    listener = eventlet.listen(path, family=eventlet.green.socket.AF_UNIX)

    def serve(client):
        stream = client.makefile("rw")
        for line in stream:
            stream.write(json.dumps(switchboard.do(**json.loads(line))) + "\n")
            stream.flush()

    while True:
        client, _ = listener.accept()
        eventlet.spawn_n(serve, client)


def serve_by_ryu(app, idle_seconds, tls=None):
    """Serve `app` as the controller does."""
    import ryu.app.wsgi
    from ryu import cfg

    from ryu_apps.northbound.mount import mount

    outer = ryu.app.wsgi.WSGIApplication()
    mount(outer, app, tls, idle_seconds=idle_seconds)
    cfg.CONF.set_override("wsapi_host", "127.0.0.1")
    cfg.CONF.set_override("wsapi_port", 0)
    server = ryu.app.wsgi.WSGIServer(outer)
    eventlet.sleep(0)
    print(server.server.getsockname()[1], flush=True)
    server()


def main():
    """Serve until killed; the first line of output is the REST port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("state_dir")
    parser.add_argument("--limits", type=json.loads, default={})
    parser.add_argument("--pace", type=json.loads, default={})
    parser.add_argument("--not-ready", action="append", default=[])
    parser.add_argument("--ryu", action="store_true")
    parser.add_argument("--tls", nargs="+", help="certificate, key and perhaps clients' authority")
    parser.add_argument("--handshake-seconds", type=float, default=10)
    parser.add_argument("--idle", type=float, default=60.0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    registry = Registry(
        open_store(f"sqlite://{options.state_dir}/registry.db"),
        defaults=Defaults(nameservers=("192.0.2.53",)),
    )
    switchboard = Switchboard(registry)
    app = RestApp(
        registry,
        switchboard,
        Tokens(f"{options.state_dir}/tokens"),
        limits=Limits(**options.limits),
        pace=Pace(**options.pace),
        ready=lambda: options.not_ready,
    )
    commands = f"{options.state_dir}/commands"
    if os.path.exists(commands):
        os.unlink(commands)  # Of the one that was killed.
    eventlet.spawn_n(serve_commands, commands, switchboard)
    if options.ryu:
        serve_by_ryu(app, options.idle, server_context(*options.tls) if options.tls else None)
        return
    listener = eventlet.listen(("127.0.0.1", 0))
    eventlet.sleep(0)
    print(listener.getsockname()[1], flush=True)
    if options.tls:
        context = server_context(*options.tls)
        listener = TlsListener(listener, context, seconds=options.handshake_seconds)
    eventlet.wsgi.server(listener, app, log=sys.stderr)


if __name__ == "__main__":
    main()
