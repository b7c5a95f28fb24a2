"""An answer that was prepared equals one made anew, whatever became of its port in between."""

from collections import Counter

from hypothesis import given

from metadata_http.app import Application, clock
from metadata_http.lease import Lease
from metadata_http.view import Following, advance
from tests.property.effort import effort
from tests.property.test_metadata_view import begin, changes, events_of

PATHS = ("/metadata/v1/id", "/metadata/v1/hostname", "/metadata/v1/user-data", "/metadata/v1.json")
ADDRESSES = tuple(f"100.127.0.{n}" for n in range(1, 5))


class Counts(Counter):
    """What an application counts, which is not looked at."""

    def count(self, status, path_kind, seconds):
        """Not looked at."""

    def without_token(self):
        """Not looked at."""

    def odd(self, caller, port, status):
        """Not looked at."""


def asked(application, path, peer):
    """Status, headers and body of one plain GET."""
    environ = {"REMOTE_ADDR": peer, "REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": "m"}
    started = []
    body = application(environ, lambda status, headers: started.append((status, headers)))
    return *started, b"".join(body)


@effort(100)
@given(changes)
def test_what_is_prepared_is_what_would_be_made_anew(given_changes):
    """Everything is asked twice after each change; beside it one that never saw any other view."""
    old = Application(Counts())
    events = [begin(0), {"event": "in-sync", "revision": 0}]
    following = advance(Following(), events, clock())
    for event in events_of(given_changes):
        events.append(event)
        following = advance(following, [event], clock())
        old.publish(following.view, Lease(float("inf")))
        new = Application(Counts())
        new.publish(advance(Following(), events, clock()).view, Lease(float("inf")))
        for peer in ADDRESSES:
            for path in PATHS:
                anew = asked(new, path, peer)
                assert asked(old, path, peer) == anew
                assert asked(old, path, peer) == anew
