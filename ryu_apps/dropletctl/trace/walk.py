"""Walking a request's way: each hop looked at with the tools of whose it is. Shell.

Hops that need what an earlier one did not find are left out; all others are looked at, for more
than one thing may be wrong.
"""

import random
import re
import time
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from ovs_metadata_client import Client, Document, NotFound, SwitchPort
from ryu_apps.dropletctl.host.tools import Tools
from ryu_apps.dropletctl.server_health import ask
from ryu_apps.dropletctl.trace import judge, packets
from ryu_apps.dropletctl.trace.values import Hop, LeftOut, Place, State
from ryu_apps.openflow.trace import Trace, datapath_ports, parse_trace
from ryu_apps.pipeline.droplet_flows import BoundPort
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort
from ryu_apps.settings import Settings

_LEARNED = re.compile(r"^\s*(\d+)\s+\d+\s+(\S+)\s+\d+\s*$", re.MULTILINE)
"""A row of fdb/show: port, VLAN, MAC, age."""

_PROBE_SECONDS = 3.0
_PROBE_PAUSE = 0.05


class Walk:
    """One walk for `droplet_id`, hop by hop as `hops` is read. Raises ClientError, HostError."""

    def __init__(
        self, client: Client, tools: Tools, settings: Settings | None, server_url: str
    ) -> None:
        self._client = client
        self._tools = tools
        self._settings = settings
        self._server_url = server_url

    def hops(self, droplet_id: int) -> Iterator[Hop]:
        """The hops in order."""
        try:
            document = self._client.get_droplet(droplet_id).droplet
        except NotFound:
            yield judge.unregistered(droplet_id)
            return
        hop = judge.registered(document)
        yield hop
        if hop.state is State.PASSED:
            yield from self._from_port(droplet_id, document)

    def _from_port(self, droplet_id: int, document: Document) -> Iterator[Hop]:
        claim, by_switch = self._claimed(document)
        name = claim["name"]
        found = {dpid: ports[name] for dpid, ports in by_switch.items() if name in ports}
        here = self._bridges()
        if found:
            yield judge.on_a_switch(name, found)
        else:
            yield judge.nowhere(droplet_id, name, self._left_out(name, here, by_switch))
        options = document.get("metadata_options") or {}
        limit = options.get("http_put_response_hop_limit")
        for dpid, port in found.items():
            if dpid in here:
                bound = BoundPort(port["ofport"], claim["mac"], droplet_id, limit)
                yield from self._on_bridge(here[dpid], dpid, port["name"], bound)
                return
        if found:
            there = ", ".join(found)
            told = f"{name} is on {there}, no bridge of this host"
            yield Hop("bridge", State.DIED, told, "run this on the host of that switch")

    def _claimed(
        self, document: Document
    ) -> tuple[dict[str, str], dict[str, dict[str, SwitchPort]]]:
        """The first claim that a switch has a port for, else the first; and all ports there are, by
        dpid of their switch and by name."""
        by_switch = {
            switch["dpid"]: {
                port["name"]: port for port in self._client.ports(switch["dpid"])["ports"]
            }
            for switch in self._client.switches()
            if switch["connected"]
        }
        claims = document["ports"]
        for claim in claims:
            if any(claim["name"] in ports for ports in by_switch.values()):
                return claim, by_switch
        return claims[0], by_switch

    # -- on this host ----------------------------------------------------------------------------

    def _left_out(
        self,
        name: str,
        here: Mapping[str, tuple[str, str]],
        by_switch: Mapping[str, Mapping[str, SwitchPort]],
    ) -> LeftOut:
        """What there is to say of a name that no connected switch has a port of."""
        bridge = (self._tools.run("ovs-vsctl", "port-to-br", name, check=False) or "").strip()
        free = {
            port["name"]: dpid
            for dpid, ports in by_switch.items()
            for port in ports.values()
            if port["droplet_id"] is None
        }
        device = bool(self._tools.ip("link", "show", "dev", name, check=False))
        bridges = tuple(bridge for bridge, _ in here.values())
        return LeftOut(bridge, device, bridges, frozenset(by_switch) >= here.keys(), free)

    def _bridges(self) -> dict[str, tuple[str, str]]:
        """By dpid: the name of the bridge and of its datapath."""
        rows = self._tools.rows("--columns=name,datapath_id,datapath_type", "list", "Bridge")
        return {
            row["datapath_id"]: (row["name"], _datapath(row["datapath_type"] or "system"))
            for row in rows
        }

    def _on_bridge(
        self, bridge: tuple[str, str], dpid: str, name: str, port: BoundPort
    ) -> Iterator[Hop]:
        settings = self._settings.bridge(int(dpid, 16)) if self._settings else BridgeSettings()
        interfaces = {
            row["name"]: row
            for row in self._tools.rows(
                "--columns=name,ofport,mac_in_use,link_state", "list", "Interface"
            )
        }
        meta = interfaces.get(settings.meta_port_name)
        if meta is None or not meta["ofport"] or meta["ofport"] < 0:
            told = f"there is no port {settings.meta_port_name}"
            yield Hop("bridge", State.DIED, told, f"dropletctl host-setup --bridge {bridge[0]}")
            return
        place = Place(
            bridge=bridge[0],
            datapath=bridge[1],
            port_name=name,
            port=port,
            meta=MetaPort(meta["ofport"], meta["mac_in_use"]),
            settings=settings,
        )
        own = interfaces.get(name, {})
        dump = self._flows(place)
        seen = judge.here(place, own.get("ofport"), own.get("link_state") == "up")
        yield judge.spoken_by(place, seen, dump, self._learned(place), self._asked(dpid, place))
        yield judge.installed(place, dump)
        yield from self._through_switch(place)
        yield judge.server_knows(place, self._ask_server(place.hv_local))
        yield self._probe(place)

    def _through_switch(self, place: Place) -> Iterator[Hop]:
        yield judge.answered_arp(place, self._trace(place, packets.question(place)))
        asked = self._trace(place, packets.request(place), "trk,new")
        yield judge.request_passes(place, asked)
        replied = self._trace(place, packets.reply(place), "trk,est,rpl")
        yield judge.reply_passes(place, replied)
        yield judge.connections(place, self._conntrack(place))

    def _flows(self, place: Place) -> list[str]:
        cookie = f"cookie={place.cookie:#x}/-1"
        dump = self._tools.run(
            "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", place.bridge, cookie, check=False
        )
        return (dump or "").splitlines()

    def _asked(self, dpid: str, place: Place) -> float | None:
        """Seconds since a metadata server had a request of the droplet; None where it had none."""
        counted = self._client.requests(dpid, ofports=[place.port.ofport])["droplets"]
        ours = (one for one in counted if one["droplet_id"] == place.port.droplet_id)
        return next((one["last_request_s"] for one in ours), None)

    def _learned(self, place: Place) -> list[str]:
        """The MACs that the bridge has seen come from the port lately."""
        told = self._tools.run("ovs-appctl", "fdb/show", place.bridge, check=False) or ""
        rows = _LEARNED.findall(told)
        return [mac for ofport, mac in rows if int(ofport) == place.port.ofport]

    def _trace(self, place: Place, packet: str, *verdicts: str) -> Trace:
        shown = self._tools.run("ovs-appctl", "dpif/show") or ""
        words = [word for verdict in verdicts for word in ("--ct-next", verdict)]
        told = self._tools.run("ovs-appctl", "ofproto/trace", place.bridge, packet, *words) or ""
        return parse_trace(told, datapath_ports(shown, place.bridge))

    def _conntrack(self, place: Place) -> list[str]:
        words = ("dpctl/dump-conntrack", place.datapath, f"zone={place.zone}")
        return (self._tools.run("ovs-appctl", *words, check=False) or "").splitlines()

    # -- the server, and a real packet -----------------------------------------------------------

    def _ask_server(self, address: IPv4Address) -> Mapping[str, object] | str:
        told = ask(f"{self._server_url}/callers/{address}")
        if isinstance(told, str):
            return f"no answer from the metadata server at {self._server_url}: {told}"
        return told

    def _probe(self, place: Place) -> Hop:
        """Send a SYN in the droplet's name and see conntrack hear the answer; then end it."""
        source_port = random.randrange(61000, 65536)
        self._send(place, packets.probe(place, source_port, packets.SYN))
        deadline = time.monotonic() + _PROBE_SECONDS
        while True:
            hop = judge.probed(place, source_port, self._conntrack(place))
            if hop.state is State.PASSED or time.monotonic() > deadline:
                break
            time.sleep(_PROBE_PAUSE)
        self._send(place, packets.probe(place, source_port, packets.RST))
        return hop

    def _send(self, place: Place, frame: bytes) -> None:
        words = f"in_port={place.port.ofport} packet={frame.hex()} actions=TABLE"
        self._tools.run("ovs-ofctl", "-O", "OpenFlow13", "packet-out", place.bridge, words)


def _datapath(kind: str) -> str:
    return f"{kind}@ovs-{kind}"
