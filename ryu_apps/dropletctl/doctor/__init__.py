"""Finding out what would keep droplets from their metadata, on a host and its bridge.

`values.py` what is known and what is found, `checks.py` (pure) from the one to the other,
`look.py` looking at Open vSwitch, the host and the two processes. Nothing here changes anything.
"""
