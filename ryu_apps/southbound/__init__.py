"""Towards the switches: the only room, beside the application itself, that imports Ryu.

`encode.py` turns values into OpenFlow messages, `readback.py` what a switch holds into values,
`session.py` leads one connection, `switchboard.py` keeps the sessions, `ovsdb.py` asks a local
Open vSwitch database about a bridge.
"""
