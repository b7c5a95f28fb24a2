"""Images for the reference switch, which keeps flows as they are."""

from collections.abc import Sequence
from dataclasses import replace

from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.port_flows import PortFlows


class PlainCodec:
    """A flow without its cookie is its own image."""

    def image(self, flow: Flow) -> Flow:
        """The flow, whoever it belongs to."""
        return replace(flow, cookie=0)

    def port_images(self, flows: PortFlows) -> Sequence[Flow]:
        """The same of all of a port's."""
        return [self.image(flow) for flow in flows.flows()]


CODEC = PlainCodec()
