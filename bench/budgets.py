"""The benches, in the order they run in, and the seconds each has on two quiet cores.

Together under fifteen minutes (a test adds them up). A bench that takes many times its own is
ended.
"""

BUDGETS = {
    "http_servers": 240,
    "one_port": 65,
    "own_share": 60,
    "connect": 90,
    "fleet": 150,
    "start_up": 25,
    "registry": 150,
    "region": 110,
}
