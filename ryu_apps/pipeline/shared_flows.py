"""The flows that belong to no droplet: guards around meta0, the way to the forwarding table,
and, in a standalone pipeline, the table misses."""

from collections.abc import Iterator

from ryu_apps.openflow.actions import Action, Normal, Resubmit
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import Match
from ryu_apps.pipeline.layout import DEAD_VLAN, BridgeSettings, MetaPort, Pipeline, Priority


def shared_flows(settings: BridgeSettings, meta: MetaPort | None) -> tuple[Flow, ...]:
    """All flows that belong to no port; `meta` None while the bridge has no meta0."""
    cookie = settings.cookie.shared
    return tuple(
        Flow(table, priority, match, actions, cookie)
        for table, priority, match, actions in _entries(settings, meta)
    )


_Entry = tuple[int, Priority, Match, tuple[Action, ...]]


def _entries(settings: BridgeSettings, meta: MetaPort | None) -> Iterator[_Entry]:
    yield from _address_guards(settings)
    if meta is not None:
        yield from _meta_guards(settings, meta)
        yield _way_to_forwarding(settings, meta)
    if settings.pipeline is Pipeline.STANDALONE:
        yield from _misses(settings)


def _drop(table: int, match: Match) -> _Entry:
    return table, Priority.GUARD, match, ()


def _address_guards(settings: BridgeSettings) -> Iterator[_Entry]:
    """Nobody else speaks to, or in the name of, the metadata address and the hv-local subnet."""
    metadata, hv_local = settings.metadata_net, settings.addressing.hv_local_subnet
    tables = settings.tables
    yield _drop(tables.classifier, Match(protocol="ip", nw_dst=metadata))
    yield _drop(tables.classifier, Match(protocol="ip", nw_src=metadata))
    yield _drop(tables.classifier, Match(protocol="ip", nw_src=hv_local))
    for table in {tables.arp_responder, tables.classifier}:
        yield _drop(table, Match(protocol="arp", arp_tpa=metadata))
        yield _drop(table, Match(protocol="arp", arp_spa=metadata))
        yield _drop(table, Match(protocol="arp", arp_spa=hv_local))
        yield _drop(table, Match(dl_vlan=DEAD_VLAN))
    # What conntrack did not translate: the fence behind every L1.
    yield _drop(tables.l2_rewrite, Match(protocol="ip", nw_dst=metadata))


def _meta_guards(settings: BridgeSettings, meta: MetaPort) -> Iterator[_Entry]:
    """meta0 takes what L1 sends it and gives what A2, R1 and R2 take; nothing else."""
    tables = settings.tables
    for table in {tables.arp_responder, tables.classifier, tables.forwarding}:
        yield _drop(table, Match(in_port=meta.ofport))
    for table in {tables.arp_responder, tables.classifier}:
        yield _drop(table, Match(dl_dst=meta.mac))
        yield _drop(table, Match(dl_src=meta.mac))


def _way_to_forwarding(settings: BridgeSettings, meta: MetaPort) -> _Entry:
    match = Match(
        protocol="tcp",
        in_port=meta.ofport,
        untagged=True,
        dl_src=meta.mac,
        nw_src=settings.metadata_net,
        tp_src=settings.metadata_port,
    )
    return (
        settings.tables.classifier,
        Priority.PATH,
        match,
        (Resubmit(settings.tables.forwarding),),
    )


def _misses(settings: BridgeSettings) -> Iterator[_Entry]:
    """A plain L2 switch for all other traffic; nothing leaves our inner tables by a miss."""
    tables = settings.tables
    yield tables.classifier, Priority.MISS, Match(), (Normal(),)
    yield tables.l2_rewrite, Priority.MISS, Match(), ()
    yield tables.forwarding, Priority.MISS, Match(), ()
    if tables.arp_responder != tables.classifier:
        yield (
            tables.classifier,
            Priority.ARP,
            Match(protocol="arp"),
            (Resubmit(tables.arp_responder),),
        )
        yield tables.arp_responder, Priority.MISS, Match(), (Normal(),)
