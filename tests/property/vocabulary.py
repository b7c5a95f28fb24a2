"""Flows made of everything the flow language can say, as hypothesis strategies.

Only what a switch keeps as it is told: no network of all addresses, which is no condition at all.
"""

from ipaddress import IPv4Address, IPv4Network

from hypothesis import strategies as st

from ryu_apps.openflow import actions as act
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.mac import mac_from_int
from ryu_apps.openflow.match import CT_STATE_BITS, CtState, Match

# An OpenFlow port number below the reserved ones, and never the one the packet came in by, to
# which a switch sends nothing by number.
ofports = st.integers(1, 0xFEFF)
macs = st.integers(0, 2**48 - 1).map(mac_from_int)
addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
u16 = st.integers(0, 0xFFFF)
tables = st.integers(0, 253)


@st.composite
def networks(draw: st.DrawFn) -> IPv4Network:
    """An IPv4 network of 1 to 32 bits."""
    return IPv4Network((draw(addresses), draw(st.integers(1, 32))), strict=False)


@st.composite
def ct_states(draw: st.DrawFn) -> CtState:
    """Some flags set, some clear. A tracked packet is what makes the others mean anything."""
    flags = draw(st.dictionaries(st.sampled_from(sorted(CT_STATE_BITS)), st.booleans(), min_size=1))
    return CtState(
        set=frozenset(flag for flag, is_set in flags.items() if is_set) | {"trk"},
        clear=frozenset(flag for flag, is_set in flags.items() if not is_set) - {"trk"},
    )


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    """None, or one of `strategy`."""
    return st.none() | strategy


@st.composite
def matches(draw: st.DrawFn) -> Match:
    """Any match whose fields have their prerequisites."""
    protocol = draw(st.sampled_from(("", "arp", "ip", "tcp")))
    fields: dict[str, object] = {}
    if protocol in ("ip", "tcp"):
        fields |= {"nw_src": draw(maybe(networks())), "nw_dst": draw(maybe(networks()))}
    if protocol == "tcp":
        fields |= {"tp_src": draw(maybe(u16)), "tp_dst": draw(maybe(u16))}
    if protocol == "arp":
        fields |= {"arp_spa": draw(maybe(networks())), "arp_tpa": draw(maybe(networks()))}
        # Open vSwitch knows the opcodes of one octet only.
        fields["arp_op"] = draw(maybe(st.integers(0, 255)))
    untagged = draw(st.booleans())
    return Match(
        protocol=protocol,
        in_port=draw(maybe(ofports)),
        metadata=draw(maybe(st.integers(0, 2**64 - 1))),
        ct_state=draw(maybe(ct_states())),
        ct_zone=draw(maybe(u16)),
        untagged=untagged,
        dl_vlan=None if untagged else draw(maybe(st.integers(0, 0xFFF))),
        dl_src=draw(maybe(macs)),
        dl_dst=draw(maybe(macs)),
        **fields,
    )


@st.composite
def loads(draw: st.DrawFn, names: tuple[str, ...]) -> act.Load:
    """A constant into some bits of one of these fields."""
    field = draw(subfields(names))
    return act.Load(draw(st.integers(0, (1 << min(field.bits, 64)) - 1)), field)


@st.composite
def subfields(draw: st.DrawFn, names: tuple[str, ...]) -> act.Subfield:
    """At most 64 bits of one of these fields."""
    name = draw(st.sampled_from(names))
    width = act.FIELD_BITS[name]
    start = draw(st.integers(0, width - 1))
    return act.Subfield(name, start, draw(st.integers(1, min(64, width - start))))


@st.composite
def moves(draw: st.DrawFn, sources: tuple[str, ...], into: tuple[str, ...]) -> act.Move:
    """Some bits of one field into as many of another."""
    source, target = draw(subfields(sources)), draw(subfields(into))
    bits = min(source.bits, target.bits)
    return act.Move(
        act.Subfield(source.field, source.start, bits),
        act.Subfield(target.field, target.start, bits),
    )


ETHERNET = ("NXM_OF_ETH_DST", "NXM_OF_ETH_SRC")
IP = ("NXM_NX_IP_TTL",)
ARP = ("NXM_OF_ARP_OP", "NXM_OF_ARP_SPA", "NXM_OF_ARP_TPA", "NXM_NX_ARP_SHA", "NXM_NX_ARP_THA")
CONNECTION = ("NXM_NX_CT_MARK", "NXM_NX_CT_LABEL")


@st.composite
def cts(draw: st.DrawFn, *, may_commit: bool) -> act.Ct:
    """Through conntrack, with and without NAT; what it remembers, only where it commits."""
    commit = may_commit and draw(st.booleans())
    source = maybe(addresses.filter(lambda address: int(address))) if commit else st.none()
    inner = loads(CONNECTION) | moves(ETHERNET, CONNECTION)
    return act.Ct(
        zone=draw(u16),
        commit=commit,
        table=draw(maybe(tables)),
        nat=draw(maybe(source.map(act.Nat))),
        exec=tuple(draw(st.lists(inner, max_size=2))) if commit else (),
    )


def actions_for(match: Match) -> st.SearchStrategy[tuple[act.Action, ...]]:
    """Any list of actions that a switch takes with this match."""
    metadata = ("OXM_OF_METADATA",)
    own = {"arp": ARP, "ip": IP, "tcp": IP}.get(match.protocol, ())
    fields = (*ETHERNET, *metadata, *own)
    some = [
        loads(fields),
        moves((*fields, *CONNECTION), fields),
        macs.map(act.SetDlSrc),
        macs.map(act.SetDlDst),
        ofports.filter(lambda ofport: ofport != match.in_port).map(act.Output),
        st.just(act.InPort()),
        st.just(act.Normal()),
        tables.map(act.Resubmit),
    ]
    if match.protocol in ("ip", "tcp"):
        # A switch refuses to commit what the match says is invalid.
        invalid = match.ct_state is not None and "inv" in match.ct_state.set
        some.append(cts(may_commit=not invalid))
    return st.lists(st.one_of(some), max_size=4).map(tuple)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Any flow."""
    match = draw(matches())
    return Flow(
        table=draw(tables),
        priority=draw(u16),
        match=match,
        actions=draw(actions_for(match)),
        cookie=draw(st.integers(0, 2**64 - 1)),
    )


flow_tables = st.lists(flows(), min_size=1, max_size=8, unique_by=lambda flow: flow.key)
"""Flows that stand in one switch beside each other."""
