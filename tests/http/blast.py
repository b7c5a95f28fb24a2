"""A droplet at full blast: `python blast.py HOST PORT ADDRESS CONNECTIONS`, until killed.

Each connection sends fifty requests in one packet whenever it may, and is made anew when it ends.
It is as nice as can be: what it takes from others is to be the server's doing, not the scheduler's.
"""

import os
import selectors
import socket
import sys

REQUESTS = b"GET /metadata/v1/id HTTP/1.1\r\nHost: m\r\n\r\n" * 50


def blast(server: tuple[str, int], address: str, number: int) -> None:
    """Never returns."""
    selector = selectors.DefaultSelector()

    def connect() -> None:
        made = socket.socket()
        made.setblocking(False)
        made.bind((address, 0))
        made.connect_ex(server)
        selector.register(made, selectors.EVENT_READ | selectors.EVENT_WRITE)

    for _ in range(number):
        connect()
    while True:
        for key, events in selector.select():
            if not _talk(key.fileobj, events):
                selector.unregister(key.fileobj)
                key.fileobj.close()
                connect()


def _talk(connection: socket.socket, events: int) -> bool:
    """Send and receive what there is; False where the connection has ended."""
    try:
        if events & selectors.EVENT_WRITE:
            connection.send(REQUESTS)
        return not events & selectors.EVENT_READ or bool(connection.recv(65536))
    except BlockingIOError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    os.nice(19)
    blast((sys.argv[1], int(sys.argv[2])), sys.argv[3], int(sys.argv[4]))
