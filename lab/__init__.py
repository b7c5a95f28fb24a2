"""A private Open vSwitch, droplets as network namespaces, and this project's real processes on it.

Building blocks for the demo (`python -m lab.demo`) and the system tests: a `Lab` owns everything
that is made and takes it all away again, in whatever way the run ends. Nothing here knows flows or
the metadata API, and nothing stands in for the real thing. Needs root.
"""
