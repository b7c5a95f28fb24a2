"""What schemathesis cannot know of the controller under test. It loads this file by name."""

import re

import schemathesis

DPID = "00000000000000ab"
DROPLET_ID = 7
"""The one droplet on a port of that one switch: what is asked of others is answered 404."""

OFPORT = 1
"""Of its port."""

_DPID = re.compile("[0-9a-f]{15}[02468ace]")  # half of those that fit


@schemathesis.hook
def before_call(context, case, kwargs):
    """Ask for no stream, which would never end; of the switch there is; whole numbers whole.

    JSON Schema takes 88.0 for an integer; the registry takes only what every reader takes for one.
    """
    query = case.query if isinstance(case.query, dict) else {}
    if str(query.get("watch")).lower() == "true":
        query["watch"] = "false"
    if str(query.get("watch", "false")).lower() == "false":
        query.pop("since", None)
        query.pop("server", None)
    path = case.path_parameters if isinstance(case.path_parameters, dict) else {}
    if _DPID.fullmatch(str(path.get("dpid"))):
        path["dpid"] = DPID
        if isinstance(path.get("droplet_id"), int) and path["droplet_id"] > 0:
            path["droplet_id"] = DROPLET_ID
        if isinstance(path.get("ofport"), int) and path["ofport"] > 0:
            path["ofport"] = OFPORT
    case.body = _whole(case.body)


def _whole(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    return value
