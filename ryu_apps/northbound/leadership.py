"""Which controller should lead which switch, as the shared registry has it; see `southbound.roles`.

What is known comes with the registry's news; what is asked goes to it on a native thread.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ryu_apps.store.interface import Follower, Leader, News, Presence

OnNews = Callable[[Iterable[int]], None]


class Leadership:
    """The leaders of switches and the controllers there are. `me` is ours, its boot count.

    `on_news` is called with the dpids whose leader changed, or that another would lead.
    """

    def __init__(self, follower: Follower, me: int, offload: Callable[..., Any]) -> None:
        self.me = me
        self.on_news: OnNews = lambda _dpids: None
        self.controllers: dict[int, Presence] = {}
        self._leaders: dict[int, Leader] = {}
        self._wishes: dict[int, int] = {}
        self._follower = follower
        self._offload = offload

    def hear(self, news: News) -> None:
        """Take over what the registry tells."""
        touched = {*news.leaders, *news.wishes}
        if news.whole:
            touched |= self._leaders.keys()
            self._leaders.clear()
            self.controllers.clear()
        for known, told in ((self._leaders, news.leaders), (self.controllers, news.controllers)):
            for key, value in told.items():
                if value is None:
                    known.pop(key, None)  # type: ignore[attr-defined]
                else:
                    known[key] = value  # type: ignore[index]
        self._wishes.update(news.wishes)
        if touched:
            self.on_news(touched)

    def leader(self, dpid: int) -> Leader | None:
        """Who should lead this switch."""
        return self._leaders.get(dpid)

    def other_leader(self, dpid: int) -> str | None:
        """The name of who leads this switch, if anybody else does."""
        leader = self._leaders.get(dpid)
        return (
            None if leader is None or leader.controller == self.me else self.name(leader.controller)
        )

    def leads(self) -> Counter[int]:
        """How many switches each controller should lead."""
        return Counter(leader.controller for leader in self._leaders.values())

    def take_wish(self, dpid: int) -> int | None:
        """The controller that would lead this switch, told once."""
        return self._wishes.pop(dpid, None)

    def name(self, controller: int) -> str:
        """A controller's name for people."""
        there = self.controllers.get(controller)
        return f"controller {controller}" if there is None else there.name

    def claim(self, dpid: int) -> int | None:
        """Lead this switch, if nobody does: our term. Raises StoreError."""
        term = self._offload(self._follower.claim, dpid)
        known = self._leaders.get(dpid)
        if term is not None and (known is None or known.term < term):
            # The news of it are on their way.
            self._leaders[dpid] = Leader(self.me, term)
        return term

    def resign(self, dpid: int, term: int) -> None:
        """Do not lead it any more. Raises StoreError."""
        self._offload(self._follower.resign, dpid, term)
        if self._leaders.get(dpid) == Leader(self.me, term):
            del self._leaders[dpid]

    def wish(self, dpid: int) -> None:
        """Tell its leader that we would lead it. Raises StoreError."""
        self._offload(self._follower.wish, dpid)

    def leave(self) -> None:
        """Lead nothing any more. Raises StoreError."""
        self._offload(self._follower.leave)
