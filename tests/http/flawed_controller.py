"""ryu-manager loads this before the controller: flaws in it, for the harness to find.

Each is in a call of its own, and is nowhere near the calls' ordinary use.
"""

import webob

from ryu_apps.northbound import droplet_calls, service_calls, status_calls, switch_calls

_put, _page = droplet_calls.put, droplet_calls.list_page
_announce, _switches = status_calls.announce, switch_calls.list_switches
_health = service_calls.healthz


def crash_on_a_great_id(call):
    """500 instead of an answer."""
    if int(call.request.GET.get("after", 0)) > 2**31:
        raise KeyError("after")
    return _page(call)


def take_any_document(call):
    """204 to what is no announcement."""
    try:
        return _announce(call)
    except Exception:  # noqa: BLE001 - the flaw
        return webob.Response(status=204)


def leave_a_member_out(call):
    """An answer without a member that it has to have."""
    answer = _put(call)
    answer.body = answer.body.replace(b'"ports":', b'"port":')
    return answer


def answer_with_another_status(call):
    """A status that is not described."""
    answer = _switches(call)
    answer.status = 202
    return answer


def answer_in_another_type(call):
    """A content type that is not described."""
    answer = _health(call)
    answer.content_type = "text/plain"
    return answer


droplet_calls.list_page = crash_on_a_great_id
status_calls.announce = take_any_document
droplet_calls.put = leave_a_member_out
switch_calls.list_switches = answer_with_another_status
service_calls.healthz = answer_in_another_type
