"""What leaders say of where ports are: from what was read to what is to be written. Pure.

A name's places are one key, changed by those who lead the switches that it names: a transaction
that compares the leader's key, which ends with its lease or its term. So whoever was replaced
without knowing writes nothing, however late it comes.
"""

from collections.abc import Iterable, Mapping

from ryu_apps.registry.places import Placement, placed
from ryu_apps.store.etcd.layout import (
    LEADER,
    PLACE,
    PORT,
    encode_places,
    leader,
    places,
    switch_key,
)
from ryu_apps.store.etcd.values import Kv, Write


def keys(placements: Iterable[Placement]) -> list[str]:
    """What must be read."""
    found: dict[str, None] = {}
    for name, dpid, _ in placements:
        found |= dict.fromkeys((switch_key(LEADER, dpid), PORT + name, PLACE + name))
    return list(found)


def work_out(
    placements: Iterable[Placement], kvs: Mapping[str, Kv], controller: int, generation: int
) -> Write:
    """What `controller` has to write, where `kvs` was read at this generation."""
    write = Write(deletes=frozenset())
    after = {}
    for placement in placements:
        name, dpid, _ = placement
        leads, port, key = switch_key(LEADER, dpid), PORT + name, PLACE + name
        if leads not in kvs or leader(kvs[leads].value).controller != controller:
            continue
        if port not in kvs and placement.sighting is not None:
            continue
        found = kvs.get(key)
        known = places(found.value if found else None)
        before = after.get(key, known)
        after[key] = placed(before, placement, generation)
        if after[key] != known:
            write.expected.update(
                {
                    leads: kvs[leads].revision,
                    **({port: kvs[port].revision} if port in kvs else {}),
                    key: found.revision if found else 0,
                }
            )
            write.puts[key] = encode_places(after[key])
    gone = frozenset(key for key in write.puts if not after[key])
    for key in gone:
        del write.puts[key]
    return Write(write.expected, write.puts, gone)
