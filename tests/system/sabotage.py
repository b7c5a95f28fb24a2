"""Taking a guard away for a moment, to see that the test which watches it can fail.

The flows are changed with `ovs-ofctl` behind the controller's back and put back afterwards.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.hypervisor import BRIDGE
from tests.system.cloud import META, Host
from tests.system.faults import frozen


@dataclass(frozen=True, slots=True)
class Sabotage:
    """What is taken away from a bridge.

    Flows that match a pattern of `without` go, in those that match one of `instead` the match is
    replaced. `open_vlan` takes meta0 out of its own VLAN. Patterns are searched in the lines of
    `ovs-ofctl dump-flows`, and each must be found.
    """

    without: Sequence[str] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    add: Sequence[str] = ()
    open_vlan: bool = False


@contextmanager
def sabotaged(host: Host, sabotage: Sabotage) -> Iterator[None]:
    """The bridge of `host` without the guard; whole again at the end.

    The controller, which runs on this host, stands still meanwhile: it would mend the flows.
    """
    with frozen(host.services.controller):
        yield from _sabotaged(host, sabotage)


def _sabotaged(host: Host, sabotage: Sabotage) -> Iterator[None]:
    flows = host.ovs.dump_flows(BRIDGE)
    # OpenFlow 1.0, in whose words the patterns are, has none for meters.
    whole = host.ovs.ofctl("-O", "OpenFlow13", "--no-stats", "dump-flows", BRIDGE).splitlines()
    vlan = host.ovs.vsctl("get", "Port", META, "tag", "vlan_mode", "trunks").splitlines()
    _install(host, _edited(flows, sabotage))
    if sabotage.open_vlan:
        host.ovs.vsctl("clear", "Port", META, "tag", "vlan_mode", "trunks")
    try:
        yield
    finally:
        if sabotage.open_vlan:
            values = zip(("tag", "vlan_mode", "trunks"), vlan, strict=True)
            settings = [f"{column}={value}" for column, value in values]
            host.ovs.vsctl("set", "Port", META, *settings)
        _install(host, [line for line in whole if "actions=" in line])
        assert sorted(host.ovs.dump_flows(BRIDGE)) == sorted(flows), "the flows are not back"


def _edited(flows: Sequence[str], sabotage: Sabotage) -> list[str]:
    edited = list(flows)
    for pattern in sabotage.without:
        kept = [flow for flow in edited if not re.search(pattern, flow)]
        assert len(kept) < len(edited), f"no flow matches {pattern!r}"
        edited = kept
    for pattern, replacement in sabotage.instead.items():
        changed = [re.sub(pattern, replacement, flow) for flow in edited]
        assert changed != edited, f"no flow matches {pattern!r}"
        edited = changed
    return [*edited, *sabotage.add]


def _install(host: Host, flows: Sequence[str]) -> None:
    host.ovs.ofctl("-O", "OpenFlow13", "replace-flows", BRIDGE, "-", text="\n".join(flows) + "\n")
    # The datapath acts on what it has cached for a while yet.
    host.ovs.appctl("revalidator/purge")
