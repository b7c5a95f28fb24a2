"""Every event that the metadata server logs: its name, level, sentence and fields. Nothing else.

docs/operations.md has them as a table; a test holds each call of `say` to what is declared here.
Levels: ERROR, somebody has to do something or droplets go without; WARNING, it mends itself or is
bearable, but is not as it should be; INFO, what one asks for afterwards, droplets' own doings
among it; DEBUG, the rest.
"""

from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING

from ovs_metadata_logs.event import Event
from ovs_metadata_logs.own import OWN

# -- the process -----------------------------------------------------------------------------------

CANNOT_SERVE = Event(
    "cannot_serve",
    CRITICAL,
    "{reason}",
    "An address is taken, or `ovs-vsctl` is not there. The process ends with status 1.",
)
SERVING = Event("serving", INFO, "serving bridge {dpid}", "The bridge is known.")
LISTENING = Event(
    "listening",
    INFO,
    "listening on {address}, {workers} worker(s)",
    "Droplets reach this address.",
)
WORKER_STARTED = Event(
    "worker_started",
    INFO,
    "server {server}, admin on {address}",
    "A worker, by the name the controller knows it by, and where its `/readyz` is.",
)
FEW_FILES = Event(
    "few_files",
    WARNING,
    "only {count} open files: fewer than max_connections needs",
    "Raise the limit (LimitNOFILE), or lower `max_connections`.",
)

# -- the bridge and its database -------------------------------------------------------------------

WAITING_FOR_BRIDGE = Event(
    "waiting_for_bridge",
    WARNING,
    "waiting for bridge {bridge} in OVSDB ({url}): {reason}",
    "Nothing is served before there is one.",
    key=("bridge", "reason"),
)
BRIDGE_MADE_AGAIN = Event(
    "bridge_made_again",
    WARNING,
    "bridge {bridge} was made again: dpid {dpid}, not {former_dpid}",
    "The new one is followed from here on.",
)
CANNOT_FOLLOW = Event(
    "cannot_follow",
    ERROR,
    "cannot follow bridge {dpid}: {reason}",
    "Tried again; droplets of the new bridge are not served until then.",
    key=("dpid", "reason"),
)
OVSDB_CHECKED = Event(
    "ovsdb_checked",
    INFO,
    "Open vSwitch database {url}: ports are checked against it",
    "Which port is at which ofport is known for certain.",
)
OVSDB_UNCHECKED = Event(
    "ovsdb_unchecked",
    WARNING,
    "Open vSwitch database {url}: {reason}",
    "Ports are served by what was known last, or are not checked; see [metadata-http]"
    "(metadata-http.md).",
    key=("url", "reason"),
)
OVSDB_FAULT = Event(
    "ovsdb_fault",
    ERROR,
    "fault while watching {url}",
    "A defect, with its trace: report it. The database is watched anew.",
    key=("url",),
)
OFPORTS_CONTESTED = Event(
    "ofports_contested",
    WARNING,
    "another interface asks for these ofports, so who has them is in doubt: {ofports}",
    "Two rows of Interface have one `ofport_request`; their droplets get 503.",
    key=("ofports",),
)
UNREACHABLE = Event(
    "unreachable",
    ERROR,
    "droplets get no answer: {reason}",
    "`dropletctl host-setup` mends it.",
    key=("reason",),
)
REACHABLE = Event(
    "reachable", INFO, "droplets reach {address} again", "Ends what `unreachable` began."
)
REACH_UNKNOWN = Event(
    "reach_unknown",
    WARNING,
    "whether droplets reach {address} is not known: {reason}",
    "`ip` is missing or fails.",
    key=("reason",),
)

# -- the controller and the view -------------------------------------------------------------------

FOLLOWING = Event(
    "following",
    INFO,
    "following bridge {dpid} at {url} from {source}",
    "A controller sends what it knows: all of it, or what came after a revision.",
    key=("dpid", "url"),
)
IN_SYNC = Event(
    "in_sync",
    INFO,
    "in sync: revision {revision}, {ports} ports",
    "The view is the controller's.",
)
CONTROLLER_AWAY = Event(
    "controller_away",
    WARNING,
    "{reason}",
    "Said once for each reason; droplets are served on from the view.",
    key=("reason",),
)
STREAM_REFUSED = Event(
    "stream_refused",
    ERROR,
    "{url}: {reason}; asking for everything anew",
    "A defect of the controller or of ours: report it.",
    key=("url",),
)
STREAM_FAULT = Event(
    "stream_fault",
    ERROR,
    "fault while following {url}",
    "A defect, with its trace: report it.",
    key=("url",),
)
LEAVING_UNHEARD = Event(
    "leaving_unheard",
    WARNING,
    "leaving unheard: {reason}",
    "The controller waits for this server for some seconds more.",
)
COUNTS_NOT_TOLD = Event(
    "counts_not_told",
    DEBUG,
    "what droplets asked is not told: {reason}",
    "`dropletctl top` shows less.",
    key=("reason",),
)
COUNTS_FAULT = Event(
    "counts_fault",
    ERROR,
    "fault of ours while telling what droplets asked",
    "A defect, with its trace: report it.",
)
TOKENS_OPEN = Event(
    "tokens_open",
    WARNING,
    "{file} is open to every user (mode {mode}); chmod 600 it",
    "Change the tokens as well: they may have been read.",
)

# -- files -----------------------------------------------------------------------------------------

SNAPSHOT_LOADED = Event(
    "snapshot_loaded",
    INFO,
    "loaded revision {revision} with {ports} ports from {file} ({reason})",
    "What is served until the controller answers, if it is not too old.",
)
SNAPSHOT_OPEN = Event(
    "snapshot_open",
    WARNING,
    "{file} was open to others (mode {mode}): it holds user data",
    "The next one is not. What it held may have been read.",
)
SNAPSHOT_UNUSABLE = Event(
    "snapshot_unusable",
    ERROR,
    "{file} is no snapshot, passing it over: {reason}",
    "It is written anew from what the controller says.",
)
SNAPSHOT_OTHER_VERSION = Event(
    "snapshot_other_version",
    INFO,
    "{file} is another version's, passing it over",
    "As after an upgrade; droplets wait for the controller once.",
)
FILE_NOT_WRITTEN = Event(
    "file_not_written",
    ERROR,
    "cannot write {file}: {reason}",
    "Serving goes on without it; a restart needs the controller then.",
    key=("file", "reason"),
)
KEYS_OPEN = Event(
    "keys_open",
    WARNING,
    "{file} was open to others (mode {mode}): its keys count no more",
    "New ones are made; session tokens have to be asked for again.",
)
KEYS_UNUSABLE = Event(
    "keys_unusable",
    ERROR,
    "{file} holds no keys ({reason}), passing it over",
    "New ones are made; session tokens have to be asked for again.",
)
KEY_MADE = Event(
    "key_made",
    INFO,
    "a new key for session tokens in {file}, which has {count}",
    "Now and then, as they age.",
)
NO_KEY = Event(
    "no_key",
    ERROR,
    "no key for session tokens: {reason}",
    "Session tokens are neither given nor taken.",
    key=("reason",),
)

# -- droplets --------------------------------------------------------------------------------------

REQUEST_ODD = Event(
    "request_odd",
    INFO,
    "{status} to {peer} ({who}): {method!r} {path!r}",
    "An answer from 400 on to a droplet's address; `who` says whose.",
    more=("droplet_id",),
    key=("peer",),
    every=2.0,
    total=200,
)
REQUEST_STRANGE = Event(
    "request_strange",
    WARNING,
    "{status} to {peer} ({who}): {method!r} {path!r}",
    "Somebody asks who is no droplet: its address is outside the hv-local subnet.",
    every=2.0,
    total=200,
)
REQUEST_FAULT = Event(
    "request_fault",
    ERROR,
    "fault of ours while answering {peer} ({who})",
    "A defect, with its trace: report it. The answer was 500.",
    key=("peer",),
    total=200,
)
WISH_UNREADABLE = Event(
    "wish_unreadable",
    DEBUG,
    "{reason}",
    "A droplet asks to wait for a change in words that are none.",
    key=("reason",),
    total=200,
)
CROWDING = Event(
    "crowding",
    INFO,
    "{peer} had {connections} connections: ended {ended}",
    "More than `max_connections_per_droplet`.",
    key=("peer",),
    total=200,
)
CROWDING_FAULT = Event(
    "crowding_fault",
    ERROR,
    "fault of ours while looking at connections",
    "A defect, with its trace: report it.",
)
BODY_MISSING = Event(
    "body_missing",
    INFO,
    "a body of {peer} did not come: ended {ended} of its connections",
    "A droplet announced a body and did not send it.",
    key=("peer",),
    total=200,
)
REPORT_UNREADABLE = Event(
    "report_unreadable",
    INFO,
    "report of droplet {droplet_id}: {reason}",
    "Its agent sent what is no report.",
    key=("droplet_id",),
    total=200,
)
REPORT_NOT_TAKEN = Event(
    "report_not_taken",
    WARNING,
    "report of droplet {droplet_id}: {reason}",
    "The controller did not take it; the agent tries again.",
    key=("droplet_id",),
    total=200,
)
REPORT_FAULT = Event(
    "report_fault",
    ERROR,
    "fault of ours with a report of droplet {droplet_id}",
    "A defect, with its trace: report it.",
    key=("droplet_id",),
    total=200,
)

EVENTS = tuple(each for each in list(globals().values()) if isinstance(each, Event))
"""All of them, in this order."""

BY_NAME = {event.name: event for event in (*EVENTS, *OWN)}
