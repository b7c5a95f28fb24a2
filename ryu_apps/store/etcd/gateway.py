"""One etcd cluster as values: ranges, transactions and watch streams, at whichever node answers.

Shell: sockets. Speaks etcd's v3 API through its JSON gateway by etcd3gw, one client for each native
thread and node; what etcd3gw lacks is here: another node when one does not answer, a read that
tells its revision, a watch that reports its own end (etcd3gw's swallows compaction and errors).
"""

import base64
import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from etcd3gw.client import Etcd3Client
from etcd3gw.exceptions import (
    Etcd3Exception,
)
from eventlet import patcher
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from ryu_apps.store.etcd.values import (
    MAX_OPERATIONS,
    Access,
    Compacted,
    Event,
    Found,
    Kv,
    Range,
    Read,
    TooLarge,
    Write,
)
from ryu_apps.store.interface import StoreFull, StoreRefused, StoreUnavailable

WRITE_S = 8.0
"""Seconds for the answer to a write: more than etcd itself takes to give up (5 s and two
elections), for it then says what it knows."""

READ_S = 2.0
"""Seconds for the answer to a read, which any other node can be asked as well."""

CONNECT_S = 1.0
"""Seconds to connect, so that a node that is gone without a word costs little."""

_MADE_ANEW = (
    "it was made anew, as from a snapshot: its revisions are not those that we know. "
    "Restart the controller"
)

# Codes of gRPC, as the gateway gives them: "not authenticated" and "permission denied".
_UNAUTHENTICATED = 16
_KEPT_OUT = (_UNAUTHENTICATED, 7)
# These it tells as an "invalid argument".
_NO_LOGIN = ("etcdserver: authentication failed", "etcdserver: user name is empty")

# ryu-manager makes `threading.local` one of green threads.
_threading = patcher.original("threading")


class Gateway:
    """The cluster that `access` names. Safe to call from several native threads at once.

    Methods raise StoreUnavailable where no node answers as asked, StoreFull where the cluster has
    no room, StoreRefused where it does not let us in. After StoreUnavailable a write may or may not
    have happened; one that was never sent is tried at the next node.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._prefix = access.prefix.encode()
        self._first = 0
        self._watched = 0
        self._cluster_id = 0
        self._newest = 0
        self._local = _threading.local()

    # -- calls --------------------------------------------------------------------------------

    def read(self, *ranges: Range, revision: int = 0, serializable: bool = False) -> Read:
        """What the ranges hold, all at one revision (0: the latest).

        It sees every write that was acknowledged before, unless `serializable`: then any one node
        answers from what it has, which is all there is where the cluster has no quorum.
        """
        found: list[Found] = []
        cluster_id = 0
        for start in range(0, len(ranges), MAX_OPERATIONS):
            part = ranges[start : start + MAX_OPERATIONS]
            asked = [{"request_range": self._range(one, revision, serializable)} for one in part]
            before = self._newest
            answer = self._call("kv/txn", {"success": asked}, again=True)
            if not serializable:
                self._require_no_step_back(answer, before)
            responses = answer.get("responses", [])
            found += (self._found(each.get("response_range", {})) for each in responses)
            cluster_id = int(answer["header"]["cluster_id"])
            # The parts that follow are read as of the first.
            revision = revision or int(answer["header"]["revision"])
        return Read(tuple(found), revision, cluster_id, stale=serializable)

    def write(self, write: Write) -> int | None:
        """Do the transaction; its revision, None where a key had another revision than expected.

        Raises TooLarge.
        """
        compares = [
            {
                "key": self._key(key),
                "target": "MOD",
                "result": "EQUAL",
                "mod_revision": str(revision),
            }
            for key, revision in write.expected.items()
        ]
        operations: list[dict[str, Any]] = [
            {"request_put": {"key": self._key(key), "value": _encode(value), "lease": str(lease)}}
            for lease, puts in ((0, write.puts), (write.lease, write.leased))
            for key, value in puts.items()
        ]
        operations += [{"request_delete_range": {"key": self._key(key)}} for key in write.deletes]
        before = self._newest
        answer = self._call("kv/txn", {"compare": compares, "success": operations}, again=False)
        self._require_no_step_back(answer, before)
        return int(answer["header"]["revision"]) if answer.get("succeeded") else None

    def watch(self, area: str, after: int, *, quiet_s: float) -> Iterator[tuple[int, list[Event]]]:
        """The events below `area` after this revision, in order: (revision, events) of whole
        transactions.

        One without events comes when the watch begins. It raises StoreUnavailable where it
        ends or nothing comes for `quiet_s` seconds, and Compacted.
        """
        under = Range.under(area)
        request = self._range(under, 0, serializable=False)
        create = {
            "key": request["key"],
            "range_end": request["range_end"],
            "start_revision": str(after + 1),
        }
        index = self._watched
        client = self._client(index, READ_S)
        try:
            with client.session.post(
                client.get_url("/watch"),
                json={"create_request": create},
                stream=True,
                timeout=(CONNECT_S, quiet_s),
            ) as response:
                for line in response.iter_lines(chunk_size=None):
                    if line:
                        yield self._heard(json.loads(line))
        except (requests.RequestException, ValueError, KeyError, Etcd3Exception) as error:
            raise self._unavailable(f"{self._node(index)}: watch: {_reason(error)}") from error
        else:
            raise self._unavailable(f"{self._node(index)}: the watch ended")
        finally:
            # Whatever it was, another node is as good.
            self._watched = index + 1

    def grant(self, seconds: int) -> int:
        """A lease of so many seconds: the keys that are put with it go when it is over."""
        return int(self._call("lease/grant", {"TTL": str(seconds)}, again=True)["ID"])

    def keep_alive(self, lease: int) -> bool:
        """Begin the lease anew; False where it is over."""
        answer = self._call("lease/keepalive", {"ID": str(lease)}, again=True)
        return int(answer.get("result", {}).get("TTL", 0)) > 0

    def revoke(self, lease: int) -> None:
        """End the lease, and all that was put with it."""
        self._call("lease/revoke", {"ID": str(lease)}, again=True)

    # -- one request --------------------------------------------------------------------------

    def _call(self, path: str, body: dict[str, Any], *, again: bool) -> dict[str, Any]:
        """POST to the first node that answers; `again`: also where a former may have done it."""
        reasons: list[str] = []
        for _ in self.access.endpoints:
            index = self._first
            try:
                answer = self._post(self._client(index, READ_S if again else WRITE_S), path, body)
            except Etcd3Exception as error:
                reason = _reason(error)
                self._judge(error, reason)
                reasons.append(f"{self._node(index)}: {reason}")
                if self._first == index:
                    # Not where another thread has moved on meanwhile.
                    self._first = index + 1
                if not (again or _was_not_sent(error)):
                    break
            else:
                self._require_same_cluster(answer)
                return answer
        raise self._unavailable("; ".join(reasons))

    def _post(self, client: Etcd3Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return client.post(client.get_url(path), json=body)
        except Etcd3Exception as error:
            if _code(error) != _UNAUTHENTICATED or self.access.login.username is None:
                raise
        # Tokens end, after five minutes of silence or with their node's restart.
        self._log_in(client)
        return client.post(client.get_url(path), json=body)

    def _judge(self, error: Etcd3Exception, reason: str) -> None:
        """Raise what another node would say as well."""
        where = self.access.shown
        if "too large" in reason or "larger than max" in reason or "too many operations" in reason:
            raise TooLarge(reason)
        if "space exceeded" in reason:
            raise StoreFull(f"registry {where}: {reason}") from error
        if _code(error) in _KEPT_OUT or reason.startswith(_NO_LOGIN):
            raise StoreRefused(f"registry {where}: etcd does not let us in: {reason}") from error

    def _require_same_cluster(self, answer: dict[str, Any]) -> None:
        """Raise StoreUnavailable where another cluster is at this address since we were opened."""
        cluster_id = int(answer.get("header", {}).get("cluster_id", 0))
        self._cluster_id = self._cluster_id or cluster_id
        if cluster_id not in (0, self._cluster_id):
            raise self._unavailable(_MADE_ANEW)

    def _require_no_step_back(self, answer: dict[str, Any], before: int) -> None:
        """Raise StoreUnavailable where a quorum has less than it had `before` we asked."""
        revision = int(answer["header"]["revision"])
        if revision < before:
            raise self._unavailable(f"{_MADE_ANEW} ({revision} after {before})")
        self._newest = max(self._newest, revision)

    def _node(self, index: int) -> str:
        host, port = self.access.endpoints[index % len(self.access.endpoints)]
        return f"{host}:{port}"

    def _unavailable(self, reasons: str) -> StoreUnavailable:
        return StoreUnavailable(f"registry {self.access.shown}: etcd does not do it: {reasons}")

    # -- clients ------------------------------------------------------------------------------

    def _client(self, index: int, timeout: float) -> Etcd3Client:
        clients = self._local.__dict__.setdefault("clients", {})
        index %= len(self.access.endpoints)
        if (index, timeout) not in clients:
            clients[index, timeout] = self._new_client(*self.access.endpoints[index], timeout)
        return clients[index, timeout]

    def _new_client(self, host: str, port: int, timeout: float) -> Etcd3Client:
        login = self.access.login
        session = requests.Session()
        # Neither a proxy nor a .netrc of the environment has to do with it.
        session.trust_env = False
        if login.ca is not None:
            session.verify = login.ca
        if login.certificate is not None:
            session.cert = (login.certificate, login.key)
        client = Etcd3Client(
            host,
            port,
            protocol="https" if login.ca else "http",
            timeout=(CONNECT_S, timeout),  # type: ignore[arg-type]  # as requests takes it
            api_path="/v3/",
            session=session,
        )
        if login.username is not None:
            self._log_in(client)
        return client

    def _log_in(self, client: Etcd3Client) -> None:
        file = self.access.login.password_file
        try:
            password = Path(file).read_text().strip() if file else ""
        except OSError as error:
            raise StoreRefused(f"etcd_password_file {file}: {error.strerror}") from error
        client.session.headers.pop("Authorization", None)
        body = {"name": self.access.login.username, "password": password}
        answer = client.post(client.get_url("auth/authenticate"), json=body)
        client.session.headers["Authorization"] = answer["token"]

    # -- JSON ---------------------------------------------------------------------------------

    def _key(self, key: str) -> str:
        return _encode(self._prefix + key.encode())

    def _range(self, asked: Range, revision: int, serializable: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"key": self._key(asked.key), "serializable": serializable}
        if asked.end is not None:
            body["range_end"] = self._key(asked.end)
        for name in ("limit", "keys_only", "count_only"):
            if value := getattr(asked, name):
                body[name] = value
        if revision:
            body["revision"] = str(revision)
        return body

    def _found(self, answer: dict[str, Any]) -> Found:
        kvs = tuple(
            Kv(
                self._relative(kv["key"]),
                base64.b64decode(kv.get("value", "")),
                int(kv["mod_revision"]),
                int(kv["create_revision"]),
            )
            for kv in answer.get("kvs", ())
        )
        return Found(kvs, int(answer.get("count", 0)))

    def _relative(self, key: str) -> str:
        return base64.b64decode(key)[len(self._prefix) :].decode()

    def _heard(self, message: dict[str, Any]) -> tuple[int, list[Event]]:
        """A message of a watch stream. Raises Compacted, and ValueError where it says its end."""
        result = message.get("result")
        if result is None:
            raise ValueError(str(message.get("error"))[:300])
        self._require_same_cluster(result)
        if "compact_revision" in result:
            raise Compacted(result["compact_revision"])
        if result.get("canceled"):
            raise ValueError(f"watch cancelled: {result.get('cancel_reason', 'no reason given')}")
        return int(result["header"].get("revision", 0)), [
            Event(
                self._relative(event["kv"]["key"]),
                None
                if event.get("type") == "DELETE"
                else base64.b64decode(event["kv"].get("value", "")),
                int(event["kv"]["mod_revision"]),
                int(event["kv"].get("create_revision", 0)),
            )
            for event in result.get("events", ())
        ]


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _details(error: BaseException) -> dict[str, Any]:
    text = getattr(error, "detail_text", None)
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _code(error: BaseException) -> int | None:
    """The gRPC status code that the gateway gives."""
    return _details(error).get("code")


def _reason(error: BaseException) -> str:
    """What is wrong, in a few words: requests' own have its whole inner life."""
    for cause in _causes(error):
        if isinstance(cause, (requests.Timeout, ReadTimeoutError)):
            return "no answer in time"
        if isinstance(cause, ssl.SSLError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno is not None:
            return os.strerror(cause.errno)
    text = getattr(error, "detail_text", None) or str(error)
    return str(_details(error).get("error") or text).strip()[:200]


def _was_not_sent(error: BaseException) -> bool:
    """Whether the request cannot have reached the node: no connection came about."""
    return any(
        isinstance(cause, (requests.ConnectTimeout, NewConnectionError)) for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what lies behind it, as deep as requests and urllib3 nest them."""
    cause: Any = error
    for _ in range(8):
        if not isinstance(cause, BaseException):
            return
        yield cause
        inner = next((each for each in cause.args if isinstance(each, BaseException)), None)
        cause = getattr(cause, "reason", None) or inner or cause.__cause__ or cause.__context__
