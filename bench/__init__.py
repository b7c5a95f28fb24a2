"""Measurements beside named peers in the same run: ratios, never verdicts on absolute times.

`python -m bench` runs all, `python -m bench NAME ...` some; a bench is a module here with `main`.
What they need beside the package itself is the extra `bench` and, for HTTP, `wrk` and `nginx`.
"""
