"""The application `ryu-manager` loads: events in, core asked, messages out; nothing decided here.

ryu-manager --config-file FILE ryu_apps.metadata_controller
"""

import logging
import os
import socket
import sys
from typing import Any, ClassVar

from ryu import cfg
from ryu.app.wsgi import WSGIApplication
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    HANDSHAKE_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp

from ovs_metadata_logs import say
from ovs_metadata_logs.outlet import WatchedFile
from ryu_apps import events
from ryu_apps.binding.fleet import Fleet
from ryu_apps.northbound.mount import mount
from ryu_apps.northbound.registry import Registry
from ryu_apps.northbound.rest import RestApp
from ryu_apps.northbound.servers import KnownServers
from ryu_apps.northbound.tls import TlsRefused, server_context
from ryu_apps.northbound.tokens import Tokens, TokensRefused
from ryu_apps.registry.completion import Defaults
from ryu_apps.settings import (
    RestSettings,
    Settings,
    SettingsError,
    read_log_settings,
    read_settings,
    require_protected,
)
from ryu_apps.southbound import meters
from ryu_apps.southbound.heap import look_at_all, look_seldom
from ryu_apps.southbound.interrupt import interrupt_main
from ryu_apps.southbound.listeners import end_with_listener, listen_alone
from ryu_apps.southbound.logs import write_logs
from ryu_apps.southbound.manager import keep_manager_informed, tell_stopping
from ryu_apps.southbound.news import (
    BarrierDone,
    FlowChanges,
    FlowCount,
    FlowList,
    MeterLimit,
    MeterList,
    PortList,
    PortNews,
    Refusal,
)
from ryu_apps.southbound.raw import is_flow_monitor
from ryu_apps.southbound.readback import refusal_reason, switch_port
from ryu_apps.southbound.roles import Roles
from ryu_apps.southbound.switchboard import Switchboard
from ryu_apps.store import EtcdLogin, open_store
from ryu_apps.store.interface import Presence, StoreError

LOG = logging.getLogger(__name__)

# sysexits.h: the configuration is at fault.
EX_CONFIG = 78

_NAME = f"{socket.gethostname()}:{os.getpid()}"
"""Ours among several controllers, for people."""

# Ryu's REST would listen on every address, droplet-facing ones included.
cfg.CONF.set_default("wsapi_host", "127.0.0.1")

# Here, before Ryu makes any.
listen_alone()

# A native thread that writes to the store gives Python's lock up at every statement, and while the
# hub's thread is at work it waits so long, 5 ms by default, to have it again: ten times a commit.
sys.setswitchinterval(0.0005)

# And here, so that all but one line of Ryu's has our form: that it loads us.
LOGS = write_logs(*read_log_settings(cfg.CONF))

# Here, before the registry is read.
look_seldom()


class MetadataController(app_manager.RyuApp):
    """Droplets to their metadata, on every switch that connects."""

    OFP_VERSIONS: ClassVar = [ofp.OFP_VERSION]
    _CONTEXTS: ClassVar = {"wsgi": WSGIApplication}

    def __init__(self, *args: Any, wsgi: WSGIApplication, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            settings = read_settings(cfg.CONF)
            require_protected(cfg.CONF, settings.rest)
            tls = _tls(settings.rest)
            store = open_store(settings.registry_url, EtcdLogin(**settings.etcd))
            tokens = Tokens(settings.tokens_file)
            _open_audit_log(settings)
        except (SettingsError, StoreError, TlsRefused, TokensRefused) as error:
            # ryu-manager would show a trace; this is the operator's to mend, so say it plainly.
            say(LOG, events.CANNOT_START, reason=error)
            sys.exit(EX_CONFIG)
        defaults = Defaults(region=settings.region, nameservers=settings.nameservers)
        registry = self._registry = Registry(store, defaults=defaults)
        servers = KnownServers(store)
        fleet = Fleet(
            registry.claims,
            settings.bridge,
            registry.boot_count << 32,
            servers.of,
            registry.is_current,
            registry.whereabouts,
        )
        self._switchboard = Switchboard(fleet, servers, settings.ovsdb)
        registry.on_change = self._switchboard.reconsider
        self._roles: Roles | None = None
        self._following, self._leadership = registry.following, registry.leadership
        if self._following is not None and self._leadership is not None:
            self._following.on_current = lambda: self._switchboard.reconsider(fleet.held_back())
            self._roles = roles = Roles(self._leadership, self._switchboard, StoreError)
            self._switchboard.roles, self._leadership.on_news = roles, roles.look
            self._following.presence = Presence(_NAME)
        mount(wsgi, RestApp(registry, self._switchboard, tokens), tls)
        self._status = f"registry {settings.registry_url}: {registry.count} droplets at the start"
        say(LOG, events.STARTED, registry=settings.registry_url, droplets=registry.count)

    def start(self) -> None:
        """Ryu calls this when all applications are there."""
        super().start()
        interrupt_main()
        hub.spawn(self._registry.check)
        self._endless = (
            hub.spawn(self._switchboard.forget_lapsed_servers),
            hub.spawn(look_at_all, self._switchboard.is_taking_over),
            hub.spawn(end_with_listener, raise_error=True),
            hub.spawn(keep_manager_informed, self._status),
        )
        placing = self._registry.placing
        if self._following is not None and self._roles is not None and placing is not None:
            self._endless += (
                hub.spawn(self._following.read_forever, raise_error=True),
                hub.spawn(self._following.beat_forever, raise_error=True),
                hub.spawn(self._roles.share_out, raise_error=True),
                hub.spawn(placing.write_forever, raise_error=True),
            )

    def stop(self) -> None:
        """Ryu calls this at Ctrl-C. It waits for `threads`, so what never ends is not in there."""
        tell_stopping()
        for thread in self._endless:
            hub.kill(thread)
        if self._leadership is not None:
            try:
                self._leadership.leave()
            except StoreError as error:
                say(LOG, events.LEFT_UNHEARD, reason=error)
        super().stop()

    @set_ev_cls(
        ofp_event.EventOFPStateChange, [HANDSHAKE_DISPATCHER, MAIN_DISPATCHER, DEAD_DISPATCHER]
    )
    def _state_changed(self, event: ofp_event.EventOFPStateChange) -> None:
        if event.state == HANDSHAKE_DISPATCHER:
            self._switchboard.accepted(event.datapath)
        elif event.state == MAIN_DISPATCHER:
            (self._roles or self._switchboard).connected(event.datapath)
        else:
            (self._roles or self._switchboard).disconnected(event.datapath)

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def _port_status(self, event: ofp_event.EventOFPPortStatus) -> None:
        msg = event.msg
        self._switchboard.deliver(msg.datapath, PortNews(switch_port(msg.desc), msg.reason))

    @set_ev_cls(ofp_event.EventOFPPortDescStatsReply, MAIN_DISPATCHER)
    def _port_list(self, event: ofp_event.EventOFPPortDescStatsReply) -> None:
        msg = event.msg
        ports = tuple(map(switch_port, msg.body))
        self._switchboard.deliver(msg.datapath, PortList(msg.xid, ports, _more(msg)))

    @set_ev_cls(ofp_event.EventOFPDescStatsReply, MAIN_DISPATCHER)
    def _description(self, event: ofp_event.EventOFPDescStatsReply) -> None:
        told = event.msg.body.sw_desc
        release = told.decode("ascii", "replace") if isinstance(told, bytes) else str(told)
        self._switchboard.described(event.msg.datapath, release.rstrip("\0"))

    @set_ev_cls(ofp_event.EventOFPFlowStatsReply, MAIN_DISPATCHER)
    def _flow_list(self, event: ofp_event.EventOFPFlowStatsReply) -> None:
        msg = event.msg
        self._switchboard.deliver(msg.datapath, FlowList(msg.xid, msg.buf, _more(msg)))

    @set_ev_cls(ofp_event.EventOFPMeterFeaturesStatsReply, MAIN_DISPATCHER)
    def _meter_limit(self, event: ofp_event.EventOFPMeterFeaturesStatsReply) -> None:
        msg = event.msg
        self._switchboard.deliver(msg.datapath, MeterLimit(msg.xid, meters.limit(msg)))

    @set_ev_cls(ofp_event.EventOFPMeterConfigStatsReply, MAIN_DISPATCHER)
    def _meter_list(self, event: ofp_event.EventOFPMeterConfigStatsReply) -> None:
        msg = event.msg
        found = tuple(meters.meters(msg.buf))
        self._switchboard.deliver(msg.datapath, MeterList(msg.xid, found, _more(msg)))

    @set_ev_cls(ofp_event.EventOFPAggregateStatsReply, MAIN_DISPATCHER)
    def _flow_count(self, event: ofp_event.EventOFPAggregateStatsReply) -> None:
        msg = event.msg
        self._switchboard.deliver(msg.datapath, FlowCount(msg.xid, msg.body.flow_count))

    @set_ev_cls(ofp_event.EventOFPExperimenterStatsReply, MAIN_DISPATCHER)
    def _flow_changes(self, event: ofp_event.EventOFPExperimenterStatsReply) -> None:
        if is_flow_monitor(event.msg.buf):
            self._switchboard.deliver(event.msg.datapath, FlowChanges(event.msg.buf))

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def _barrier_reply(self, event: ofp_event.EventOFPBarrierReply) -> None:
        self._switchboard.deliver(event.msg.datapath, BarrierDone(event.msg.xid))

    @set_ev_cls(ofp_event.EventOFPRoleReply, MAIN_DISPATCHER)
    def _role_reply(self, event: ofp_event.EventOFPRoleReply) -> None:
        if self._roles is not None:
            self._roles.replied(event.msg.datapath, event.msg.xid, event.msg.role)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def _error(self, event: ofp_event.EventOFPErrorMsg) -> None:
        msg = event.msg
        if self._roles is not None:
            self._roles.refused(msg.datapath, msg.xid)
        self._switchboard.deliver(msg.datapath, Refusal(msg.xid, refusal_reason(msg)))


def _open_audit_log(settings: Settings) -> None:
    """Raises SettingsError: without the audit log that was asked for there is no start."""
    if settings.audit_log is None or LOGS is None:
        return
    try:
        LOGS.audit_to(WatchedFile(settings.audit_log, mode=0o600))
    except OSError as error:
        raise SettingsError(f"audit_log = {settings.audit_log}: {error.strerror}") from error


def _tls(rest: RestSettings) -> Any:
    """The TLS context that REST is served with; None for plain HTTP. Raises TlsRefused."""
    if rest.certificate is None or rest.key is None:
        return None
    return server_context(rest.certificate, rest.key, rest.client_ca)


def _more(msg: Any) -> bool:
    """Whether more parts of this multipart reply follow."""
    return bool(msg.flags & ofp.OFPMPF_REPLY_MORE)
