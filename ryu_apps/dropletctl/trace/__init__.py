"""Following one droplet's request hop by hop: where does it die?

`values.py` a hop and where it is, `packets.py` (pure) the packets that are sent through the
switch, `judge.py` (pure) from what was seen to hops, `walk.py` looking, hop after hop.
"""
