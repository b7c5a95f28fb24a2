"""A Bridge and the little it needs: claims by port name, and a hand that completes its work."""

from collections.abc import Iterable

from ryu_apps.binding.bridge import Bridge
from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.meters import NO_METERS
from ryu_apps.binding.port import Lobby, Nobody, SwitchPort, Tenant, Wanted
from ryu_apps.binding.transaction import Transaction
from ryu_apps.binding.views import PortState, PortView
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.droplet_flows import BoundPort, droplet_flows
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.pipeline.shared_flows import shared_flows
from ryu_apps.registry.claims import Claim
from tests.droplets import META, STANDALONE
from tests.world.codec import CODEC

MAC = "a6:a4:8e:4a:e8:70"
OTHER_MAC = "a6:a4:8e:4a:e8:71"
HOST_MAC = "fe:00:00:00:00:01"
FIRST = 1 << 32

META_PORT = SwitchPort(META.ofport, "meta0", META.mac)
LOCAL = SwitchPort(0xFFFFFFFE, "br0", HOST_MAC)


def flows_of(
    ofport: int, droplet_id: int, mac: str = MAC, hop_limit: int | None = None
) -> tuple[Flow, ...]:
    """A droplet's flows on the default bridge."""
    return droplet_flows(STANDALONE, META, BoundPort(ofport, mac, droplet_id, hop_limit))


def cookie_of(ofport: int, droplet_id: int = 0) -> int:
    """The cookie of a binding on the default bridge."""
    return STANDALONE.cookie.of_port(ofport, droplet_id)


class DrivenBridge:
    """A bridge with its claims and its feed; ports whose name begins with `tapw` may wait."""

    def __init__(self, settings: BridgeSettings = STANDALONE, feed: PortFeed | None = None) -> None:
        self.settings = settings
        self.meters = NO_METERS
        self.claims: dict[str, Claim] = {}
        self.feed = feed or PortFeed(1, str(settings.addressing.hv_local_subnet), FIRST)
        self.bridge = self._bridge(())

    def register(
        self,
        name: str,
        droplet_id: int,
        mac: str = MAC,
        revision: int = 1,
        hop_limit: int | None = None,
    ) -> None:
        """The registry has this claim; nobody is told."""
        self.claims[name] = Claim(droplet_id, name, mac, None, revision, hop_limit)

    def connect(self, *ports: SwitchPort, installed: Iterable[Flow] = ()) -> Transaction | None:
        """A connection to a switch with these ports and flows; what is asked of it first."""
        self.bridge = self._bridge(installed)
        self.bridge.learn_ports(ports)
        self.bridge.adopt_shared()
        for ofport in self.bridge.ofports:
            self.bridge.adopt(ofport)
        self.feed.mark_in_sync()
        return self.bridge.take()

    def connect_ready(self, *ports: SwitchPort) -> None:
        """A connection to an empty switch, with all that follows from it done and acknowledged."""
        self.settle(self.connect(META_PORT, *ports))

    def settle(self, transaction: Transaction | None) -> None:
        """Everything is carried out and acknowledged until nothing is left to do."""
        while transaction is not None or self.bridge.awaits_acknowledgement:
            if transaction is not None:
                self.bridge.completed(transaction)
            self.bridge.acknowledged(None)
            transaction = self.bridge.take()

    def done(self, transaction: Transaction | None) -> Transaction | None:
        """The switch has carried `transaction` out; what comes next."""
        assert transaction is not None, "nothing was asked of the switch"
        self.bridge.completed(transaction)
        return self.bridge.take()

    def acknowledged(self, revision: int | None = None) -> Transaction | None:
        """The followers have everything, or everything up to `revision`; what comes next."""
        self.bridge.acknowledged(revision)
        return self.bridge.take()

    def news(self, name: str) -> Transaction | None:
        """The registry has news of a port name; what comes next."""
        self.bridge.reconsider([name])
        return self.bridge.take()

    def appeared(self, port: SwitchPort) -> Transaction | None:
        """PORT_STATUS of a port that came or changed; what comes next."""
        self.bridge.port_changed(port)
        return self.bridge.take()

    def vanished(self, ofport: int) -> Transaction | None:
        """PORT_STATUS of a port that went; what comes next."""
        self.bridge.port_removed(ofport)
        return self.bridge.take()

    def view(self, ofport: int) -> PortView:
        """What readers see of a port that is there."""
        view = self.feed.port(ofport)
        assert view is not None, f"readers see no ofport {ofport}"
        return view

    def state(self, ofport: int) -> tuple[PortState, int | None]:
        """The state that readers see of a port, and whose it is."""
        return self.view(ofport).state, self.view(ofport).droplet_id

    def shared(self) -> tuple[Flow, ...]:
        """The shared flows there must be now."""
        return shared_flows(self.settings, self.bridge.meta)

    def _bridge(self, installed: Iterable[Flow]) -> Bridge:
        found: dict[int, set[Flow]] = {}
        for flow in installed:
            found.setdefault(flow.cookie, set()).add(CODEC.image(flow))
        return Bridge(self.settings, self.feed, self._assign, found, CODEC, self.meters)

    def _assign(self, port: SwitchPort) -> Wanted:
        if port.name in self.claims:
            return Tenant(self.claims[port.name])
        return Lobby() if port.name.startswith("tapw") else Nobody()


def tap(ofport: int, name: str = "") -> SwitchPort:
    """A droplet's port as a switch describes it."""
    return SwitchPort(ofport, name or f"tap{ofport}", HOST_MAC)
