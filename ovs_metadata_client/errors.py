"""What can go wrong between a client and the controller, each saying whose fault it is."""

from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus

from ovs_metadata_client.wire import Fault


class ClientError(Exception):
    """A call to the controller did not do what was asked; the text is for the operator."""


class Trouble(StrEnum):
    """Why nobody answered, as far as it can be told."""

    NAME = "name"
    """The host's name is not known."""
    REFUSED = "refused"
    """Nobody listens at the port."""
    NO_ANSWER = "no-answer"
    """Nothing came in time."""
    UNTRUSTED = "untrusted"
    """The certificate is not one to trust, or is for another host."""
    NO_TLS = "no-tls"
    """What listens speaks something else than TLS."""
    CLIENT_CERTIFICATE = "client-certificate"
    """A certificate is asked for: none was shown, or one that does not count. Over TLS 1.3 that may
    look like BROKEN: the server's word for it is lost where it is quicker than our request."""
    BROKEN = "broken"
    """The connection ended before the answer did."""
    OTHER = "other"


class Unreachable(ClientError):
    """Nobody answered at the URL, or the connection broke."""

    def __init__(self, url: str, why: str, trouble: Trouble = Trouble.OTHER) -> None:
        super().__init__(f"no answer from a controller at {url}: {why}")
        self.url = url
        self.why = why
        self.trouble = trouble


class BadTlsFile(ClientError):
    """A file that https needs cannot be used."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: no certificates (or no key) that https can use: {why}")
        self.file = file


class NotAController(ClientError):
    """Something answered at the URL, in no way that a controller answers."""

    def __init__(self, url: str, seen: str) -> None:
        super().__init__(f"what answers at {url} is no controller of ours: {seen}")
        self.url = url


class Refused(ClientError):
    """The controller's refusal (RFC 9457): its status, its reason and every fault it listed.

    `retry_after` is the seconds after which the controller says it may do it. `repeated`: an
    earlier try of the call broke off, and may have been carried out.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        faults: Sequence[Fault] = (),
        *,
        retry_after: float | None = None,
        repeated: bool = False,
    ) -> None:
        reasons = (f"{fault.get('pointer', '')} {fault['detail']}".strip() for fault in faults)
        super().__init__("; ".join([detail or title, *reasons]))
        self.status = status
        self.title = title
        self.detail = detail
        self.faults = tuple(faults)
        self.retry_after = retry_after
        self.repeated = repeated


class Invalid(Refused):
    """400: the document or the call is wrong; `faults` has every fault."""


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


class TooLarge(Refused):
    """413: beyond what the controller takes at once."""


class Misdirected(Refused):
    """421: another controller leads the switch; ask that one."""


class Unavailable(Refused):
    """503: the controller cannot do it now. Perhaps after `retry_after`. Nothing was acknowledged;
    a write may have been done all the same, where the registry could not tell."""


class StorageFull(Refused):
    """507: the registry's disk is full; nothing was done."""


KINDS: dict[int, type[Refused]] = {
    HTTPStatus.BAD_REQUEST: Invalid,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.PRECONDITION_FAILED: PreconditionFailed,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge,
    HTTPStatus.MISDIRECTED_REQUEST: Misdirected,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
    HTTPStatus.INSUFFICIENT_STORAGE: StorageFull,
}
"""The kind of each status that a caller can do something about; any other is a plain Refused."""
