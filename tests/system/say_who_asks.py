"""A tiny HTTP server that answers with the address the request came from: ADDRESS PORT.

For tests of the lab and the datapath without the metadata server; `/N` adds a body of N bytes.
"""

import http.server
import sys


class SayWhoAsks(http.server.BaseHTTPRequestHandler):
    """The peer's address on the first line, then as many bytes as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = f"{self.client_address[0]}\n".encode() + b"x" * int(self.path[1:] or 0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    host, port = sys.argv[1:]
    http.server.ThreadingHTTPServer((host, int(port)), SayWhoAsks).serve_forever()
