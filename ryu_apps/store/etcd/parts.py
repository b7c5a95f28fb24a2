"""How changes are divided over etcd's transactions, bounded in operations and bytes. Pure."""

from collections.abc import Iterator, Sequence

from ryu_apps.store.etcd.changes import Seen, touched_ids, wanted_names
from ryu_apps.store.etcd.values import MAX_BYTES, MAX_OPERATIONS, Write
from ryu_apps.store.interface import ALWAYS, Change, Entry, Put


def fits(write: Write) -> bool:
    """Whether etcd as it comes takes this in one transaction."""
    return write.operations <= MAX_OPERATIONS and write.size <= MAX_BYTES


def divisible(change: Change) -> bool:
    """Whether `change` can be done in parts."""
    return isinstance(change, Put) and len(change.entries) > 1


def beginning(changes: Sequence[Change]) -> Sequence[Change]:
    """The first of these changes, as many as are worth trying in one transaction; at least one."""
    operations = size = 0
    for count, change in enumerate(changes):
        operations += 3 * len(touched_ids(change)) + len(wanted_names(change))
        size += _size(change)
        if count and (operations > MAX_OPERATIONS or size > MAX_BYTES):
            return changes[:count]
    return changes


def parts(change: Put, seen: Seen) -> Iterator[Put]:
    """`change` in parts that each fit a transaction, but for what cannot be parted.

    Droplets between which a port name moves stay together. The precondition is the first part's.
    """
    part: list[Entry] = []
    operations = size = 0
    precondition = change.precondition
    for group in _groups(change.entries, seen):
        group_operations = sum(_operations(entry, seen) for entry in group)
        group_size = sum(map(_entry_size, group))
        if part and (
            operations + group_operations > MAX_OPERATIONS or size + group_size > MAX_BYTES
        ):
            yield Put(tuple(part), precondition)
            part, operations, size, precondition = [], 0, 0, ALWAYS
        part += group
        operations += group_operations
        size += group_size
    if part:
        yield Put(tuple(part), precondition)


def _groups(entries: Sequence[Entry], seen: Seen) -> list[list[Entry]]:
    """The entries, those between which names move side by side; in the order of each's first."""
    group_of = {entry.droplet_id: [entry] for entry in entries}
    for entry in entries:
        mine = group_of[entry.droplet_id]
        for port in entry.ports:
            other = group_of.get(seen.holder(port.name) or 0, mine)
            if other is not mine:
                mine += other
                group_of.update(dict.fromkeys((each.droplet_id for each in other), mine))
    unique = {id(group): group for group in group_of.values()}
    return list(unique.values())


def _operations(entry: Entry, seen: Seen) -> int:
    """At most so many puts and deletes, or comparisons."""
    names = {port.name for port in entry.ports}
    return 3 + len(names ^ seen.names(entry.droplet_id))


def _size(change: Change) -> int:
    return sum(map(_entry_size, change.entries)) if isinstance(change, Put) else 300


def _entry_size(entry: Entry) -> int:
    # The document, its summary, the names and the keys.
    tags = sum(len(tag) for tag in entry.tags)
    return len(entry.document) + 6 * tags + 2 * len(entry.words) + 500 + 150 * len(entry.ports)
