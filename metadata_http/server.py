"""The WSGI server (granian): the listening socket, its limits, workers, signals and the gateway.

Shell; the only module that knows granian. Why granian, and why the gateway between it and the
application is ours: docs/decisions/0005-wsgi-server.md.
"""

import ctypes
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from granian._granian import SocketHolder
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server import mp
from granian.server.mp import MPServer

from metadata_http import bodies, events
from metadata_http.app import ANSWERED_LATER, LATER
from metadata_http.settings import Address, Settings
from metadata_http.supervision import Manager, Pulse
from metadata_http.turns import Body, Turns
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

_BACKLOG = 4096
_IP_FREEBIND = 15  # linux/in.h; Python's socket module has no name for it
_SYSTEMD_FIRST_FD = 3  # sd_listen_fds(3)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_DEFER = 5  # seconds
_USER_TIMEOUT = 30_000  # milliseconds
_KEEPALIVE = 60  # seconds
_INPUT = "wsgi.input"
_SERVER = ("Server", "metadata")  # without one granian names itself


def listening_socket(address: Address) -> socket.socket:
    """The socket droplets reach: the one systemd passed, else a new one. Raises OSError.

    With a socket passed in, connections wait through a restart and none is refused. With one of
    our own SO_REUSEPORT lets the next process listen before the old one stops, and IP_FREEBIND
    lets this one start before the bridge's metadata port has its address.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        passed = socket.socket(fileno=_SYSTEMD_FIRST_FD)
        _limit(passed)
        return passed
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
    _limit(made)
    try:
        made.bind((address.host, address.port))
    except OSError as fault:
        raise OSError(fault.errno, f"{fault.strerror}: listen {address}") from fault
    return made


def _limit(listener: socket.socket) -> None:
    """What the kernel does for us on each accepted socket."""
    # We see a connection when its request is there: silence costs us nothing, and a connection
    # taken while stopping is answered rather than closed before it was read.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER)
    # granian has no time limit for a client that does not read its answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Server(MPServer):
    """granian with a listening socket of ours, shared by the workers.

    So a worker that dies takes no queued connection with it.
    """

    def __init__(self, listener: socket.socket, manager: Manager, **options: Any) -> None:
        super().__init__(**options)
        self._listener = listener
        self._manager = manager
        self.pulse = Pulse(self.workers)

    def _init_shared_socket(self) -> None:
        self._shd = SocketHolder(self._listener.fileno(), False, self.backlog)
        self._sso = self._listener

    def _spawn_workers(self, *arguments: Any) -> None:
        super()._spawn_workers(*arguments)
        # Not before: a thread of ours is nothing to be forked along.
        self._manager.watch(self.pulse)

    def signal_handler_interrupt(self, *arguments: Any, **options: Any) -> None:
        self._manager.tell_stopping()
        super().signal_handler_interrupt(*arguments, **options)


class _Exchange:
    """One request in granian's hands: takes its answer now, or later on any thread."""

    __slots__ = ("_protocol", "headers", "status")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        """PEP 3333's start_response; nothing here uses its `write`."""
        self.status, self.headers = int(status[:3]), headers

    def answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """An `app.Later`. A client that has gone meanwhile is none of our business."""
        self._protocol.response_bytes(status, [*headers, _SERVER], body)


def _gateway(turns: Turns) -> Callable[[Callable, Any, Any], Callable]:
    """In place of granian's own, which ties each answer to the thread that was called.

    It also copies the process's environment into that of each request.
    """

    def wrapped(callback: Callable, scope_opts: Any, access_log_format: Any) -> Callable:
        def run(protocol: Any, environ: dict[str, Any]) -> None:
            exchange = _Exchange(protocol)
            environ[LATER] = exchange.answer
            # Until a call returns its body is in nobody else's hands, nor is what follows it.
            has_body = "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ
            if has_body:
                environ[_INPUT] = Body(environ[_INPUT].read, turns)
            body = callback(environ, exchange.start)
            if body is not ANSWERED_LATER:
                exchange.answer(exchange.status, exchange.headers, b"".join(body))
            if not has_body:
                turns.rest()

        return run

    return wrapped


def serve(
    settings: Settings,
    start: Callable[[], Callable],
    stop: Callable[[], None],
    stopping: Callable[[], None] = lambda: None,
    is_sure: Callable[[], bool] = lambda: True,
    manager: Manager | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was taken. Raises OSError.

    In each worker `start` gives the WSGI callable, `stopping` is called when a signal says so, on
    another thread, and `stop` after the last answer. `is_sure` is the worker's pulse, see `Pulse`,
    of which the `manager` is told.
    Raises SystemExit(1) when the workers keep dying.
    """
    listener = listening_socket(settings.listen)
    _raise_file_limit(settings.max_connections)
    host, port = listener.getsockname()[:2]
    say(log, events.LISTENING, address=f"{host}:{port}", workers=settings.workers)
    server = _Server(
        listener,
        manager or Manager(),
        target="metadata_http.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        # Reading a body takes a thread; those that answer must be left. All others rest.
        blocking_threads=settings.threads + bodies.AT_ONCE,
        http="1",
        websockets=False,
        backlog=_BACKLOG,
        # granian counts connections, not requests, against this.
        backpressure=settings.max_connections,
        http1_settings=HTTP1Settings(
            header_read_timeout=settings.header_timeout * 1000,
            max_buffer_size=settings.max_header_bytes,
        ),
        respawn_failed_workers=True,
        workers_kill_timeout=settings.stop_timeout,
        log_level=settings.log_level,
        log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},
    )
    parent, turns = os.getpid(), Turns(settings.threads)

    def stop_soon() -> None:
        turns.end()
        stopping()

    def worker(number: int, name: str | None, load: Callable, *arguments: Any) -> None:
        def started() -> Callable:
            callback = load()
            server.pulse.beat_for_ever(number - 1, is_sure)
            return callback

        _begin_worker(parent)
        _on_signal(stop_soon)
        mp._wsgi_call_wrap = _gateway(turns)
        try:
            MPServer._spawn_wsgi_worker(number, name, started, *arguments)
        except OSError as fault:
            say(log, events.CANNOT_SERVE, reason=fault)
            raise SystemExit(1) from fault
        finally:
            stop()

    server.serve(spawn_target=worker, target_loader=start, wrap_loader=False)


def _begin_worker(parent: int) -> None:
    # Until the server's own handlers stand, the parent's inherited ones would swallow a signal.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A worker must not outlive a killed parent: it would hold the port and its name for ever.
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise SystemExit("the parent process has gone")


def _on_signal(stopping: Callable[[], None]) -> None:
    """Have `stopping` called at SIGTERM or SIGINT; the handlers themselves are granian's."""
    ours, python = socket.socketpair()
    python.setblocking(False)
    signal.set_wakeup_fd(python.detach(), warn_on_full_buffer=False)

    def watch() -> None:
        while ours.recv(1)[0] not in (signal.SIGTERM, signal.SIGINT):
            continue
        stopping()

    threading.Thread(target=watch, name="signals", daemon=True).start()


def _raise_file_limit(connections: int) -> None:
    wanted = connections + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        if limit < wanted:
            say(log, events.FEW_FILES, count=limit)
