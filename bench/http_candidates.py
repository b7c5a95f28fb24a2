"""The HTTP servers that are compared, each serving the metadata application itself.

`python -m bench.http_candidates NAME PORT WORKERS` serves on 127.0.0.1 until SIGTERM. The view is
fixed: 1,000 droplets, of which 127.0.0.1 is one, so that any client on loopback is a droplet.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

DROPLETS = 1000
PATH = "/metadata/v1/hostname"
HOSTNAME = "debian-s-1vcpu-512mb-10gb-ams3-01"
# The bench alone asks these: one blocks its thread as a long poll would, one is a ready answer.
BLOCKING_PATH = "/block"
BLOCK = 2.0


def application() -> Callable[..., Iterable[bytes]]:
    """The application with its fixed view, and BLOCKING_PATH beside it."""
    from metadata_http.app import Application, clock
    from metadata_http.lease import Lease
    from metadata_http.metrics import Metrics
    from metadata_http.view import Following, advance

    app = Application(Metrics())
    events = [_begin(), *map(_port, range(1, DROPLETS + 1)), {"event": "in-sync", "revision": 1}]
    app.publish(advance(Following(), events, clock()).view, Lease(float("inf")))

    def with_blocking(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == BLOCKING_PATH:
            time.sleep(BLOCK)
        return app(environ, start_response)

    return with_blocking


def _begin() -> dict[str, Any]:
    subnet = {"hv_local_subnet": "127.0.0.0/16", "dpid": "0" * 16}
    return {"event": "snapshot", "revision": 1, "lease": 10, **subnet}


def _port(ofport: int) -> dict[str, Any]:
    port = {
        "ofport": ofport,
        "name": f"tap{ofport}",
        "hv_local_ip": f"127.0.{ofport >> 8}.{ofport & 255}",
        "droplet_id": ofport,
        "droplet": {
            "metadata": {"hostname": HOSTNAME, "region": "ams3", "vendor_data": "x" * 3000}
        },
    }
    return {"event": "port", "revision": 1, "port": port}


def granian(port: int, workers: int, threads: int | None = None) -> None:
    """As `metadata-http` runs it; `threads` other than its default where given."""
    from dataclasses import replace

    from metadata_http import server
    from metadata_http.settings import Address, load

    settings = replace(load(None), listen=Address("127.0.0.1", port), workers=workers)
    if threads is not None:
        settings = replace(settings, threads=threads)
    server.serve(settings, application, lambda: None)


def granian_512(port: int, workers: int) -> None:
    """With as many Python threads as hundreds of long polls would take."""
    granian(port, workers, threads=512)


def granian_1(port: int, workers: int) -> None:
    """With a single Python thread."""
    granian(port, workers, threads=1)


def gunicorn(port: int, workers: int) -> None:
    """The gthread worker, keep-alive on, as many threads as its documentation suggests."""
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):
        def load_config(self) -> None:
            options = {
                "bind": f"127.0.0.1:{port}",
                "workers": workers,
                "worker_class": "gthread",
                "threads": 8,
                "worker_connections": 4096,
                "backlog": 4096,
                "keepalive": 10,
                "loglevel": "error",
                "reuse_port": True,
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Callable[..., Iterable[bytes]]:
            return application()

    Server().run()


def waitress(port: int, workers: int) -> None:
    """One process; it has no others."""
    import waitress

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = application()
    waitress.serve(app, host="127.0.0.1", port=port, threads=8, connection_limit=4096, backlog=4096)


def eventlet(port: int, workers: int) -> None:
    """eventlet.wsgi, green threads, one process."""
    import eventlet
    from eventlet import wsgi

    eventlet.monkey_patch()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener = eventlet.listen(("127.0.0.1", port), backlog=4096)
    wsgi.server(listener, application(), log_output=False, max_size=4096, keepalive=10)


def nginx(port: int, workers: int) -> None:
    """The reference: a constant answer of the same size and headers, from nginx's own memory."""
    folder = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
    headers = "default_type 'text/plain; charset=utf-8';"
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes {workers}; worker_rlimit_nofile 16384; pid {folder}/pid;\n"
        "error_log /dev/null;\n"
        "events { worker_connections 8192; }\n"
        "http { access_log off; keepalive_requests 1000000000;\n"
        f"  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};\n"
        f"  uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
        f"  server {{ listen 127.0.0.1:{port} backlog=4096; {headers}\n"
        f"    location / {{ return 200 '{HOSTNAME}'; }} }} }}\n"
    )
    os.execvp("nginx", ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])


_ALL = (nginx, granian, granian_1, granian_512, gunicorn, waitress, eventlet)
CANDIDATES = {each.__name__: each for each in _ALL}


def start(name: str, port: int, workers: int) -> subprocess.Popen[bytes]:
    """Start a candidate as a process of its own."""
    command = [sys.executable, "-m", "bench.http_candidates", name, str(port), str(workers)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    CANDIDATES[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
