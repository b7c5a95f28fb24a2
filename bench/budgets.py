"""The benches, in the order they run in, and the seconds each has on two quiet cores.

Together under fifteen minutes (a test adds them up). A bench that takes many times its own is
ended.
"""

BUDGETS = {
    "http_servers": 240,
    "one_port": 120,
    "own_share": 90,
    "connect": 120,
    "fleet": 180,
    "start_up": 60,
    "registry": 240,
}
