"""All switches this controller has seen: who belongs on which port of which of them.

Pure. A claim names a port, not a switch; the fleet decides which switch's port of that name it
means, and which switches must not be served at all.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from ryu_apps.binding.bridge import Bridge
from ryu_apps.binding.drift import Repairs
from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.figures import Figures
from ryu_apps.binding.followers import Followers, TooMany
from ryu_apps.binding.port import Denied, Lobby, Nobody, SwitchPort, Tenant, Wanted
from ryu_apps.binding.requests import RequestCounts
from ryu_apps.binding.views import PortState, SwitchState, SwitchView
from ryu_apps.binding.whereabouts import Whereabouts
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.registry.claims import Claim

MAX_SWITCHES = 4096
"""dpids that one controller knows. Anyone who reaches its ports for switches can make them up."""


_NOT_CURRENT = (
    "nothing was heard of the registry for too long: whoever it has on this port by now, nothing "
    "new begins before"
)


class Claims(Protocol):
    """The part of the registry the fleet asks."""

    def get(self, port_name: str) -> Claim | None:
        """The claim on a port name, or None."""


@dataclass(slots=True)
class Switch:
    """One switch, from its first connection in this controller's life on.

    `host` is the address it connects from; `bridge` is there while it is connected. `port_names`
    are those last seen on it; `foreign` warns of flows of others, `rivals` of other controllers;
    `repairs` are those of all its connections; `requests` is what its metadata servers counted.
    """

    dpid: int
    settings: BridgeSettings
    feed: PortFeed
    followers: Followers
    host: str = ""
    bridge: Bridge | None = None
    state: SwitchState = SwitchState.DISCONNECTED
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    repairs: Repairs = field(default_factory=Repairs)
    port_names: set[str] = field(default_factory=set)
    requests: RequestCounts = field(default_factory=RequestCounts)

    def view(self) -> SwitchView:
        """What `GET /v1/switches` tells of it."""
        ports = self.feed.ports()
        states = Counter(port.state for port in ports)
        return SwitchView(
            dpid=self.dpid,
            connected=self.state is not SwitchState.DISCONNECTED,
            state=self.state,
            reason=self.reason,
            ports=len(ports),
            serving=states[PortState.SERVING],
            binding=states[PortState.BINDING],
            errors=states[PortState.ERROR],
            flows=self.bridge.flow_count if self.bridge else 0,
            hv_local_subnet=str(self.settings.addressing.hv_local_subnet),
            warnings=(
                *self.warnings,
                *self.rivals,
                *self.foreign,
                *(self.bridge.meters.warnings if self.bridge else ()),
            ),
            drift=self.repairs.view(),
            flows_wanted=self.bridge.wanted_flow_count if self.bridge else 0,
        )


class Fleet:
    """The switches by dpid, and the rules that span them.

    While `claims_are_current` says no, because others write to the registry and nothing is heard of
    it, a droplet stays on the port where its flows are, and no droplet comes to a port anew. There
    others may lead switches, too: `whereabouts` has on which of all switches a name is.
    """

    def __init__(
        self,
        claims: Claims,
        settings_of: Callable[[int], BridgeSettings],
        first_revision: int,
        servers_of: Callable[[int], Iterable[str]],
        claims_are_current: Callable[[], bool] = lambda: True,
        whereabouts: Whereabouts | None = None,
    ) -> None:
        self.switches: dict[int, Switch] = {}
        self.figures = Figures()
        self._claims = claims
        self._settings_of = settings_of
        self._first_revision = first_revision
        self._servers_of = servers_of
        self._claims_are_current = claims_are_current
        self._whereabouts = whereabouts
        self._held_back: set[str] = set()
        self._sequence = 0
        # port name -> dpid -> how recently it came to be seen there: the greatest is the newest.
        self._ages: dict[str, dict[int, int]] = {}

    def switch(self, dpid: int, now: float) -> Switch:
        """The record of this switch, made if it is new.

        Raises TooMany beyond MAX_SWITCHES. None is forgotten for a newcomer: its revisions would
        begin anew, and name another state than they did.
        """
        if dpid not in self.switches:
            if len(self.switches) >= MAX_SWITCHES:
                raise TooMany(f"{MAX_SWITCHES} switches are known, the most there may be")
            settings = self._settings_of(dpid)
            subnet = str(settings.addressing.hv_local_subnet)
            self.switches[dpid] = Switch(
                dpid,
                settings,
                PortFeed(dpid, subnet, self._first_revision),
                Followers(self._servers_of(dpid), now),
            )
        return self.switches[dpid]

    def begin_term(self, switch: Switch, first_revision: int) -> None:
        """We lead the switch from now on, after whoever did: nobody has what our feed will say."""
        if switch.feed.first_revision != first_revision:
            subnet = str(switch.settings.addressing.hv_local_subnet)
            switch.feed = PortFeed(switch.dpid, subnet, first_revision)
            switch.followers = Followers()

    def expect_servers(self, switch: Switch, now: float) -> None:
        """The switch has connected: wait for every metadata server that is known to follow it."""
        switch.followers.expect(self._servers_of(switch.dpid), now)

    def clash(self, switch: Switch) -> str | None:
        """Why the switch cannot be served beside the others of its host, or None.

        Bridges of one host share ct zones (one datapath) and hv-local addresses (one network
        stack); those that connect from one address are taken to be on one host.
        """
        for other in self.switches.values():
            # First what sets nearly all apart: all are asked when each connects.
            if other.host != switch.host or other.dpid == switch.dpid:
                continue
            if other.state not in (SwitchState.SYNCING, SwitchState.IN_SYNC):
                continue
            clash = switch.settings.addressing.clash_with(other.settings.addressing)
            if clash:
                return (
                    f"{clash} of switch {other.dpid:016x}, which also connects from "
                    f"{switch.host}: give each its own hv_local_subnet and zone_base in "
                    f"[bridge:{switch.dpid:016x}]"
                )
        return None

    # -- which switch has the port ---------------------------------------------------------------

    def sight(self, switch: Switch, name: str, *, live: bool) -> list[int]:
        """A port of this name is on the switch; returns the dpids that must reconsider it.

        One that appears `live` is newer than any other (live migration). One that was there when
        the switch connected keeps its age from an earlier connection; if it has none it is newer
        only where nobody else has the name, or where it comes with the droplet's flows.
        """
        ages = self._ages.setdefault(name, {})
        others = self._connected_with(name, but=switch)
        if live or (switch.dpid not in ages and (not others or self._came_with(switch, name))):
            self._sequence += 1
            ages[switch.dpid] = self._sequence
        if self._whereabouts is not None:
            if live:
                self._whereabouts.came(name, switch.dpid)
            self._place(self._whereabouts, switch, name, live=live)
        ages.setdefault(switch.dpid, 0)
        switch.port_names.add(name)
        return [other.dpid for other in others]

    def lose_sight(self, switch: Switch, name: str) -> list[int]:
        """The port of this name has gone; returns the dpids that must reconsider it."""
        switch.port_names.discard(name)
        if self._whereabouts is not None:
            self._whereabouts.gone(name, switch.dpid)
        ages = self._ages.get(name, {})
        ages.pop(switch.dpid, None)
        if not ages:
            self._ages.pop(name, None)
        return [other.dpid for other in self._connected_with(name, but=switch)]

    def switches_with(self, names: Iterable[str]) -> dict[int, list[str]]:
        """Which of these port names are on which connected switch, by dpid."""
        found: dict[int, list[str]] = {}
        for name in names:
            for switch in self._connected_with(name):
                found.setdefault(switch.dpid, []).append(name)
        return found

    def assign(self, switch: Switch, port: SwitchPort) -> Wanted:
        """Who belongs on this port."""
        claim = self._claims.get(port.name)
        if claim is None:
            if self._whereabouts is not None:
                self._whereabouts.withdraw(port.name, switch.dpid)
            patterns = switch.settings.droplet_port_names
            return Lobby() if any(fnmatchcase(port.name, p) for p in patterns) else Nobody()
        droplet = f"droplet {claim.droplet_id}"
        if claim.dpid is not None and claim.dpid != switch.dpid:
            reason = f"{droplet} claims {port.name} on switch {claim.dpid:016x} only"
            return Denied(reason, elsewhere=True)
        newest = self._newest(claim) if self._whereabouts is None else self._first(claim, switch)
        if newest not in (None, switch.dpid):
            reason = f"{droplet}: a newer port {port.name} is on switch {newest:016x}"
            return Denied(f"{reason}{self._led_by(newest)}", elsewhere=True)
        if not self._claims_are_current() and not (
            switch.bridge is not None and switch.bridge.has_flows_of(port, claim.droplet_id)
        ):
            self._held_back.add(port.name)
            return Denied(f"{droplet}: {_NOT_CURRENT}")
        return Tenant(claim)

    def held_back(self) -> frozenset[str]:
        """The ports that were denied since the last call because claims were not current."""
        names = frozenset(self._held_back)
        self._held_back.clear()
        return names

    def connected(self, switch: Switch, bridge: Bridge) -> None:
        """The switch is there; its bridge begins to take over."""
        switch.bridge, switch.state, switch.reason = bridge, SwitchState.SYNCING, None
        if self._whereabouts is not None:
            self._whereabouts.keep_only(switch.dpid, bridge.port_names())

    def disconnected(self, switch: Switch) -> None:
        """The connection is gone; other switches may have to reconsider `switch.port_names`."""
        switch.bridge, switch.state = None, SwitchState.DISCONNECTED
        if self._whereabouts is not None:
            self._whereabouts.forget(switch.dpid)

    def _came_with(self, switch: Switch, name: str) -> bool:
        """Whether the switch connected with the flows of the droplet that claims this name."""
        claim = self._claims.get(name)
        if claim is None or switch.bridge is None:
            return False
        return switch.bridge.had_flows_of(name, claim.droplet_id)

    def _newest(self, claim: Claim) -> int | None:
        """The switch with the newest port of this name, of those that are connected here."""
        ages = self._ages.get(claim.port_name, {})
        if len(ages) == 1:
            # Nearly always, and asked for each port several times.
            (dpid,) = ages
            there = self.switches[dpid].bridge is not None
            return dpid if there and claim.dpid in (None, dpid) else None
        candidates = [
            switch.dpid
            for switch in self._connected_with(claim.port_name)
            if claim.dpid in (None, switch.dpid)
        ]
        return max(candidates, key=ages.__getitem__, default=None)

    # -- where others lead switches as well -------------------------------------------------------

    def _first(self, claim: Claim, switch: Switch) -> int | None:
        """The switch with the newest port of this name, of all that anybody leads."""
        whereabouts, name = self._whereabouts, claim.port_name
        assert whereabouts is not None
        if switch.bridge is not None and switch.dpid not in whereabouts.order(name):
            # It was there before anybody claimed it.
            live = whereabouts.saw_come(name, switch.dpid)
            self._place(whereabouts, switch, name, live=live)
        return next(
            (
                dpid
                for dpid in whereabouts.order(name)
                if claim.dpid in (None, dpid) and self._is_led(dpid)
            ),
            None,
        )

    def _place(self, whereabouts: Whereabouts, switch: Switch, name: str, *, live: bool) -> None:
        """Tell all leaders of a port, if a droplet claims it, that came or that they do not know.

        The name of any other port may be on every switch there is.
        """
        if self._claims.get(name) is None:
            return
        known = whereabouts.order(name)
        if live or switch.dpid not in known:
            beside_nobody = bool(known) and not any(map(self._is_led, known))
            anew = live or beside_nobody or self._came_with(switch, name)
            whereabouts.place(name, switch.dpid, anew=anew)

    def _is_led(self, dpid: int) -> bool:
        """Whether anybody serves droplets there; a switch that nobody leads has no say."""
        here = self.switches.get(dpid)
        if here is not None and here.bridge is not None:
            return True
        return self._whereabouts is not None and self._whereabouts.leader_of(dpid) is not None

    def _led_by(self, dpid: int) -> str:
        leader = self._whereabouts.leader_of(dpid) if self._whereabouts is not None else None
        return "" if leader is None else f", which {leader} leads"

    def _connected_with(self, name: str, but: Switch | None = None) -> list[Switch]:
        switches = (self.switches[dpid] for dpid in self._ages.get(name, {}))
        return [s for s in switches if s.bridge is not None and s is not but]
