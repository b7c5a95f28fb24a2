"""Droplets to store, for the tests of this layer."""

from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store.interface import Entry


def entry(droplet_id, *names, **metadata):
    """A droplet that claims these port names."""
    ports = [{"name": name, "mac": "02:00:00:00:00:01"} for name in names]
    document = {"ports": ports, "metadata": {"region": "r", **metadata}}
    return Entry.of(read_droplet(document, droplet_id))
