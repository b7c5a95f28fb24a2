"""What is in the golden files: the talk's droplet, a port that waits, bridges around them."""

from dataclasses import dataclass
from pathlib import Path

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.text import format_flow
from ryu_apps.pipeline.droplet_flows import droplet_flows
from ryu_apps.pipeline.metering import metered
from ryu_apps.pipeline.shared_flows import shared_flows
from ryu_apps.pipeline.waiting_flows import waiting_flows
from tests.droplets import EMBEDDED, LIMITED, META, METERED, OWN_ARP_TABLE, STANDALONE, TALK

FOLDER = Path(__file__).parent

WAITING_OFPORT = 603


@dataclass(frozen=True)
class Scene:
    """Flows that are installed together, in the order in which they are told; `says` is a title."""

    says: str
    flows: tuple[Flow, ...]

    @property
    def text(self) -> str:
        """The golden file: what `ovs-ofctl add-flows` takes and `dump-flows` prints."""
        return f"# {self.says}\n" + "".join(f"{format_flow(flow)}\n" for flow in self.flows)


SCENES = {
    "droplet": Scene(
        "tapext7889371 at ofport 602, droplet 7889371, meta0 at ofport 1000: "
        "A1, A2, N1, L1, R1, R1 to a stale MAC, R2",
        droplet_flows(STANDALONE, META, TALK),
    ),
    "metered": Scene(
        "the same droplet with meter_pps: A1, N1, N1 known",
        tuple(
            flow
            for flow in metered(METERED, TALK.ofport, droplet_flows(METERED, META, TALK))
            if flow.meter is not None
        ),
    ),
    "hop-limit": Scene(
        "ofport 606, a droplet with a hop limit of 1",
        droplet_flows(STANDALONE, META, LIMITED),
    ),
    "waiting": Scene(
        "ofport 603, a droplet's port whose droplet is not registered",
        waiting_flows(STANDALONE, META, WAITING_OFPORT),
    ),
    "shared-standalone": Scene(
        "a standalone bridge, the flows that are no port's", shared_flows(STANDALONE, META)
    ),
    "shared-own-arp-table": Scene(
        "a standalone bridge with arp_responder_table = 10, the flows that are no port's",
        shared_flows(OWN_ARP_TABLE, META),
    ),
    "shared-embedded": Scene(
        "an embedded pipeline, the flows that are no port's", shared_flows(EMBEDDED, META)
    ),
    "shared-without-meta0": Scene(
        "a standalone bridge that has no meta0 yet", shared_flows(STANDALONE, None)
    ),
}
