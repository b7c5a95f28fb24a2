"""The language of flows as values: it knows Open vSwitch's syntax and nothing of metadata.

Pure, standard library only. `match.py`, `actions.py` and `flow.py` hold the values, `text.py`
their `ovs-ofctl` text form and its inverse.
"""
