"""A server that answers as it is told, one thing after another: to see what clients make of it."""

import socket
import threading
from contextlib import contextmanager


class CrookedServer:
    """Takes one request after another, each on whatever connection it comes, and does with the
    n-th what `script[n]` says: bytes are sent, None cuts the connection. The last goes on."""

    def __init__(self, *script):
        self.script = script
        self.heads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def methods(self):
        return [head.split()[0] for head in self.heads]

    @property
    def targets(self):
        return [head.split()[1] for head in self.heads]

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # Closed.
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                head, length = line.decode(), 0
                while (line := stream.readline()).strip():
                    head += line.decode()
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                stream.read(length)
                answer = self.script[min(len(self.heads), len(self.script) - 1)]
                self.heads.append(head)
                if answer is None:
                    return
                connection.sendall(answer)
                if b"Connection: close" in answer:
                    return


@contextmanager
def crooked(*script):
    server = CrookedServer(*script)
    try:
        yield server
    finally:
        server.close()


def answer(status, body=b"", *headers, kind="application/json"):
    """An HTTP answer as bytes."""
    lines = [f"HTTP/1.1 {status} x", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def problem(status, *headers, body=b'{"title": "x", "detail": "y"}'):
    return answer(status, body, *headers, kind="application/problem+json")


def stream(*lines):
    """A watch stream that ends after these events."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
    return head.encode() + b"".join(line.encode() + b"\n" for line in lines)
