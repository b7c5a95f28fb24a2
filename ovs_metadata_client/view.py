"""The ports of a switch as the watch stream tells them: events in, the view out. Pure."""

from ovs_metadata_client.wire import WatchedPort, WatchEvent


class PortsView:
    """What a reader of the stream knows. `ports`, by ofport, is whole as soon as `known` is true,
    and stays what it was while a new snapshot is on its way or the switch is out of sync."""

    def __init__(self) -> None:
        self.ports: dict[int, WatchedPort] = {}
        self.known = False
        self.waiting = False
        self.revision: int | None = None
        self.hv_local_subnet: str | None = None
        self._coming: dict[int, WatchedPort] | None = None

    @property
    def since(self) -> int | None:
        """The revision to come back with; None where only a whole view will do."""
        return self.revision if self.known and self._coming is None else None

    def take(self, told: WatchEvent) -> bool:
        """Take an event in; whether the view looks different now."""
        match told["event"]:
            case "waiting":
                changed, self.waiting = not self.waiting, True
                return changed
            case "snapshot":
                self._coming = {}
                self.hv_local_subnet = told["hv_local_subnet"]
                return False
            case "port":
                self._newest()[told["port"]["ofport"]] = told["port"]
            case "gone":
                self._newest().pop(told["ofport"], None)
            case "in-sync":
                if self._coming is not None:
                    self.ports, self._coming = self._coming, None
                self.known, self.waiting = True, False
            case "heartbeat":
                self.revision = told["revision"]
                return False
            case _:
                return False
        self.revision = told["revision"]
        return self._coming is None

    def _newest(self) -> dict[int, WatchedPort]:
        return self.ports if self._coming is None else self._coming
