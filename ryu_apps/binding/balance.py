"""How the switches of several controllers are shared out between them. Pure.

Each controller knows from the registry how many switches the others lead. Nobody is told what to
do: who leads fewer asks for a switch that it is connected to, and its leader gives it up if that
brings the two closer together.
"""

from collections.abc import Mapping, Sequence

MOST_AT_ONCE = 32
"""Switches that one controller asks for at once; what it leads by then is known a little later."""

SLOWEST_S = 0.5
"""Seconds that a controller which leads all it can waits before it claims one more."""


def is_fairer(mine: int, theirs: int) -> bool:
    """Whether one of `mine` switches is better led by whoever leads `theirs`."""
    return mine - theirs >= 2


def wishes(standing_by: Mapping[int, int], leads: Mapping[int, int], mine: int) -> Sequence[int]:
    """The switches to ask for: `standing_by` has the leader of each switch that we could lead.

    `leads` is how many each controller leads.
    """
    wanted: list[int] = []
    spare = {
        leader: (count - mine) // 2 for leader, count in leads.items() if is_fairer(count, mine)
    }
    for dpid, leader in standing_by.items():
        if len(wanted) == MOST_AT_ONCE:
            break
        if spare.get(leader, 0) > 0:
            spare[leader] -= 1
            wanted.append(dpid)
    return wanted


def patience(leads: int, connected: int) -> float:
    """Seconds to wait before a switch that nobody leads is claimed: who leads less comes first."""
    return SLOWEST_S * leads / max(connected, 1)
