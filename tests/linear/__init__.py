"""Whether what clients of a registry saw can have come one after the other: is it linearizable?

`checker.py` searches for an order, whatever the object; `record.py` says what a droplet's record
does; `clients.py` asks controllers and writes down what came of it. Tests of all but the last are
in tests/unit/linear.
"""
