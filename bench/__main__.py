"""`python -m bench [NAME ...]`: run the named measurements, or all, one after the other."""

import importlib
import sys

BENCHES = ("http_servers", "one_port", "connect", "start_up", "registry")


def main(names: list[str]) -> int:
    """Run the benches; 2 for a name that is none."""
    for name in names or BENCHES:
        if name not in BENCHES:
            print(f"no such bench: {name}; there are: {', '.join(BENCHES)}", file=sys.stderr)
            return 2
        importlib.import_module(f"bench.{name}").main([])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
