"""Every event that the controller logs: its name, level, sentence and fields. Nothing else.

docs/operations.md has them as a table; a test holds each call of `say` to what is declared here.
Levels: ERROR, somebody has to do something or droplets go without; WARNING, it mends itself or is
bearable, but is not as it should be; INFO, what one asks for afterwards; DEBUG, the rest.
"""

from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING

from ovs_metadata_logs.event import Event
from ovs_metadata_logs.own import OWN

OF_SWITCH = ("dpid",)

# -- the process -----------------------------------------------------------------------------------

CANNOT_START = Event(
    "cannot_start",
    CRITICAL,
    "cannot start: {reason}",
    "The configuration, or what it names, is at fault; the process ends with status 78.",
)
CANNOT_LISTEN = Event(
    "cannot_listen",
    CRITICAL,
    "cannot listen on {address}: {reason}",
    "Another process has the address. The process ends.",
)
LISTENER_ENDED = Event(
    "listener_ended",
    CRITICAL,
    "no listener for switches any more, ending",
    "A defect: report it. The process ends, and its manager starts it anew.",
)
STARTED = Event(
    "started",
    INFO,
    "registry {registry}: {droplets} droplets",
    "The registry is open.",
)
MEMORY_LOOKED_AT = Event(
    "memory_looked_at",
    INFO,
    "memory: {count} objects let go in {seconds} s, {mebibytes} MiB left of {mebibytes_before}",
    "The process had grown. Nothing else is done meanwhile, so with a large fleet it is a pause.",
)

# -- switches --------------------------------------------------------------------------------------

SWITCH_CONNECTED = Event(
    "switch_connected",
    INFO,
    "switch {dpid} connected from {peer}",
    "It is being looked at; `switch_in_sync` follows.",
    key=OF_SWITCH,
)
SWITCH_CONNECTED_TWICE = Event(
    "switch_connected_twice",
    WARNING,
    "switch {dpid} connected again before its old connection ended",
    "Its old connection broke unheard, or two bridges have one dpid.",
    key=OF_SWITCH,
)
SWITCH_DISCONNECTED = Event(
    "switch_disconnected",
    WARNING,
    "switch {dpid} disconnected",
    "Droplets are served on; changes wait until it is back.",
    key=OF_SWITCH,
)
SWITCH_IN_SYNC = Event(
    "switch_in_sync",
    INFO,
    "switch {dpid}: in sync {seconds} s after it connected, {flows} flows",
    "All of its flows are there.",
    key=OF_SWITCH,
)
SWITCH_REFUSED = Event(
    "switch_refused",
    ERROR,
    "switch {dpid} refused: {reason}",
    "It is not served: two bridges would take each other's addresses or zones.",
    key=OF_SWITCH,
)
SWITCH_SENT_AWAY = Event(
    "switch_sent_away",
    ERROR,
    "switch {dpid} from {peer}: {reason}",
    "There are more switches than the controller has room for.",
    key=OF_SWITCH,
)
SWITCH_WARNING = Event(
    "switch_warning",
    WARNING,
    "switch {dpid}: {reason}",
    "What is not as it should be, also in `warnings` of GET /v1/switches.",
    key=("dpid", "reason"),
)
FAIL_MODE_MENDED = Event(
    "fail_mode_mended",
    WARNING,
    "switch {dpid}: bridge {bridge} had fail_mode {fail_mode}, setting secure",
    "In any other the bridge would drop the flows while the controller is away.",
    key=OF_SWITCH,
)
RIVAL_GONE = Event(
    "rival_gone",
    INFO,
    "switch {dpid}: the other controller has gone",
    "All flows are looked at again.",
    key=OF_SWITCH,
)
RIVALS_UNKNOWN = Event(
    "rivals_unknown",
    WARNING,
    "switch {dpid}: who else controls it is not known: {reason}",
    "Its database did not answer (`ovsdb`).",
    key=OF_SWITCH,
)
NEWS_OVERFLOW = Event(
    "news_overflow",
    ERROR,
    "switch {dpid}: more news than can be kept, ending",
    "The connection is ended; a fresh one begins from what the switch has.",
    key=OF_SWITCH,
)
SESSION_FAILED = Event(
    "session_failed",
    ERROR,
    "switch {dpid}: session failed, reconnecting",
    "A defect, with its trace: report it.",
    key=OF_SWITCH,
)
NO_BUNDLES = Event(
    "no_bundles",
    WARNING,
    "switch {dpid}: has no bundles; flows change one by one",
    "A change of many flows may be seen in part.",
    key=OF_SWITCH,
)
NO_METERS = Event(
    "no_meters",
    INFO,
    "switch {dpid}: no meters: {reason}",
    "Droplets' packets are not limited by the switch.",
    key=OF_SWITCH,
)
NO_FLOW_MONITOR = Event(
    "no_flow_monitor",
    INFO,
    "switch {dpid}: no flow monitor: {reason}",
    "What others do to flows is found by looking now and then.",
    key=OF_SWITCH,
)
FLOWS_NOT_TOLD = Event(
    "flows_not_told",
    ERROR,
    "switch {dpid}: refused to tell its flows: {reason}",
    "What others do to flows is not mended.",
    key=OF_SWITCH,
)
FLOWS_SENT = Event(
    "flows_sent",
    INFO,
    "switch {dpid}: {bindings} bindings and {deleted} flows deleted, {added} flows added, {zones} "
    "zones flushed, for ofports {ofports}",
    "What was sent for ports that came, went or changed hands.",
    key=("dpid", "ofports"),
)
FLOW_REFUSED = Event(
    "flow_refused",
    ERROR,
    "switch {dpid}: ofport {ofport}: flow refused: {reason}",
    "The droplet at this port goes without metadata.",
    key=("dpid", "ofport"),
)
MESSAGE_REFUSED = Event(
    "message_refused",
    ERROR,
    "switch {dpid}: refused xid {xid}: {reason}",
    "A message that is nobody's in particular.",
    key=("dpid", "reason"),
)
FLOWS_MENDED = Event(
    "flows_mended",
    WARNING,
    "switch {dpid}: mending what others did: {reason}",
    "Somebody else changes our flows.",
    key=OF_SWITCH,
)
FLOWS_CONTESTED = Event(
    "flows_contested",
    ERROR,
    "switch {dpid}: {reason}",
    "Somebody else changes our flows again and again; mending slows down.",
    key=OF_SWITCH,
)
SERVER_SILENT = Event(
    "server_silent",
    WARNING,
    "switch {dpid}: metadata server {server} is silent",
    "It is not waited for any more.",
    key=("dpid", "server"),
)

# -- who leads, among several controllers ----------------------------------------------------------

LEADING = Event(
    "leading",
    INFO,
    "switch {dpid}: we lead it, in term {term}",
    "",
    key=OF_SWITCH,
)
NOT_LEADING = Event(
    "not_leading",
    INFO,
    "switch {dpid}: we do not lead it any more: {reason}",
    "",
    key=OF_SWITCH,
)
GIVEN_UP = Event(
    "given_up",
    INFO,
    "switch {dpid}: given up to {who}",
    "The other controller leads fewer.",
    key=OF_SWITCH,
)
LEADER_REFUSED = Event(
    "leader_refused",
    WARNING,
    "switch {dpid}: refuses us as its leader in term {term}",
    "Another leads it in a later term; tried again.",
    key=OF_SWITCH,
)
LEADER_LOST = Event(
    "leader_lost",
    WARNING,
    "switch {dpid}: does not take us for its leader any more",
    "Another took it; settled anew.",
    key=OF_SWITCH,
)
LEADER_UNSETTLED = Event(
    "leader_unsettled",
    ERROR,
    "switch {dpid}: cannot settle who leads it",
    "A defect, with its trace: report it.",
    key=OF_SWITCH,
)
LEFT_UNHEARD = Event(
    "left_unheard",
    WARNING,
    "what we lead is free only in some seconds: {reason}",
    "The registry did not hear that this controller ends.",
)

# -- the registry ----------------------------------------------------------------------------------

STORE_AWAY = Event(
    "store_away",
    ERROR,
    "{reason}",
    "The registry's store fails: no writes until it is back. The disk, or etcd, is to be seen to.",
    key=("reason",),
)
STORE_READ_STALE = Event(
    "store_read_stale",
    WARNING,
    "{reason}; reading what any node has",
    "etcd has no quorum.",
    key=("reason",),
)
REGISTRY_DAMAGED = Event(
    "registry_damaged",
    CRITICAL,
    "the registry is damaged ({reason}). It is read on and takes no more writes; stop the "
    "controller and restore a backup (dropletctl restore FILE)",
    "See [the registry's disk](#the-registrys-disk).",
)
REGISTRY_OLDER = Event(
    "registry_older",
    WARNING,
    "registry {registry}: is older than what was served last, as a restored backup is. Revisions "
    "go on above all that there were; each switch waits once for metadata servers that this "
    "registry may not know",
    "After a restore it is as it should be.",
)
REGISTRY_MADE_ANEW = Event(
    "registry_made_anew",
    WARNING,
    "{registry}: its etcd was made anew, as from a snapshot. Revisions go on above all that there "
    "were; each switch waits once for metadata servers that this registry may not know",
    "After a restore of etcd it is as it should be.",
)
INDEX_BEHIND = Event(
    "index_behind",
    WARNING,
    "the registry's index is behind: it has not seen revision {revision}",
    "News of etcd come late.",
)
REGISTRY_HEARD_AGAIN = Event(
    "registry_heard_again",
    INFO,
    "the registry is heard of again",
    "Ends what `store_away` began.",
)
LISTENER_FAILED = Event(
    "listener_failed",
    ERROR,
    "the registry's listener failed for ports {port_names}",
    "A defect, with its trace: report it. The write is durable.",
)

# -- REST ------------------------------------------------------------------------------------------

REST_ANSWERED = Event(
    "rest_answered",
    DEBUG,
    "{status} to {peer}: {method!r} {path!r}",
    "A request and its answer.",
    more=("seconds",),
    burst=0,
)
REST_REFUSED = Event(
    "rest_refused",
    INFO,
    "{status} to {peer}: {method!r} {path!r}",
    "An answer from 400 on; of writes the audit log has more.",
    more=("seconds",),
    key=("peer", "status"),
    total=500,
)
REST_FAULT = Event(
    "rest_fault",
    ERROR,
    "{method!r} {path!r} failed",
    "A defect, with its trace: report it. The answer was 500.",
    key=("method",),
)
REST_FULL = Event(
    "rest_full",
    ERROR,
    "{reason}",
    "There is no room for one more watch stream or metadata server.",
    key=("reason",),
)
REST_NO_CONNECTION = Event(
    "rest_no_connection",
    ERROR,
    "REST cannot take a connection: {reason}",
    "Too many open files, most likely.",
)
REST_NO_TLS = Event(
    "rest_no_tls",
    INFO,
    "REST: no TLS with {peer}: {reason}",
    "A client without a certificate, or one that speaks plain HTTP.",
    key=("peer",),
    total=200,
)
TOKENS_REFUSED = Event(
    "tokens_refused",
    ERROR,
    "{reason}; the tokens read before stay in force",
    "`tokens_file` was changed to what cannot be read.",
)
WATCH_ENDED = Event(
    "watch_ended",
    WARNING,
    "watch of switch {dpid} ends: {reason}",
    "The registry failed; the metadata server asks again.",
    key=OF_SWITCH,
)

# -- the audit log ---------------------------------------------------------------------------------

_OF_WRITES = (
    *("status", "role", "token", "droplet_id", "droplets", "created", "droplet_ids"),
    *("changed", "revision", "revision_before", "reason", "dpid", "peer", "registry", "file"),
)
REGISTRY_WRITE = Event(
    "registry_write",
    INFO,
    "{action} by {who}: {outcome}",
    "A write of the registry, also one that was refused for what is stored, or failed. `changed` "
    "has names, never values.",
    more=_OF_WRITES,
    burst=0,
)
REGISTRY_WRITE_DENIED = Event(
    "registry_write_denied",
    WARNING,
    "{action} by {who}: {outcome}",
    "Somebody without a token for it would have written: 401 or 403.",
    more=_OF_WRITES,
    key=("peer", "status"),
    total=200,
)

EVENTS = tuple(each for each in list(globals().values()) if isinstance(each, Event))
"""All of them, in this order."""

BY_NAME = {event.name: event for event in (*EVENTS, *OWN)}
