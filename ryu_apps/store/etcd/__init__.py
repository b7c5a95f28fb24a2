"""A registry in an etcd cluster, which several controllers share.

`values.py`, `layout.py`, `changes.py`, `parts.py` and `placing.py` are pure: what lies where, what
a change does to it, how much goes into one transaction, where ports are. `gateway.py` speaks to the
cluster, `life.py` begins and opens a registry, `follow.py` hears what others write, `store.py` is
the store.
"""
