"""The count of requests that are answered without a session token and would not be otherwise.

By droplet, for the question is asked of each: is it safe to require a token of this one? Shell only
in its lock; droplets that have gone are forgotten when the count is read.
"""

import threading
from collections.abc import Callable, Collection, Iterator

from prometheus_client.core import CounterMetricFamily, Metric

_NAME = "metadata_http_requests_without_token"
_HELP = "Requests answered without a session token, which http_tokens=required would refuse"


class WithoutToken:
    """A collector for prometheus_client; `droplets` tells the ids of those there are now."""

    def __init__(self, droplets: Callable[[], Collection[int]]) -> None:
        self._droplets = droplets
        self._counts: dict[int, int] = {}
        self._lock = threading.Lock()

    def count(self, droplet_id: int) -> None:
        """One more request of this droplet."""
        with self._lock:
            self._counts[droplet_id] = self._counts.get(droplet_id, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it."""
        there = self._droplets()
        with self._lock:
            self._counts = {key: n for key, n in self._counts.items() if key in there}
            counts = dict(self._counts)
        family = CounterMetricFamily(_NAME, _HELP, labels=["droplet_id"])
        for droplet_id, count in counts.items():
            family.add_metric([str(droplet_id)], count)
        yield family
