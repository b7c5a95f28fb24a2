"""The shared flows of one connected switch: what they must be, what they are, what comes next.

A part of `Bridge`, for one connection, and like it without I/O: what it wants done it writes into
the bridge's draft.
"""

from collections import deque

from ryu_apps.binding.drift import Mend
from ryu_apps.binding.images import (
    NO_DIFFERENCE,
    Codec,
    Difference,
    Installed,
    difference,
    picked,
)
from ryu_apps.binding.transaction import TransactionDraft
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.layout import SHARED_OFPORT, BridgeSettings, MetaPort
from ryu_apps.pipeline.shared_flows import shared_flows


class SharedFlows:
    """The flows under SHARED_OFPORT's cookie.

    `wanted` are those there should be, `installed` those that the switch has acknowledged,
    `failure` is why it refused them.
    `moved`: they changed since `begin_check`, so that what was read back meanwhile tells nothing.
    """

    def __init__(self, settings: BridgeSettings, codec: Codec, draft: TransactionDraft) -> None:
        self.installed: tuple[Flow, ...] = ()
        self.wanted: tuple[Flow, ...] = ()
        self.failure: str | None = None
        self.moved = False
        self._settings = settings
        self._codec = codec
        self._draft = draft
        self._coming: deque[tuple[Flow, ...]] = deque()

    def install(self, meta: MetaPort | None) -> None:
        """They become what they must be, whatever they are."""
        self.wanted = shared = shared_flows(self._settings, meta)
        self._draft.delete([self._settings.cookie.shared])
        self._draft.add(shared)
        self._begin(shared)

    def adopt(self, meta: MetaPort | None, found: Installed) -> None:
        """Keep those `found` on the switch as far as they are right, mend the others."""
        self.wanted = shared_flows(self._settings, meta)
        self._mend(self.wanted, found)

    def completed(self) -> None:
        """The switch has carried out what was begun first."""
        self.installed = self._coming.popleft()

    def refused(self, reason: str | None, meta: MetaPort | None) -> None:
        """It has not: for these flows' own sake, for `reason`; None: for another's, so again."""
        self._coming.popleft()
        if reason is None:
            self.install(meta)
        else:
            self.failure = reason

    def begin_check(self) -> None:
        """The switch is about to tell flows."""
        self.moved = bool(self._coming)

    def check(self, found: Installed, mend: Mend) -> Difference:
        """What others did to them, of which the switch has `found`; `mend` says what to do."""
        if self.moved or self.failure is not None:
            return NO_DIFFERENCE
        return self._mend(self.installed, found, mend)

    def _mend(
        self, shared: tuple[Flow, ...], found: Installed, mend: Mend = Mend.ALL
    ) -> Difference:
        """From the flows `found` that belong to no port to `shared`; what is wrong with them."""
        cookie = self._settings.cookie.shared
        strange = [other for other in found if other != cookie]
        wrong = difference([*map(self._codec.image, shared)], found.get(cookie, frozenset()))
        if mend is Mend.ALL and (wrong or strange):
            self._draft.delete(strange)
            self._draft.remove(cookie, wrong.stale)
        if (mend is Mend.ALL and (wrong or strange)) or (mend is Mend.MISSING and wrong.missing):
            self._draft.add(picked(shared, wrong.missing))
            self._begin(shared)
        else:
            self.installed = shared
        return wrong.and_strays(sum(len(found[other]) for other in strange))

    def _begin(self, shared: tuple[Flow, ...]) -> None:
        self._coming.append(shared)
        self._draft.step(SHARED_OFPORT)
        self.moved = True
