"""The meter of a port: how many packets for the metadata server the switch takes of it.

It stands before conntrack, so what exceeds it costs no connection there, and before the ARP
responder. Replies are not metered: they are what was asked for.
"""

from dataclasses import replace

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.meter import Meter
from ryu_apps.pipeline.layout import BridgeSettings


def port_meter(settings: BridgeSettings, ofport: int) -> Meter | None:
    """The port's meter; None where the settings have none."""
    if not settings.meter_pps:
        return None
    return Meter(settings.cookie.meter_of(ofport), settings.meter_pps, settings.meter_burst)


def metered(settings: BridgeSettings, ofport: int, flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
    """The port's flows, those with the meter that take packets as they come in from the port."""
    meter = port_meter(settings, ofport)
    if meter is None:
        return flows
    first = (settings.tables.arp_responder, settings.tables.classifier)
    return tuple(
        replace(flow, meter=meter.meter_id)
        if flow.match.in_port == ofport and flow.table in first
        else flow
        for flow in flows
    )
