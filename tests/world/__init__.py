"""A world for the pure core: reference switches, followers and a registry, without a clock.

Everything that can happen is a method of `World`; nothing happens by itself. What must hold after
every step is in `World.check`, what must hold once everything has arrived in `World.settle`.
"""
