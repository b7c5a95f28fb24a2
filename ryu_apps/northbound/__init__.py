"""The controller's REST interface: HTTP in, registry and port feeds behind it.

Shell: sockets, files, green threads and HTTP live here, no rule about droplets or flows. What it
needs of the controller's core comes in as a `Switchboard`. Only `mount.py` knows Ryu.
"""
