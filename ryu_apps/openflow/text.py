"""Flows as `ovs-ofctl` writes and reads them, and back.

`format_flow` gives the line that `ovs-ofctl --no-stats dump-flows BRIDGE` prints for the flow, so
that golden files, documents and a live switch can be compared as text; of OpenFlow 1.0, which
ovs-ofctl speaks unasked, only that it has no word for a meter. `parse_flow` reads such
a line and raises FlowSyntaxError for one outside the vocabulary of this package.
"""

import re
from ipaddress import IPv4Address, IPv4Network

from ryu_apps.openflow import actions as act
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import PROTOCOLS, CtState, Flags, Match, TcpFlags
from ryu_apps.openflow.meter import Meter

# `vlan_tci` with this mask looks at the "tag present" bit and the VLAN id: 0 is untagged.
_UNTAGGED = "vlan_tci=0x0000/0x1fff"

_IPV4_FIELDS = ("nw_src", "nw_dst", "arp_spa", "arp_tpa")
_INT_FIELDS = ("in_port", "metadata", "ct_zone", "dl_vlan", "arp_op", "tp_src", "tp_dst")
_FLAG_FIELDS: dict[str, type[Flags]] = {kind.FIELD: kind for kind in (CtState, TcpFlags)}
_MAC_FIELDS = ("dl_src", "dl_dst")


class FlowSyntaxError(ValueError):
    """A text that is no flow of this package's vocabulary; the message carries the text."""


def format_flow(flow: Flow) -> str:
    """The flow as one line of `ovs-ofctl --no-stats dump-flows`, without leading blanks."""
    cookie = f"cookie={flow.cookie:#x}, " if flow.cookie else ""
    table = f"table={flow.table}, " if flow.table else ""
    match = ",".join([f"priority={flow.priority}", *_match_terms(flow.match)])
    return f"{cookie}{table}{match} actions={_format_instructions(flow)}"


def _format_instructions(flow: Flow) -> str:
    if flow.meter is None:
        return format_actions(flow.actions)
    return ",".join([f"meter:{flow.meter}", *map(_format_action, flow.actions)])


def format_match(match: Match) -> str:
    """The match alone, as in the flow's line."""
    return ",".join(_match_terms(match))


def format_actions(actions: tuple[act.Action, ...]) -> str:
    """The actions alone, as in the flow's line."""
    return ",".join(map(_format_action, actions)) or "drop"


def _match_terms(match: Match) -> list[str]:
    """The terms in the order in which Open vSwitch prints them."""
    terms = []
    if match.ct_state is not None:
        terms.append(_format_flags(match.ct_state))
    if match.ct_zone is not None:
        terms.append(f"ct_zone={match.ct_zone}")
    if match.protocol:
        terms.append(match.protocol)
    if match.metadata is not None:
        terms.append(f"metadata={_format_hex(match.metadata)}")
    if match.in_port is not None:
        terms.append(f"in_port={match.in_port}")
    if match.untagged:
        terms.append(_UNTAGGED)
    for name in ("dl_vlan", *_MAC_FIELDS, *_IPV4_FIELDS, "arp_op", "tp_src", "tp_dst"):
        value = getattr(match, name)
        if value is not None:
            terms.append(f"{name}={_format_value(value)}")
    if match.tcp_flags is not None:
        terms.append(_format_flags(match.tcp_flags))
    return terms


def _format_value(value: int | str | IPv4Network) -> str:
    if isinstance(value, IPv4Network) and value.prefixlen == 32:
        return str(value.network_address)
    return str(value)


def _format_hex(value: int) -> str:
    """As C's `%#x` has it, which gives 0 no prefix."""
    return f"{value:#x}" if value else "0"


def _format_flags(flags: Flags) -> str:
    return f"{flags.FIELD}=" + "".join(
        ("+" if flag in flags.set else "-") + flag
        for flag in flags.BITS
        if flag in flags.set | flags.clear
    )


def _format_action(action: act.Action) -> str:
    match action:
        case act.Load(value, into):
            return f"load:{_format_hex(value)}->{_format_subfield(into)}"
        case act.Move(source, into):
            return f"move:{_format_subfield(source)}->{_format_subfield(into)}"
        case act.SetDlSrc(mac):
            return f"mod_dl_src:{mac}"
        case act.SetDlDst(mac):
            return f"mod_dl_dst:{mac}"
        case act.Output(ofport):
            return f"output:{ofport}"
        case act.InPort():
            return "IN_PORT"
        case act.Normal():
            return "NORMAL"
        case act.Resubmit(table):
            return f"resubmit(,{table})"
        case act.Ct():
            return _format_ct(action)
    raise TypeError(f"{action!r} is no action")


def _format_subfield(subfield: act.Subfield) -> str:
    if subfield.whole:
        return f"{subfield.field}[]"
    if subfield.bits == 1:
        return f"{subfield.field}[{subfield.start}]"
    return f"{subfield.field}[{subfield.start}..{subfield.start + subfield.bits - 1}]"


def _format_ct(ct: act.Ct) -> str:
    terms = ["commit"] if ct.commit else []
    if ct.table is not None:
        terms.append(f"table={ct.table}")
    if ct.zone:
        terms.append(f"zone={ct.zone}")
    if ct.nat is not None:
        terms.append(f"nat(src={ct.nat.src})" if ct.nat.src is not None else "nat")
    if ct.exec:
        terms.append(f"exec({','.join(map(_format_action, ct.exec))})")
    return f"ct({','.join(terms)})"


def parse_flow(line: str) -> Flow:
    """Read one line of `ovs-ofctl dump-flows`, with or without statistics.

    Raises FlowSyntaxError with the line where it has a term this package does not know.
    """
    head, found, tail = line.strip().partition(" actions=")
    if not found:
        raise FlowSyntaxError(f"no actions in {line!r}")
    listed = _parse_terms(head)
    terms = dict(listed)
    if len(terms) < len(listed):
        raise FlowSyntaxError(f"a term is given twice in {line!r}")
    meter = _METER.match(tail)
    if meter:
        tail = tail[meter.end() :] or "drop"
    try:
        return Flow(
            cookie=int(terms.pop("cookie", "0"), 0),
            table=int(terms.pop("table", "0")),
            priority=int(terms.pop("priority", "32768")),
            match=_parse_match(terms),
            actions=parse_actions(tail),
            meter=int(meter[1]) if meter else None,
        )
    except ValueError as error:
        raise FlowSyntaxError(f"{error} in {line!r}") from error


def parse_actions(text: str) -> tuple[act.Action, ...]:
    """Read the part after `actions=`; raises FlowSyntaxError."""
    if text == "drop":
        return ()
    return tuple(_parse_action(term) for term in _split(text))


def format_meter(meter: Meter) -> str:
    """The meter as `ovs-ofctl add-meter` takes it and `dump-meters` prints it, on one line."""
    band = f"type=drop rate={meter.rate} burst_size={meter.burst}"
    return f"meter={meter.meter_id} pktps burst bands={band}"


def parse_meter(text: str) -> Meter:
    """Read one meter of `ovs-ofctl dump-meters`, with or without its line break.

    Raises FlowSyntaxError for one outside the vocabulary of this package.
    """
    found = _METER_FORM.fullmatch(" ".join(text.split()))
    if not found:
        raise FlowSyntaxError(f"{text!r} is no meter that drops packets beyond a burst")
    return Meter(*map(int, found.groups()))


def _parse_terms(head: str) -> list[tuple[str, str]]:
    """`name=value` terms and bare keywords, without the statistics a dump may show."""
    terms = (term.partition("=") for term in re.split(r"[,\s]+", head) if term)
    return [(name, value) for name, _, value in terms if name not in _STATISTICS]


def _parse_match(terms: dict[str, str]) -> Match:
    fields: dict[str, object] = {}
    for name, value in terms.items():
        if name in PROTOCOLS and not value and "protocol" not in fields:
            fields["protocol"] = name
        elif f"{name}={value}" == _UNTAGGED:
            fields["untagged"] = True
        elif name in _FLAG_FIELDS:
            fields[name] = _parse_flags(_FLAG_FIELDS[name], value)
        elif name in _IPV4_FIELDS:
            fields[name] = IPv4Network(value)
        elif name in _INT_FIELDS:
            fields[name] = int(value, 0)
        elif name in _MAC_FIELDS:
            fields[name] = value
        else:
            raise FlowSyntaxError(f"unknown match {name}={value}")
    return Match(**fields)  # type: ignore[arg-type]


def _parse_flags(kind: type[Flags], text: str) -> Flags:
    if not re.fullmatch(r"([+-][a-z]+)+", text):
        raise FlowSyntaxError(f"{text!r} is no {kind.FIELD}")
    flags = re.findall(r"([+-])([a-z]+)", text)
    return kind(
        set=frozenset(name for sign, name in flags if sign == "+"),
        clear=frozenset(name for sign, name in flags if sign == "-"),
    )


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside parentheses."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _parse_action(text: str) -> act.Action:
    if text == "IN_PORT":
        return act.InPort()
    if text == "NORMAL":
        return act.Normal()
    for pattern, build in _ACTION_FORMS:
        found = pattern.fullmatch(text)
        if found:
            return build(*found.groups())
    raise FlowSyntaxError(f"unknown action {text!r}")


def _parse_subfield(text: str) -> act.Subfield:
    found = re.fullmatch(r"(\w+)\[(?:(\d+)(?:\.\.(\d+))?)?\]", text)
    if not found:
        raise FlowSyntaxError(f"{text!r} is no field with a range")
    field, first, last = found.groups()
    if first is None:
        return act.Subfield(field)
    bits = int(last or first) - int(first) + 1
    if bits < 1:
        raise FlowSyntaxError(f"{text!r} ends before it begins")
    return act.Subfield(field, int(first), bits)


def _parse_ct(body: str) -> act.Ct:
    terms: dict[str, object] = {"zone": 0}
    for term in _split(body) if body else ():
        name, _, value = term.partition("=")
        if term == "commit":
            terms["commit"] = True
        elif name in ("table", "zone"):
            terms[name] = int(value)
        elif term == "nat":
            terms["nat"] = act.Nat()
        elif name == "nat(src" and value.endswith(")"):
            terms["nat"] = act.Nat(IPv4Address(value.removesuffix(")")))
        elif term.startswith("exec(") and term.endswith(")"):
            inner = term.removeprefix("exec(").removesuffix(")")
            terms["exec"] = tuple(_parse_action(action) for action in _split(inner))
        else:
            raise FlowSyntaxError(f"unknown ct term {term!r}")
    return act.Ct(**terms)  # type: ignore[arg-type]


_METER = re.compile(r"meter:(\d+)(?:,|$)")

_METER_FORM = re.compile(
    r"meter=(\d+) pktps burst(?: stats)? bands= ?type=drop rate=(\d+) burst_size=(\d+)"
)

_STATISTICS = ("duration", "n_packets", "n_bytes", "idle_age", "hard_age")

_ACTION_FORMS = (
    (re.compile(r"load:(\w+)->(.+)"), lambda v, f: act.Load(int(v, 0), _parse_subfield(f))),
    (re.compile(r"move:(.+)->(.+)"), lambda s, f: act.Move(_parse_subfield(s), _parse_subfield(f))),
    (re.compile(r"mod_dl_src:(.+)"), act.SetDlSrc),
    (re.compile(r"mod_dl_dst:(.+)"), act.SetDlDst),
    (re.compile(r"output:(\d+)"), lambda port: act.Output(int(port))),
    (re.compile(r"resubmit\(,(\d+)\)"), lambda table: act.Resubmit(int(table))),
    (re.compile(r"ct\((.*)\)"), _parse_ct),
)
