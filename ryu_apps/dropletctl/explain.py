"""From a failed call to a sentence that leads to its mend: who was asked, with what, and what to
look at. Pure."""

from ovs_metadata_client import (
    ClientError,
    Fault,
    Forbidden,
    Refused,
    Trouble,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from ryu_apps.dropletctl.connection import Place

_LOOK_AT = {
    Trouble.NAME: "is the name right, and known to this host's resolver?",
    Trouble.REFUSED: "does the controller run, with wsapi_host and wsapi_port so?",
    Trouble.NO_ANSWER: "is the host up, and does a firewall between let this port pass?",
    Trouble.NO_TLS: "it speaks plain HTTP there, without rest_certificate: http://?",
    Trouble.CLIENT_CERTIFICATE: "it wants a certificate of an authority in its rest_client_ca: "
    "--client-cert, --client-key",
}

_BROKEN = {
    "http": "with rest_certificate the controller speaks TLS alone: https://?",
    "https": "it may want a certificate (rest_client_ca): --client-cert, --client-key",
}


def explain(error: ClientError, place: Place) -> str:
    """What went wrong; more than one line only where a document has faults."""
    match error:
        case Unreachable():
            asked = f"{error} ({place.url_source})"
            look_at = _look_at(error, place)
            return f"{asked}; {look_at}" if look_at else asked
        case Unauthorized():
            return (
                f"{place.url} does not know the token of {place.token_source} ({error.detail}); "
                f"it knows those in its tokens_file: is it the controller you mean "
                f"({place.url_source}), and that its file?"
            )
        case Forbidden():
            return f"{place.url} refuses the token of {place.token_source}: {error.detail}"
        case Unavailable():
            when = "" if error.retry_after is None else f", perhaps in {error.retry_after:.0f} s"
            return f"{place.url} cannot do it now{when}: {error.detail or error.title}"
        case Refused():
            faults = [fault_line(fault) for fault in error.faults]
            told = f"{place.url}: {error.detail or error.title} ({error.status})"
            return "\n".join([told, *faults])
    return str(error)


def _look_at(error: Unreachable, place: Place) -> str | None:
    if error.trouble is Trouble.UNTRUSTED:
        return _trust(error.why)
    if error.trouble is Trouble.BROKEN:
        return _BROKEN[place.url.partition(":")[0]]
    return _LOOK_AT.get(error.trouble)


def _trust(why: str) -> str:
    """Which of the three things a certificate is checked for does not hold: OpenSSL's words."""
    if "mismatch" in why or "not valid for" in why:
        return "the URL must name the host as its certificate does"
    if "expired" in why or "not yet valid" in why:
        return "its certificate is of another time, or this host's clock is wrong"
    return "--ca-file says whom to trust: the controller's rest_ca"


def fault_line(fault: Fault) -> str:
    """One fault of a document on a line: where, then what."""
    pointer = fault.get("pointer", "").removeprefix("#")
    return f"  {pointer + ': ' if pointer else ''}{fault['detail']}"
