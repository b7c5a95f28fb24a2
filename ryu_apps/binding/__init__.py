"""Who is bound to which ofport, and by what steps. Pure: no Ryu, sockets, clocks or files.

Lives here: the life of one port's binding (`port.py`), one bridge (`bridge.py`), all bridges
(`fleet.py`), and what readers may see of them (`views.py`, `feed.py`).
"""
