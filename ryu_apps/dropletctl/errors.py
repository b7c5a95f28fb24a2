"""What can go wrong between a client and the controller, each saying whose fault it is."""

from collections.abc import Sequence
from http import HTTPStatus

from ryu_apps.dropletctl.wire import Fault


class ClientError(Exception):
    """A call to the controller did not do what was asked; the text is for the operator."""


class Unreachable(ClientError):
    """Nobody answered at the URL, or the connection broke."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no answer from a controller at {url}: {why}")
        self.url = url


class BadTlsFile(ClientError):
    """A file that https needs cannot be used."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: no certificates (or no key) that https can use: {why}")


class NotAController(ClientError):
    """Something answered at the URL, in no way that a controller answers."""

    def __init__(self, url: str, seen: str) -> None:
        super().__init__(f"what answers at {url} is no controller of ours: {seen}")
        self.url = url


class Refused(ClientError):
    """The controller's refusal (RFC 9457): its status, its reason and every fault it listed."""

    def __init__(self, status: int, title: str, detail: str, faults: Sequence[Fault] = ()) -> None:
        reasons = (f"{fault.get('pointer', '')} {fault['detail']}".strip() for fault in faults)
        super().__init__("; ".join([detail or title, *reasons]))
        self.status = status
        self.title = title
        self.detail = detail
        self.faults = tuple(faults)


class Unauthorized(Refused):
    """401: the controller does not know the token."""


class Forbidden(Refused):
    """403: the token's role, or its switch, does not allow this."""


class NotFound(Refused):
    """404."""


class Conflict(Refused):
    """409: a port name belongs to another droplet."""


class PreconditionFailed(Refused):
    """412: the droplet is not as If-Match or If-None-Match wants it."""


KINDS: dict[int, type[Refused]] = {
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.PRECONDITION_FAILED: PreconditionFailed,
}


def refusal(status: int, title: str, detail: str, faults: Sequence[Fault] = ()) -> Refused:
    """The kind of refusal that a status stands for."""
    return KINDS.get(status, Refused)(status, title, detail, faults)
