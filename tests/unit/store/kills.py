"""Kills a writer of a registry again and again, and finds after each what it had acknowledged.

A process of its own, for it forks: `kills.py PATH KILLS SEED`. The writer's changes are drawn from
a seed, so that what the registry must hold after so many of them is known here without asking it.
"""

import json
import os
import random
import signal
import sys
import time
from contextlib import closing

from ryu_apps.registry.droplet import read_droplet
from ryu_apps.registry.status import NO_MAINTENANCE, read_maintenance
from ryu_apps.store.interface import Delete, Entry, PatchStatus, Put
from ryu_apps.store.sqlite import SqliteStore

_PAIRS = range(1, 21)


def steps(seed):
    """The writes of one life: each the changes it has, and what it makes of the droplets."""
    chance = random.Random(seed)
    while True:
        pair = chance.choice(_PAIRS)
        match chance.choice(("put", "put", "delete", "status")):
            case "put":
                serial, swapped = chance.getrandbits(32), chance.random() < 0.5
                yield _put(pair, f"{serial}" * chance.choice((1, 300)), swapped)
            case "delete":
                changes = [Delete(2 * pair), Delete(2 * pair + 1)]
                yield changes, {2 * pair: None, 2 * pair + 1: None}
            case "status":
                yield _status(2 * pair, chance.random() < 0.5)


def _put(pair, note, swapped):
    """Both of a pair in one change; their port names go from one to the other if swapped."""
    ids = (2 * pair, 2 * pair + 1)
    names = dict(zip(ids, reversed(ids) if swapped else ids, strict=True))
    entries = tuple(_entry(n, f"tap{names[n]}", note) for n in ids)
    return [Put(entries)], {n: ("put", f"tap{names[n]}", note) for n in ids}


def _entry(droplet_id, name, note):
    ports = [{"name": name, "mac": "02:00:00:00:00:01"}]
    metadata = {"region": "nyc3", "tags": [name], "note": note}
    return Entry.of(read_droplet({"ports": ports, "metadata": metadata}, droplet_id))


def _status(droplet_id, announced):
    patch = read_maintenance({"event": "live_migrate"}) if announced else NO_MAINTENANCE
    return [PatchStatus(droplet_id, patch)], {droplet_id: ("status", announced)}


def applied(droplets, effects):
    """The droplets, {id: (name, note, announced)}, after a write with these effects."""
    after = dict(droplets)
    for droplet_id, effect in effects.items():
        match effect:
            case None:
                after.pop(droplet_id, None)
            case ("put", name, note):
                after[droplet_id] = (name, note, after.get(droplet_id, (0, 0, False))[2])
            case ("status", announced) if droplet_id in after:
                after[droplet_id] = (*after[droplet_id][:2], announced)
    return after


def found(store):
    """What the registry holds; claims and tags must say what the documents say."""
    droplets, tags = {}, set()
    for record in store.get_many(range(2, 100)).values():
        document = json.loads(record.document)
        (port,) = document["ports"]
        announced = record.status is not None and b"live_migrate" in record.status
        droplets[record.droplet_id] = (port["name"], document["metadata"]["note"], announced)
        tags |= {(tag, record.droplet_id) for tag in document["metadata"]["tags"]}
    claims = {claim.droplet_id: claim.port_name for claim in store.claims()}
    assert claims == {n: name for n, (name, *_) in droplets.items()}, claims
    assert set(store._reader.execute("SELECT tag, droplet_id FROM tag")) == tags
    assert store.count() == len(droplets)
    return droplets


def write(path, seed, report):
    """The writer's life; never returns."""
    with closing(SqliteStore(path)) as store:
        for changes, _ in steps(seed):
            store.write(changes)
            os.write(report, b".")


def one_life(path, seed, writes, seconds):
    """Let a writer acknowledge so many writes and live for so long; how many there were."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            write(path, seed, writing)
        finally:
            os._exit(1)
    os.close(writing)
    acknowledged = 0
    while acknowledged < writes and (more := os.read(reading, writes - acknowledged)):
        acknowledged += len(more)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    with os.fdopen(reading, "rb") as pipe:
        return acknowledged + len(pipe.read())


def main(path, kills, seed):
    """Kill so often; tell how many writes were acknowledged, in all and in a life."""
    chance = random.Random(seed)
    droplets, counts = {}, []
    for _ in range(kills):
        life = chance.getrandbits(64)
        # A third while it opens the registry, the others at any point of a write.
        least = chance.choice((0, 1, chance.randrange(2, 30)))
        acknowledged = one_life(path, life, least, chance.uniform(0, 0.01 if least else 0.05))
        writes = steps(life)
        for _ in range(acknowledged):
            droplets = applied(droplets, next(writes)[1])
        with closing(SqliteStore(path)) as store:
            now = found(store)
        one_more = applied(droplets, next(writes)[1])
        assert now in (droplets, one_more), f"seed {seed}: {now} is not {droplets} or {one_more}"
        droplets = now
        counts.append(acknowledged)
    print(f"{kills} kills, {sum(counts)} acknowledged, {min(counts)} to {max(counts)} a life")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
