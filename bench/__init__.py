"""Measurements beside named peers in the same run: ratios, never verdicts on absolute times.

`python -m bench` runs all, `python -m bench NAME ...` some. A bench is a module here whose
`main(arguments)` gives a `report.Report`, with its place in `budgets.BUDGETS`. What it found is
kept in docs/benchmarks/NAME.json, what people say of it is docs/benchmarks/NAME.in.md, and
docs/benchmarks.md is made of both. What benches need beside the package itself is the extra
`bench`, the Debian packages of `scripts/install-packages bench` and, for namespaces, root.
"""
