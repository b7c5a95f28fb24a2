"""What a failed call is told as: who was asked, which token, and what to look at."""

from pathlib import Path

import pytest

from ovs_metadata_client import (
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    Tls,
    Trouble,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from ryu_apps.dropletctl.connection import Place
from ryu_apps.dropletctl.explain import explain

HTTP, HTTPS = "http://hv1:8080", "https://hv1:8080"
FILE = "/var/lib/ovs-metadata/tokens"


def told(error: ClientError, url: str = HTTP) -> str:
    tls = Tls(Path("ca.pem"))
    return explain(error, Place(url, "wsapi_port of a.conf", "SECRET", FILE, tls))


@pytest.mark.parametrize(
    ("trouble", "why", "url", "look_at"),
    [
        (Trouble.NAME, "x", HTTP, "resolver"),
        (Trouble.REFUSED, "Connection refused", HTTP, "does the controller run"),
        (Trouble.NO_ANSWER, "timed out", HTTP, "firewall"),
        (Trouble.NO_TLS, "wrong version", HTTPS, "http://?"),
        (Trouble.CLIENT_CERTIFICATE, "alert", HTTPS, "--client-cert"),
        (Trouble.BROKEN, "closed", HTTP, "https://?"),
        (Trouble.BROKEN, "closed", HTTPS, "--client-cert"),
        (Trouble.UNTRUSTED, "verify failed: self-signed certificate", HTTPS, "--ca-file"),
        (Trouble.UNTRUSTED, "verify failed: IP address mismatch", HTTPS, "the URL must name"),
        (Trouble.UNTRUSTED, "certificate is not valid for 'hv1'", HTTPS, "the URL must name"),
        (Trouble.UNTRUSTED, "verify failed: certificate has expired", HTTPS, "clock"),
        (Trouble.OTHER, "No route to host", HTTP, ""),
    ],
)
def test_nobody_there_is_told_with_who_was_asked_and_what_to_look_at(
    trouble: Trouble, why: str, url: str, look_at: str
) -> None:
    said = told(Unreachable(url, why, trouble), url)
    assert said.startswith(f"no answer from a controller at {url}: {why} (wsapi_port of a.conf)")
    assert look_at in said
    assert "\n" not in said


def test_every_trouble_is_tested() -> None:
    assert len(Trouble) == 8


def test_a_token_that_is_not_known_is_told_with_its_file_and_never_shown() -> None:
    said = told(Unauthorized(401, "Unauthorized", "the token is not known"))
    assert f"{HTTP} does not know the token of {FILE}" in said
    assert "tokens_file" in said and "wsapi_port of a.conf" in said
    assert "SECRET" not in said
    said = told(Forbidden(403, "Forbidden", "for the role admin"))
    assert said == f"{HTTP} refuses the token of {FILE}: for the role admin"


def test_later_says_when() -> None:
    busy = Unavailable(503, "x", "4 batches are under way", retry_after=60)
    assert told(busy) == f"{HTTP} cannot do it now, perhaps in 60 s: 4 batches are under way"
    assert told(Unavailable(503, "x", "")) == f"{HTTP} cannot do it now: x"


def test_faults_are_listed_a_line_each() -> None:
    faults = [{"detail": "is bad", "pointer": "#/ports/0"}, {"detail": "is worse"}]
    said = told(Invalid(400, "x", "the document has 2 faults", faults))
    assert said.splitlines() == [
        f"{HTTP}: the document has 2 faults (400)",
        "  /ports/0: is bad",
        "  is worse",
    ]
    assert told(Conflict(409, "Conflict", "")) == f"{HTTP}: Conflict (409)"
