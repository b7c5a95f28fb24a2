"""ryu-manager loads this before the controller: a store that compares nothing before it writes."""

from dataclasses import replace

from ryu_apps.store.etcd.gateway import Gateway

_write = Gateway.write


def without_comparison(gateway, write):
    """The transaction happens whatever others wrote since it was worked out."""
    return _write(gateway, replace(write, expected={}))


Gateway.write = without_comparison
