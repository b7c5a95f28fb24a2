"""The metadata server: answers droplets at 169.254.169.254 over HTTP.

It knows droplets only through the controller's watch stream (JSON), and which port is where
through the database of the local Open vSwitch; it imports nothing of the controller's code.

Pure, no clock, no I/O: `document` (served document -> tree and v1.json), `respond` (caller and
request -> response), `identity` (peer address -> caller), `view` (watch events -> the bridge as
served), `lease` (until when that view may be served), `ovsdb_rows` and `ovsdb_evidence` (what the
switch's database says, and since when), `tokens`.
Shell: `app` and `wsgi` (WSGI), `server` with `turns` (the process serving it, and which of its
threads answer), `replica` with `controller` and `journal` (following the controller),
`ovsdb_watch` with `ovsdb_connection` (watching that database), `followed` (both, of one bridge),
`way` (the host's address and route), `admin`, `settings`, `ovsdb`, `__main__`.
"""
