"""The commands of what the metadata server is measured beside, each one process that works.

nginx and haproxy give a constant of the same size; eventlet serves the application itself.
"""

import sys
from pathlib import Path

from bench.http_candidates import HOSTNAME
from bench.http_site import BIG, BIG_BYTES


def nginx(folder: Path, listen: str) -> list[str]:
    """A constant from nginx's memory, and a file of 64 KiB."""
    folder.mkdir()
    (folder / "big").write_bytes(b"x" * BIG_BYTES)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {folder}/pid;\n"
        "user root; error_log /dev/null; events { worker_connections 8192; }\n"
        "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n"
        f"  open_file_cache max=8; client_body_temp_path {folder}; proxy_temp_path {folder};\n"
        f"  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
        f"  server {{ listen {listen} backlog=4096; default_type 'text/plain; charset=utf-8';\n"
        f"    location = {BIG} {{ alias {folder}/big; }}\n"
        f"    location / {{ return 200 '{HOSTNAME}'; }} }} }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def haproxy(folder: Path, listen: str) -> list[str]:
    """A constant by `http-request return`, one thread."""
    folder.mkdir()
    answer = f"status 200 content-type text/plain lf-string {HOSTNAME}"
    (folder / "haproxy.cfg").write_text(
        "global\n  nbthread 1\n  maxconn 8192\n"
        "defaults\n  mode http\n  timeout client 30s\n  timeout http-request 10s\n"
        "  timeout http-keep-alive 10s\n"
        f"frontend constant\n  bind {listen}\n  http-request return {answer}\n"
    )
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def eventlet(port: int) -> list[str]:
    """The application itself with a fixed view of 1,000 droplets in eventlet.wsgi, on 127.0.0.1."""
    return [sys.executable, "-m", "bench.http_candidates", "eventlet", str(port), "1"]
