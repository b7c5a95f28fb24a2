"""What must be installed: the only room that knows both flows and metadata. Pure.

`addressing.py` maps ofports to addresses and zones, `layout.py` declares tables, priorities and
cookies, the other modules compute flows from them.
"""
