"""Writes pairs of droplets and says so after each, until it is killed; for the crash tests."""

import sys

from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store.interface import Entry, Put
from ryu_apps.store.sqlite import SqliteStore


def entry(droplet_id):
    ports = [{"name": f"tap{droplet_id}", "mac": "02:00:00:00:00:01"}]
    return Entry.of(read_droplet({"ports": ports, "metadata": {"region": "nyc3"}}, droplet_id))


store = SqliteStore(sys.argv[1])
print(store.boot_count, flush=True)
for n in range(1, 1_000_000):
    store.write([Put((entry(2 * n), entry(2 * n + 1)))])
    print(n, flush=True)
